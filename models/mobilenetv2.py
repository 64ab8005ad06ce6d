"""MobileNetV2 (Sandler et al., 2018) for small images, in the form that has the paper's 2.37 million parameters.

Its quirks are those of the public definition with that count: every convolution has a bias although a batch-norm
follows, and the 1x1 stem is padded, which makes the first maps two pixels wider than the input.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from models.features import Features, Network
from models.layers import check_stage, classify, pooled
from models.registry import Request, register

STEM, HEAD = 32, 1280

# Expansion, channels, blocks and stride of each stage.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1))

# The last stage at each resolution.
TAPPED = (1, 2, 3, 7)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project without activation; the input is added where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = nn.Sequential(nn.Conv2d(inputs, middle, 1), nn.BatchNorm2d(middle), nn.ReLU6())
        depthwise = nn.Conv2d(middle, middle, 3, stride, 1, groups=middle)
        self.filter = nn.Sequential(depthwise, nn.BatchNorm2d(middle), nn.ReLU6())
        self.project = nn.Conv2d(middle, outputs, 1)
        self.norm = nn.BatchNorm2d(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, linear: Tensor) -> Tensor:
        """The linear output of the block."""
        out: Tensor = self.norm(self.project(self.filter(self.expand(linear))))
        return linear + out if self.adds else out


class Stage(nn.Sequential):
    """The blocks of one width; only the first one strides."""

    def __init__(self, inputs: int, outputs: int, blocks: int, stride: int, expansion: int) -> None:
        first = InvertedResidual(inputs, outputs, stride, expansion)
        super().__init__(first, *(InvertedResidual(outputs, outputs, 1, expansion) for _ in range(blocks - 1)))

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch-norm that makes the stage's last residual."""
        return cast("InvertedResidual", self[-1]).norm


class MobileNetV2(Network):
    """Taps are the rectified stem and the linear outputs of the tapped stages, so pre-activations equal the taps."""

    family = "mobilenetv2"

    def __init__(self, request: Request) -> None:
        super().__init__()
        channels = request.channels(STEM)
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 1, padding=1), nn.BatchNorm2d(channels), nn.ReLU6())
        self.stages = nn.ModuleList()
        for expansion, width, blocks, stride in STAGES:
            outputs = request.channels(width)
            self.stages.append(Stage(channels, outputs, blocks, stride, expansion))
            channels = outputs
        head = request.channels(HEAD)
        self.head = nn.Sequential(nn.Conv2d(channels, head, 1), nn.BatchNorm2d(head), nn.ReLU6())
        self.classifier = nn.Linear(head, request.num_classes)

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        linear = self.stem(images)
        taps = [linear]
        for number, stage in enumerate(self.stages, start=1):
            linear = stage(linear)
            if number in TAPPED:
                taps.append(linear)
        return pooled(self.classifier, self.head(linear), taps, taps)

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from tap ``stage``, or after the last tap from the penultimate map, so that 4 means ``map``."""
        check_stage(stage, len(TAPPED))
        if stage == len(TAPPED):
            return classify(self.classifier, rectified)
        for later in list(self.stages)[TAPPED[stage - 1] :]:
            rectified = later(rectified)
        return classify(self.classifier, self.head(rectified))

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch-norm of each tapped stage."""
        return [cast("Stage", self.stages[number - 1]).last_norm for number in TAPPED]

    def trunk(self) -> list[nn.Module]:
        """The stem and all stages."""
        return [self.stem, *self.stages]


@register("mobilenetv2-cifar")
def build(request: Request) -> MobileNetV2:
    """Build the one size that the tables name."""
    return MobileNetV2(request)
