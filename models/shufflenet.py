"""ShuffleNets for small images: version 1 with three groups (Zhang et al., 2018) and version 2 (Ma et al., 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.features import MissingPartError
from models.layers import activated, convolution
from models.published_weights import decrement
from models.registry import Request, register
from models.staged import Stage, StagedNetwork, Unit

STEM = 24

# Units of each stage; the first one halves the map.
UNITS = (4, 8, 4)


def shuffle(channels: Tensor, groups: int) -> Tensor:
    """``(B, C, H, W)`` with the channels of the groups interleaved."""
    batch, count, height, width = channels.shape
    return channels.reshape(batch, groups, count // groups, height, width).transpose(1, 2).flatten(1, 2)


class Grouped(Unit):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; the input is added, or pooled and concatenated at stride 2."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: tuple[int, int]) -> None:
        super().__init__()
        branch = outputs if stride == 1 else outputs - inputs
        middle = branch // 4
        self.groups = groups[0]
        self.narrow = activated(inputs, middle, 1, groups=groups[0])
        self.filter = activated(middle, middle, 3, stride, groups=middle)
        self.widen = nn.Conv2d(middle, branch, 1, groups=groups[1], bias=False)
        self.norm = nn.BatchNorm2d(branch)
        self.pool = None if stride == 1 else nn.AvgPool2d(3, stride, 1)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.norm

    def forward(self, rectified: Tensor) -> Tensor:
        """The sum or concatenation, before the ReLU."""
        branch: Tensor = self.norm(self.widen(self.filter(shuffle(self.narrow(rectified), self.groups))))
        return branch + rectified if self.pool is None else torch.cat([branch, self.pool(rectified)], 1)


class ShuffleNetV1(StagedNetwork):
    """ShuffleNetV1; feats are the rectified stage outputs."""

    family = "shufflenetv1"
    published_names = (
        (r"^conv1\.", "stem.0."),
        (r"^bn1\.", "stem.1."),
        (r"^layer(\d)\.", decrement("stages.{}.")),
        (r"\.conv1\.", ".narrow.0."),
        (r"\.bn1\.", ".narrow.1."),
        (r"\.conv2\.", ".filter.0."),
        (r"\.bn2\.", ".filter.1."),
        (r"\.conv3\.", ".widen."),
        (r"\.bn3\.", ".norm."),
        (r"^linear\.", "classifier."),
    )
    groups = 3

    def __init__(self, request: Request) -> None:
        super().__init__()
        # A quarter of each branch must be divisible by three groups, and stages must be wider than the stem.
        channels, outputs = request.channels(STEM, multiple=12), request.channels(240, multiple=24)
        self.stem = activated(3, channels, 1)
        self.stages = nn.ModuleList()
        for count in UNITS:
            first = Grouped(channels, outputs, 2, (self.groups if self.stages else 1, self.groups))
            rest = (Grouped(outputs, outputs, 1, (self.groups, self.groups)) for _ in range(count - 1))
            self.stages.append(Stage(first, *rest))
            channels, outputs = outputs, 2 * outputs
        self.classifier = nn.Linear(channels, request.num_classes)


class Branch(nn.Sequential):
    """Pointwise (optional), depthwise and pointwise convolution; the stage applies the last ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, mixes: bool) -> None:
        middle = outputs if mixes else inputs
        super().__init__(
            activated(inputs, middle, 1) if mixes else nn.Identity(),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            convolution(middle, outputs, 1),
            nn.BatchNorm2d(outputs),
        )


class Split(Unit):
    """Half of the channels go through a branch, the other half is passed on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = Branch(channels // 2, channels // 2, 1, mixes=True)

    def forward(self, rectified: Tensor) -> Tensor:
        """The half that is passed on, then the branch's output."""
        around, through = rectified.chunk(2, 1)
        return torch.cat([around, self.branch(through)], 1)


class Down(Unit):
    """All channels go through each of two branches that halve the map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.left = Branch(inputs, outputs // 2, 2, mixes=False)
        self.right = Branch(inputs, outputs // 2, 2, mixes=True)

    def forward(self, rectified: Tensor) -> Tensor:
        """The outputs of both branches."""
        return torch.cat([self.left(rectified), self.right(rectified)], 1)


class ShuffledStage(Stage):
    """Units followed by a ReLU, which does not change the passed-on half, and a shuffle of the two halves."""

    def activate(self, preact: Tensor) -> Tensor:
        return shuffle(F.relu(preact), 2)


class ShuffleNetV2(StagedNetwork):
    """ShuffleNetV2; feats are the rectified and shuffled stage outputs, preacts are not shuffled."""

    family = "shufflenetv2"
    published_names = (
        (r"^conv1\.", "stem.0."),
        (r"^bn1\.", "stem.1."),
        (r"^conv2\.", "head.0."),
        (r"^bn2\.", "head.1."),
        (r"^layer(\d)\.", decrement("stages.{}.")),
        # In the first unit of a stage, layers are numbered through both branches, and the left branch has no first 1x1.
        (r"\.0\.conv1\.", ".0.left.1."),
        (r"\.0\.bn1\.", ".0.left.2."),
        (r"\.0\.conv2\.", ".0.left.3."),
        (r"\.0\.bn2\.", ".0.left.4."),
        (r"\.0\.conv3\.", ".0.right.0.0."),
        (r"\.0\.bn3\.", ".0.right.0.1."),
        (r"\.0\.conv4\.", ".0.right.1."),
        (r"\.0\.bn4\.", ".0.right.2."),
        (r"\.0\.conv5\.", ".0.right.3."),
        (r"\.0\.bn5\.", ".0.right.4."),
        (r"\.conv1\.", ".branch.0.0."),
        (r"\.bn1\.", ".branch.0.1."),
        (r"\.conv2\.", ".branch.1."),
        (r"\.bn2\.", ".branch.2."),
        (r"\.conv3\.", ".branch.3."),
        (r"\.bn3\.", ".branch.4."),
        (r"^linear\.", "classifier."),
    )

    def __init__(self, request: Request) -> None:
        super().__init__()
        channels, head = request.channels(STEM), request.channels(1024)
        self.stem = activated(3, channels, 1)
        self.stages = nn.ModuleList()
        for count, width in zip(UNITS, (116, 232, 464), strict=True):
            outputs = request.channels(width)
            self.stages.append(ShuffledStage(Down(channels, outputs), *(Split(outputs) for _ in range(count - 1))))
            channels = outputs
        self.head = activated(channels, head, 1)
        self.classifier = nn.Linear(head, request.num_classes)

    def last_map(self, feat: Tensor) -> Tensor:
        rectified: Tensor = self.head(feat)
        return rectified

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """Not defined: half of each feat's channels do not come from a batch-norm.

        Raises:
            MissingPartError: always.
        """
        raise MissingPartError(self.name, "preact_norms()", "its feats do not come out of one batch-norm each")


@register("shufflenetv1")
def build_v1(request: Request) -> ShuffleNetV1:
    """Build version 1."""
    return ShuffleNetV1(request)


@register("shufflenetv2")
def build_v2(request: Request) -> ShuffleNetV2:
    """Build version 2."""
    return ShuffleNetV2(request)
