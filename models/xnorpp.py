"""Binary residual networks with learned scales, XNOR-Net++ (Bulat and Tzimiropoulos, 2019), and real counterparts.

Weights and activations of a binary network are signs, except for stem, classifier, batch-norms, slopes and scales. The
SRRL paper does not define the networks; the order within a block, the slopes, the shortcut and the final batch-norm and
ReLU are inferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import activated, check_stage, classify, convolution, init_convolutions
from models.preactivation import Block, Group, PreactivationNetwork
from models.registry import IMAGENET, Request, register

WIDTHS = (64, 128, 256, 512)


class Sign(torch.autograd.Function):
    """The sign, +1 at zero, with a straight-through gradient where the value's magnitude is below 1."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Signs of ``values``, of the same dtype."""
        ctx.save_for_backward(values)
        return (values >= 0).to(values.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The straight-through gradient."""
        (values,) = ctx.saved_tensors
        gradient: Tensor = gradients[0] * (values.abs() < 1)
        return gradient


def sign(values: Tensor) -> Tensor:
    """Signs of ``values``, with a straight-through gradient."""
    signs: Tensor = Sign.apply(values)
    return signs


class BinaryConv2d(nn.Conv2d):
    """A convolution of signs with signs, whose outputs are multiplied by three learned scales.

    There is a scale per channel, row and column (case 4 of the XNOR-Net++ paper), so the size of the map is fixed.
    Padding is zero.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, side: int) -> None:
        super().__init__(inputs, outputs, size, stride, size // 2, bias=False)
        self.channel_scale = nn.Parameter(torch.ones(outputs, 1, 1))
        self.row_scale = nn.Parameter(torch.ones(1, side, 1))
        self.column_scale = nn.Parameter(torch.ones(1, 1, side))

    def init_scales(self) -> None:
        """Set the channels' scales to the mean magnitudes of their weights, which signs fit best; the rest is 1."""
        with torch.no_grad():
            self.channel_scale.copy_(self.weight.abs().mean((1, 2, 3)).view(-1, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        """Run ``(B, C, H, W)`` real values through the layer."""
        counts = F.conv2d(sign(values), sign(self.weight), None, self.stride, self.padding)
        # Under autocast the convolution is in half precision; float32 scales would convert the output to float32.
        return counts * (self.channel_scale * self.row_scale * self.column_scale).to(counts.dtype)


def layer(inputs: int, outputs: int, size: int, stride: int, side: int, *, binary: bool) -> nn.Conv2d:
    """A convolution to maps of ``side`` x ``side`` pixels."""
    if binary:
        return BinaryConv2d(inputs, outputs, size, stride, side)
    return convolution(inputs, outputs, size, stride)


@dataclass(frozen=True)
class Architecture:
    """The differences between networks.

    Attributes:
        blocks: blocks of each stage.
        binary: whether the convolutions of the main path are binary.
        binary_shortcut: whether those of the shortcuts are.
    """

    blocks: tuple[int, ...]
    binary: bool
    binary_shortcut: bool


class Xnor(Block):
    """Two 3x3 convolutions between batch-norm and PReLU, with one shortcut over both.

    There is no ReLU between batch-norm and convolution, since it would make all signs +1.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, side: int, plan: Architecture) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = layer(inputs, outputs, 3, stride, side, binary=plan.binary)
        self.slope1 = nn.PReLU(outputs)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = layer(outputs, outputs, 3, 1, side, binary=plan.binary)
        self.slope2 = nn.PReLU(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(stride, ceil_mode=True)
            mix = layer(inputs, outputs, 1, 1, side, binary=plan.binary_shortcut)
            self.shortcut = nn.Sequential(pool, mix, nn.BatchNorm2d(outputs))

    def finish(self, raw: Tensor, normed: Tensor) -> Tensor:
        middle = self.norm2(self.slope1(self.conv1(normed)))
        total: Tensor = self.slope2(self.conv2(middle)) + self.shortcut(raw)
        return total


def half(side: int) -> int:
    """Size of a map after stride 2."""
    return (side + 1) // 2


class XnorNet(PreactivationNetwork):
    """A residual network, binary or real."""

    family = "xnorpp"

    def __init__(self, plan: Architecture, request: Request, stem: nn.Module, side: int) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList()
        channels = request.channels(WIDTHS[0])
        for width, count in zip(WIDTHS, plan.blocks, strict=True):
            outputs, stride = request.channels(width), 2 if self.stages else 1
            side = side if stride == 1 else half(side)
            first = Xnor(channels, outputs, stride, side, plan)
            self.stages.append(Group(first, *(Xnor(outputs, outputs, 1, side, plan) for _ in range(count - 1))))
            channels = outputs
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, request.num_classes)
        init_convolutions(self)
        for module in self.modules():
            if isinstance(module, BinaryConv2d):
                module.init_scales()

    def stem_module(self) -> nn.Module:
        return self.stem

    def groups(self) -> list[Group]:
        return [cast("Group", stage) for stage in self.stages]

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from feat ``stage``, the next block's input, or after the last stage from the last rectified map."""
        groups = self.groups()
        check_stage(stage, len(groups))
        if stage == len(groups):
            return classify(self.classifier, rectified)
        raw = rectified
        for later in groups[stage:]:
            raw, _ = later(raw)
        return classify(self.classifier, F.relu(self.norm(raw)))


SIZE34, SIZE18 = (3, 4, 6, 3), (2, 2, 2, 2)

PLANS = {
    "resnet34-xnorpp-binary": Architecture(SIZE34, binary=True, binary_shortcut=True),
    "resnet34-xnorpp-binary-real-shortcut": Architecture(SIZE34, binary=True, binary_shortcut=False),
    "resnet34-xnorpp-real": Architecture(SIZE34, binary=False, binary_shortcut=False),
}

IMAGENET_PLANS = {
    "resnet18-xnorpp-binary": Architecture(SIZE18, binary=True, binary_shortcut=True),
    "resnet18-xnorpp-binary-real-shortcut": Architecture(SIZE18, binary=True, binary_shortcut=False),
    "resnet18-xnorpp-real": Architecture(SIZE18, binary=False, binary_shortcut=False),
}


@register(*PLANS)
def build(request: Request) -> XnorNet:
    """Build one of the planned sizes, with a stem for small images."""
    stem = activated(3, request.channels(WIDTHS[0]), 3)
    return XnorNet(PLANS[request.name], request, stem, request.in_size)


@register(*IMAGENET_PLANS, images=IMAGENET)
def build_imagenet(request: Request) -> XnorNet:
    """Build one of the planned sizes, with the usual stem for large images."""
    stem = activated(3, request.channels(WIDTHS[0]), 7, 2).append(nn.MaxPool2d(3, 2, 1))
    return XnorNet(IMAGENET_PLANS[request.name], request, stem, half(half(request.in_size)))
