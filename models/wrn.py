"""Wide residual networks for small images: WRN-d-k (Zagoruyko and Komodakis, 2016)."""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional as F

from models.features import Features, Network
from models.layers import check_stage, classify, convolution, init_convolutions, pooled
from models.registry import Request, register


class Block(nn.Module):
    """Pre-activation block: two 3x3 convolutions, each after its batch-norm and ReLU, plus a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        projects = stride != 1 or inputs != outputs
        self.shortcut = convolution(inputs, outputs, 1, stride) if projects else None

    def forward(self, raw: Tensor) -> Tensor:
        """The residual sum, neither normalised nor rectified."""
        return self.finish(raw, F.relu(self.norm1(raw)))

    def finish(self, raw: Tensor, rectified: Tensor) -> Tensor:
        """The residual sum, where ``rectified`` is the block's input ``raw`` after its first norm and ReLU."""
        shortcut = raw if self.shortcut is None else self.shortcut(rectified)
        total: Tensor = self.conv2(F.relu(self.norm2(self.conv1(rectified)))) + shortcut
        return total


class Group(nn.Module):
    """The blocks of one width; only the first one strides."""

    def __init__(self, inputs: int, outputs: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.first = Block(inputs, outputs, stride)
        self.rest = nn.Sequential(*(Block(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The raw output, and the input after the first norm: the pre-activation of the previous group's tap."""
        normed = self.first.norm1(raw)
        return self.finish(raw, F.relu(normed)), normed

    def finish(self, raw: Tensor, rectified: Tensor) -> Tensor:
        """The raw output, where ``rectified`` is the input ``raw`` after the first norm and ReLU."""
        total: Tensor = self.rest(self.first.finish(raw, rectified))
        return total


class WideResNet(Network):
    """WRN-d-k with ``blocks`` = (d - 4) / 6 blocks in each of three groups of 16k, 32k and 64k channels.

    Taps ``f_1 .. f_3`` are the raw residual sums; their pre-activations come from the batch-norm that consumes them.
    """

    family = "wrn"

    def __init__(self, request: Request, blocks: int, factor: int) -> None:
        super().__init__()
        stem = request.channels(16)
        width1, width2, width3 = (request.channels(base * factor) for base in (16, 32, 64))
        self.conv1 = convolution(3, stem, 3)
        self.group1 = Group(stem, width1, blocks, 1)
        self.group2 = Group(width1, width2, blocks, 2)
        self.group3 = Group(width2, width3, blocks, 2)
        self.norm = nn.BatchNorm2d(width3)
        self.classifier = nn.Linear(width3, request.num_classes)
        init_convolutions(self)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        stem = self.conv1(images)
        raw1, _ = self.group1(stem)
        raw2, normed1 = self.group2(raw1)
        raw3, normed2 = self.group3(raw2)
        normed3 = self.norm(raw3)
        return pooled(self.classifier, F.relu(normed3), (stem, raw1, raw2, raw3), (stem, normed1, normed2, normed3))

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from ReLU(norm(f)) of stage 1, 2 or 3, the map that the next group or the classifier consumes."""
        check_stage(stage, 3)
        consumers = zip((self.group2, self.group3), self.preact_norms()[1:], strict=True)
        for group, norm in list(consumers)[stage - 1 :]:
            # Groups 2 and 3 stride, so they project the rectified map and have no use for the raw one.
            rectified = F.relu(norm(group.finish(rectified, rectified)))
        return classify(self.classifier, rectified)

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The norms that consume the raw outputs of groups 1 to 3."""
        return [self.group2.first.norm1, self.group3.first.norm1, self.norm]

    def trunk(self) -> list[nn.Module]:
        """The stem convolution and the three groups."""
        return [self.conv1, self.group1, self.group2, self.group3]


@register(
    "wrn-10-10",
    "wrn-16-1",
    "wrn-16-2",
    "wrn-16-4",
    "wrn-16-10",
    "wrn-40-1",
    "wrn-40-2",
    "wrn-40-4",
    pattern=r"wrn-[1-9]\d*-[1-9]\d*",
)
def build(request: Request) -> WideResNet:
    """Build ``wrn-d-k`` for any depth d = 6n + 4 from 10 on and any k from 1 on.

    Raises:
        ValueError: the depth is none of these.
    """
    depth, factor = (int(number) for number in re.findall(r"\d+", request.name))
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"{request.name}: the depth of a wide ResNet is 6n + 4 (10, 16, 22, ...), not {depth}")
    return WideResNet(request, blocks, factor)
