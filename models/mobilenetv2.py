"""MobileNetV2 (Sandler et al., 2018) for small images, in the two forms that the tables use.

``mobilenetv2-cifar`` follows the public definition with the paper's 2.37 million parameters: convolutions have biases
although a batch-norm follows, and the padded 1x1 stem makes the first maps two pixels wider than the input.
``mobilenetv2-half`` is the network of contrastive representation distillation (Tian et al., 2020), whose head is not
halved.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from models.layers import activated, init_as_vgg
from models.registry import Request, register
from models.staged import Stage, StagedNetwork, Unit

HEAD = 1280


@dataclass(frozen=True)
class Architecture:
    """The differences between the two forms.

    Attributes:
        stem: channels, kernel size and stride of the stem.
        stages: expansion, channels, blocks and stride of each stage.
        feat_stages: numbers of the stages whose outputs are feats.
        bias: whether convolutions have a bias.
        activation: after all convolutions except projections.
    """

    stem: tuple[int, int, int]
    stages: tuple[tuple[int, int, int, int], ...]
    feat_stages: tuple[int, ...]
    bias: bool
    activation: type[nn.Module]


class InvertedResidual(Unit):
    """Expansion, depthwise convolution and linear projection, with a shortcut between equal shapes."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, plan: Architecture) -> None:
        super().__init__()
        middle, bias, activation = inputs * expansion, plan.bias, plan.activation
        self.expand = activated(inputs, middle, 1, bias=bias, activation=activation)
        self.filter = activated(middle, middle, 3, stride, groups=middle, bias=bias, activation=activation)
        self.project = nn.Conv2d(middle, outputs, 1, bias=bias)
        self.norm = nn.BatchNorm2d(outputs)
        self.adds = stride == 1 and inputs == outputs

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.norm

    def forward(self, linear: Tensor) -> Tensor:
        """The linear output of the block."""
        out: Tensor = self.norm(self.project(self.filter(self.expand(linear))))
        return linear + out if self.adds else out


class LinearStage(Stage):
    """Blocks without an activation after them."""

    def activate(self, preact: Tensor) -> Tensor:
        return preact


class MobileNetV2(StagedNetwork):
    """MobileNetV2; feats are the rectified stem and the linear outputs of stages, so that preacts equal feats."""

    family = "mobilenetv2"
    # Names of the half form; no weights of the other form are published.
    published_names = (
        (r"^conv1\.", "stem."),
        (r"^conv2\.", "head."),
        (r"^blocks\.", "stages."),
        (r"\.conv\.([01])\.", r".expand.\1."),
        (r"\.conv\.3\.", ".filter.0."),
        (r"\.conv\.4\.", ".filter.1."),
        (r"\.conv\.6\.", ".project."),
        (r"\.conv\.7\.", ".norm."),
        (r"^classifier\.0\.", "classifier."),
    )

    def __init__(self, plan: Architecture, request: Request) -> None:
        super().__init__()
        self.feat_stages = plan.feat_stages
        stem, size, stride = plan.stem
        channels = request.channels(stem)
        convolution = nn.Conv2d(3, channels, size, stride, padding=1, bias=plan.bias)
        self.stem = nn.Sequential(convolution, nn.BatchNorm2d(channels), plan.activation())
        self.stages = nn.ModuleList()
        for expansion, width, blocks, first_stride in plan.stages:
            outputs, units = request.channels(width), list[InvertedResidual]()
            for number in range(blocks):
                stride = first_stride if number == 0 else 1
                units.append(InvertedResidual(channels, outputs, stride, expansion, plan))
                channels = outputs
            self.stages.append(LinearStage(*units))
        head = request.channels(HEAD)
        self.head = activated(channels, head, 1, bias=plan.bias, activation=plan.activation)
        self.classifier = nn.Linear(head, request.num_classes)

    def last_map(self, feat: Tensor) -> Tensor:
        rectified: Tensor = self.head(feat)
        return rectified


CIFAR = Architecture(
    stem=(32, 1, 1),
    stages=((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1)),
    feat_stages=(1, 2, 3, 7),
    bias=True,
    activation=nn.ReLU6,
)

HALF = Architecture(
    stem=(16, 3, 2),
    stages=((1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1)),
    feat_stages=(2, 3, 5, 7),
    bias=False,
    activation=nn.ReLU,
)


@register("mobilenetv2-cifar")
def build(request: Request) -> MobileNetV2:
    """Build the form with 2.37 million parameters."""
    return MobileNetV2(CIFAR, request)


@register("mobilenetv2-half")
def build_half(request: Request) -> MobileNetV2:
    """Build the form with half the channels."""
    network = MobileNetV2(HALF, request)
    init_as_vgg(network)
    return network
