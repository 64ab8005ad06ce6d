"""Post-activation residual networks (He et al., 2016), with torchvision's parameter names but for the classifier's.

The paper does not define the narrow networks; they are inferred from its parameter counts. Their ResNet-50 has 24 basic
blocks and no bottlenecks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import convolution, init_convolutions
from models.registry import IMAGENET, Request, register
from models.staged import Stage, StagedNetwork, Unit


class Padding(nn.Module):
    """Shortcut without parameters (option A): strided pixels, with channels of zeros before and after."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, rectified: Tensor) -> Tensor:
        """The map of ``outputs`` channels."""
        return F.pad(rectified[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Shortcut of a 1x1 convolution and a batch-norm (option B)."""
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


Shortcut = Callable[[int, int, int], nn.Module]


class Block(Unit):
    """A residual block: the sum of its main path and a shortcut, which is the identity if the shape does not change.

    Attributes:
        expansion: output channels per channel of the middle.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, inputs: int, middle: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        outputs = middle * self.expansion
        self.build(inputs, middle, stride)
        changes = stride != 1 or inputs != outputs
        self.downsample = shortcut(inputs, outputs, stride) if changes else None

    def build(self, inputs: int, middle: int, stride: int) -> None:
        """Add the modules of the main path."""
        raise NotImplementedError

    def main(self, rectified: Tensor) -> Tensor:
        """The main path."""
        raise NotImplementedError

    def forward(self, rectified: Tensor) -> Tensor:
        """The residual sum."""
        return self.main(rectified) + (rectified if self.downsample is None else self.downsample(rectified))


class Basic(Block):
    """Two 3x3 convolutions."""

    def build(self, inputs: int, middle: int, stride: int) -> None:
        self.conv1 = convolution(inputs, middle, 3, stride)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = convolution(middle, middle, 3)
        self.bn2 = nn.BatchNorm2d(middle)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2

    def main(self, rectified: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(rectified)))))
        return out


class Bottleneck(Block):
    """1x1, 3x3 and 1x1 convolutions; the 3x3 convolution has the stride."""

    expansion = 4

    def build(self, inputs: int, middle: int, stride: int) -> None:
        self.conv1 = convolution(inputs, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = convolution(middle, middle, 3, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = convolution(middle, middle * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(middle * self.expansion)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3

    def main(self, rectified: Tensor) -> Tensor:
        narrow = F.relu(self.bn1(self.conv1(rectified)))
        out: Tensor = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(narrow)))))
        return out


@dataclass(frozen=True)
class Architecture:
    """The differences between sizes.

    Attributes:
        stem: channels of the stem.
        widths: channels of each stage (for bottlenecks, of the middle); all stages but the first halve the map.
        blocks: number of blocks of each stage.
        block: type of the blocks.
        shortcut: makes the shortcut of a block that changes the shape.
    """

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    block: type[Block] = Basic
    shortcut: Shortcut = projection


class ResNet(StagedNetwork):
    """A residual network; feats are the rectified stage outputs, preacts the residual sums."""

    family = "resnet"
    published_names = ((r"^(fc|linear)\.", "classifier."), (r"\.shortcut\.", ".downsample."))

    def __init__(self, plan: Architecture, request: Request, stem_size: int, stem_stride: int, pool: nn.Module) -> None:
        super().__init__()
        channels = request.channels(plan.stem)
        self.conv1 = convolution(3, channels, stem_size, stem_stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu, self.maxpool = nn.ReLU(), pool
        self.depth = len(plan.widths)
        for index, (width, count) in enumerate(zip(plan.widths, plan.blocks, strict=True), start=1):
            middle, blocks = request.channels(width), list[Block]()
            for number in range(count):
                stride = 2 if index > 1 and number == 0 else 1
                blocks.append(plan.block(channels, middle, stride, plan.shortcut))
                channels = middle * plan.block.expansion
            self.add_module(f"layer{index}", Stage(*blocks))
        self.classifier = nn.Linear(channels, request.num_classes)
        init_convolutions(self)

    def stem_modules(self) -> list[nn.Module]:
        return [self.conv1, self.bn1, self.relu, self.maxpool]

    def stage_modules(self) -> list[Stage]:
        return [getattr(self, f"layer{index}") for index in range(1, self.depth + 1)]


NARROW = (32, 32, 64, 128)
WIDE = (64, 128, 256, 512)

PLANS = {
    "resnet10-narrow": Architecture(32, NARROW, (1, 1, 1, 1)),
    "resnet18-narrow": Architecture(32, NARROW, (2, 2, 2, 2)),
    "resnet34-narrow": Architecture(32, NARROW, (3, 4, 6, 3)),
    "resnet50-narrow": Architecture(32, NARROW, (3, 4, 14, 3)),
    "resnet10-wide": Architecture(64, WIDE, (1, 1, 1, 1)),
    "resnet34-wide": Architecture(64, WIDE, (3, 4, 6, 3)),
    "resnet50-crd": Architecture(64, WIDE, (3, 4, 6, 3), Bottleneck),
    "resnet8-A": Architecture(16, (16, 32, 64), (1, 1, 1), shortcut=Padding),
    "resnet14-A": Architecture(16, (16, 32, 64), (2, 2, 2), shortcut=Padding),
    "resnet26-A": Architecture(16, (16, 32, 64), (4, 4, 4), shortcut=Padding),
    "resnet20": Architecture(16, (16, 32, 64), (3, 3, 3)),
    "resnet32": Architecture(16, (16, 32, 64), (5, 5, 5)),
    "resnet56": Architecture(16, (16, 32, 64), (9, 9, 9)),
    "resnet110": Architecture(16, (16, 32, 64), (18, 18, 18)),
    "resnet8x4": Architecture(32, (64, 128, 256), (1, 1, 1)),
    "resnet32x4": Architecture(32, (64, 128, 256), (5, 5, 5)),
}

IMAGENET_PLANS = {
    "resnet18-imagenet": Architecture(64, WIDE, (2, 2, 2, 2)),
    "resnet34-imagenet": Architecture(64, WIDE, (3, 4, 6, 3)),
    "resnet50-imagenet": Architecture(64, WIDE, (3, 4, 6, 3), Bottleneck),
}


@register(*PLANS)
def build(request: Request) -> ResNet:
    """Build one of the planned sizes, with a stem for small images."""
    return ResNet(PLANS[request.name], request, 3, 1, nn.Identity())


@register(*IMAGENET_PLANS, images=IMAGENET)
def build_imagenet(request: Request) -> ResNet:
    """Build one of torchvision's sizes, with their stem for large images."""
    return ResNet(IMAGENET_PLANS[request.name], request, 7, 2, nn.MaxPool2d(3, 2, 1))
