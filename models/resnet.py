"""Post-activation residual networks (He et al., 2016), with torchvision's parameter names.

The narrow ones are inferred from the parameter counts that the paper prints; it does not define them. Their ResNet-50
has 24 basic blocks and no bottlenecks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from models.features import Features, Network
from models.layers import check_stage, classify, convolution, init_convolutions, pooled
from models.registry import Request, register


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where stride or width changes (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = projection(inputs, outputs, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The main path's batch-norm before the residual sum."""
        return self.bn2

    def forward(self, rectified: Tensor) -> Tensor:
        """The residual sum; its ReLU is the stage's, which has to record both."""
        shortcut = rectified if self.downsample is None else self.downsample(rectified)
        total: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(rectified))))) + shortcut
        return total


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The 1x1 convolution and batch-norm of a shortcut that changes shape, or None for one that does not."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Stage(nn.Sequential):
    """The blocks of one width; only the first one strides."""

    def __init__(self, block: type[Basic], inputs: int, outputs: int, blocks: int, stride: int) -> None:
        first = block(inputs, outputs, stride)
        super().__init__(first, *(block(outputs, outputs, 1) for _ in range(blocks - 1)))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch-norm before the last residual sum, without the shortcut's."""
        return cast("Basic", self[-1]).last_norm

    def forward(self, rectified: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's output after and before its last ReLU."""
        for block in self:
            total = block(rectified)
            rectified = F.relu(total)
        return rectified, total


@dataclass(frozen=True)
class Plan:
    """What tells one size from another.

    Attributes:
        stem: channels of the 3x3 stem.
        widths: channels of each stage; all stages but the first halve the map.
        blocks: blocks of each stage.
        block: their type.
    """

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    block: type[Basic] = Basic


class ResNet(Network):
    """A residual network whose taps are the rectified stage outputs; their pre-activations are the residual sums."""

    family = "resnet"

    def __init__(self, plan: Plan, request: Request) -> None:
        super().__init__()
        channels = request.channels(plan.stem)
        self.conv1 = convolution(3, channels, 3)
        self.bn1 = nn.BatchNorm2d(channels)
        self.depth = len(plan.widths)
        for index, (width, blocks) in enumerate(zip(plan.widths, plan.blocks, strict=True), start=1):
            outputs = request.channels(width)
            self.add_module(f"layer{index}", Stage(plan.block, channels, outputs, blocks, 1 if index == 1 else 2))
            channels = outputs
        self.classifier = nn.Linear(channels, request.num_classes)
        init_convolutions(self)

    def stages(self, after: int = 0) -> Iterator[Stage]:
        """The stages after stage ``after``, in order."""
        return (getattr(self, f"layer{index}") for index in range(after + 1, self.depth + 1))

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        rectified = F.relu(self.bn1(self.conv1(images)))
        taps, preacts = [rectified], [rectified]
        for stage in self.stages():
            rectified, total = stage(rectified)
            taps.append(rectified)
            preacts.append(total)
        return pooled(self.classifier, rectified, taps, preacts)

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from the tap of stage ``stage``."""
        check_stage(stage, self.depth)
        for later in self.stages(after=stage):
            rectified, _ = later(rectified)
        return classify(self.classifier, rectified)

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch-norm on the main path of each stage."""
        return [stage.last_norm for stage in self.stages()]

    def trunk(self) -> list[nn.Module]:
        """The stem and the stages."""
        return [self.conv1, self.bn1, *self.stages()]


NARROW = (32, 32, 64, 128)
WIDE = (64, 128, 256, 512)

PLANS = {
    "resnet10-narrow": Plan(32, NARROW, (1, 1, 1, 1)),
    "resnet18-narrow": Plan(32, NARROW, (2, 2, 2, 2)),
    "resnet34-narrow": Plan(32, NARROW, (3, 4, 6, 3)),
    "resnet50-narrow": Plan(32, NARROW, (3, 4, 14, 3)),
    "resnet10-wide": Plan(64, WIDE, (1, 1, 1, 1)),
    "resnet34-wide": Plan(64, WIDE, (3, 4, 6, 3)),
}


@register(*PLANS)
def build(request: Request) -> ResNet:
    """Build one of the planned sizes."""
    return ResNet(PLANS[request.name], request)
