"""VGG networks (Simonyan and Zisserman, 2015) for small images, with batch-norms and one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from models.layers import activated, init_as_vgg
from models.published_weights import decrement
from models.registry import Request, register
from models.staged import Stage, StagedNetwork, Unit

# Channels of each stage after the stem, and whether its input is pooled.
STEM = 64
STAGES = ((128, True), (256, True), (512, True), (512, False))

# Number of convolutions of the stem and of each stage.
SIZES = {"vgg8": 1, "vgg13": 2}


class Convolution(Unit):
    """A 3x3 convolution with batch-norm, after an optional max-pooling of the input."""

    def __init__(self, inputs: int, outputs: int, *, pools: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2) if pools else nn.Identity()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.norm

    def forward(self, rectified: Tensor) -> Tensor:
        """The map after the batch-norm."""
        out: Tensor = self.norm(self.conv(self.pool(rectified)))
        return out


class VGG(StagedNetwork):
    """VGG; feats are the rectified outputs of stem and stages, before pooling."""

    family = "vgg"
    # A published block is a sequence of convolution, norm, ReLU, convolution, norm; the first block is the stem.
    published_names = (
        (r"^block0\.([01])\.", r"stem.0.\1."),
        (r"^block0\.3\.", "stem.1.0."),
        (r"^block0\.4\.", "stem.1.1."),
        (r"^(block\d)\.0\.", r"\1.unit0.conv."),
        (r"^(block\d)\.1\.", r"\1.unit0.norm."),
        (r"^(block\d)\.3\.", r"\1.unit1.conv."),
        (r"^(block\d)\.4\.", r"\1.unit1.norm."),
        (r"^block(\d)\.unit", decrement("stages.{}.")),
    )

    def __init__(self, request: Request, count: int) -> None:
        super().__init__()
        channels = request.channels(STEM)
        inputs = [3, *[channels] * (count - 1)]
        self.stem = nn.Sequential(*(activated(width, channels, 3, bias=True) for width in inputs))
        self.stages = nn.ModuleList()
        for width, pools in STAGES:
            outputs = request.channels(width)
            first = Convolution(channels, outputs, pools=pools)
            self.stages.append(Stage(first, *(Convolution(outputs, outputs, pools=False) for _ in range(count - 1))))
            channels = outputs
        self.classifier = nn.Linear(channels, request.num_classes)
        init_as_vgg(self)


@register(*SIZES)
def build(request: Request) -> VGG:
    """Build one of the two sizes."""
    return VGG(request, SIZES[request.name])
