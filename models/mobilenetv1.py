"""MobileNet (Howard et al., 2017) for large images."""

from __future__ import annotations

from torch import Tensor, nn

from models.layers import activated, convolution
from models.registry import IMAGENET, Request, register
from models.staged import Stage, StagedNetwork, Unit

STEM = 32

# Channels and stride of each unit.
UNITS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

# The last unit at each resolution after the stem's, counted from 1.
FEAT_STAGES = (3, 5, 11, 13)


class Separable(Unit):
    """A depthwise-separable convolution: depthwise 3x3, then pointwise."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.filter = activated(inputs, inputs, 3, stride, groups=inputs)
        self.mix = convolution(inputs, outputs, 1)
        self.norm = nn.BatchNorm2d(outputs)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.norm

    def forward(self, rectified: Tensor) -> Tensor:
        """The map after the last batch-norm."""
        out: Tensor = self.norm(self.mix(self.filter(rectified)))
        return out


class MobileNetV1(StagedNetwork):
    """MobileNetV1, every unit a stage; feats are rectified, at the positions that OFD uses (Heo et al., 2019)."""

    family = "mobilenetv1"
    feat_stages = FEAT_STAGES

    def __init__(self, request: Request) -> None:
        super().__init__()
        channels = request.channels(STEM)
        self.stem = activated(3, channels, 3, 2)
        self.stages = nn.ModuleList()
        for width, stride in UNITS:
            outputs = request.channels(width)
            self.stages.append(Stage(Separable(channels, outputs, stride)))
            channels = outputs
        self.classifier = nn.Linear(channels, request.num_classes)


@register("mobilenet-imagenet", images=IMAGENET)
def build(request: Request) -> MobileNetV1:
    """Build the size that the tables use."""
    return MobileNetV1(request)
