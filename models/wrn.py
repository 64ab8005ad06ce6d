"""Wide residual networks for small images: WRN-d-k (Zagoruyko and Komodakis, 2016)."""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import check_stage, classify, convolution, init_convolutions
from models.preactivation import Block, Group, PreactivationNetwork
from models.published_weights import decrement
from models.registry import Request, register


class Wide(Block):
    """Two 3x3 convolutions, each after its batch-norm and ReLU, plus a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        projects = stride != 1 or inputs != outputs
        self.shortcut = convolution(inputs, outputs, 1, stride) if projects else None

    def finish(self, raw: Tensor, normed: Tensor) -> Tensor:
        rectified = F.relu(normed)
        shortcut = raw if self.shortcut is None else self.shortcut(rectified)
        total: Tensor = self.conv2(F.relu(self.norm2(self.conv1(rectified)))) + shortcut
        return total


def group(inputs: int, outputs: int, blocks: int, stride: int) -> Group:
    """The blocks of one width; only the first one has a stride."""
    return Group(Wide(inputs, outputs, stride), *(Wide(outputs, outputs, 1) for _ in range(blocks - 1)))


class WideResNet(PreactivationNetwork):
    """WRN-d-k with ``blocks`` = (d - 4) / 6 blocks in each of three groups of 16k, 32k and 64k channels."""

    family = "wrn"
    published_names = (
        (r"^bn1\.", "norm."),
        (r"^fc\.", "classifier."),
        (r"^block", "group"),
        (r"\.layer\.0\.", ".first."),
        (r"\.layer\.(\d+)\.", decrement(".rest.{}.")),
        (r"\.bn([12])\.", r".norm\1."),
        (r"\.convShortcut\.", ".shortcut."),
    )
    rectifies_preacts = True

    def __init__(self, request: Request, blocks: int, factor: int) -> None:
        super().__init__()
        stem = request.channels(16)
        width1, width2, width3 = (request.channels(base * factor) for base in (16, 32, 64))
        self.conv1 = convolution(3, stem, 3)
        self.group1 = group(stem, width1, blocks, 1)
        self.group2 = group(width1, width2, blocks, 2)
        self.group3 = group(width2, width3, blocks, 2)
        self.norm = nn.BatchNorm2d(width3)
        self.classifier = nn.Linear(width3, request.num_classes)
        init_convolutions(self)
        nn.init.zeros_(self.classifier.bias)

    def stem_module(self) -> nn.Module:
        return self.conv1

    def groups(self) -> list[Group]:
        return [self.group1, self.group2, self.group3]

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from ReLU(norm(f)) of stage 1, 2 or 3, the input of the next group or of the classifier."""
        check_stage(stage, 3)
        for later, norm in list(zip(self.groups(), self.preact_norms(), strict=True))[stage:]:
            # Groups 2 and 3 have a stride, so their shortcut projects the rectified map and does not use the raw one.
            rectified = F.relu(norm(later.finish(rectified, rectified)))
        return classify(self.classifier, rectified)


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
        ValueError: the network has no such depth.
    """
    depth, factor = (int(number) for number in re.findall(r"\d+", request.name))
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"{request.name}: the depth of a wide ResNet is 6n + 4 (10, 16, 22, ...), not {depth}")
    return WideResNet(request, blocks, factor)
