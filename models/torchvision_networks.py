"""torchvision's networks for classification, such as ``torchvision/resnet18``, with fresh weights.

Their sizes and initial weights are those of the installed torchvision, so its version is part of the ids of runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from models.features import Network
from models.registry import IMAGENET, Request, UnknownNetworkError, register
from models.wrap import LAST, wrap


@dataclass(frozen=True)
class Family:
    """How networks of one family are built and wrapped.

    Attributes:
        feats: as in `models.wrap`: the stem, then the last module of each resolution, or of each quarter of the blocks
            where all have the same resolution.
        classifier: as in `models.wrap`.
        map: as in `models.wrap`.
        options: further arguments of torchvision's function, by the input size in pixels.
    """

    feats: tuple[str, ...]
    classifier: str
    map: str | None = LAST
    options: Callable[[int], Mapping[str, Any]] = lambda _: {}


def _numbered(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in numbers)


def _without_auxiliary(_: int) -> Mapping[str, Any]:
    return {"aux_logits": False, "init_weights": True}


def _vgg(layers_per_convolution: int, *convolutions: int) -> Family:
    """A VGG with so many convolutions before each of its five poolings, whose outputs are the feats."""
    ends = accumulate(layers_per_convolution * count + 1 for count in convolutions)
    return Family(_numbered("features.", *(end - 1 for end in ends)), "classifier.6", None)


def _vit(depth: int) -> Family:
    last_of_quarters = (depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4))
    feats = ("encoder.dropout", *_numbered("encoder.layers.encoder_layer_", *last_of_quarters))
    return Family(feats, "heads.head", None, lambda size: {"image_size": size})


_RESNET = Family(("relu", *_numbered("layer", 1, 2, 3, 4)), "fc")
_VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

FAMILIES: Mapping[str, Family] = {
    "alexnet": Family(_numbered("features.", 1, 4, 11), "classifier.6", None),
    "convnext_*": Family(_numbered("features.", 0, 1, 3, 5, 7), "classifier.2", None),
    "densenet*": Family(("features.relu0", *_numbered("features.denseblock", 1, 2, 3, 4)), "classifier", None),
    "efficientnet_b*": Family(_numbered("features.", 0, 2, 3, 5, 7), "classifier.1", "features"),
    "efficientnet_v2_[ml]": Family(_numbered("features.", 0, 2, 3, 5, 7), "classifier.1", "features"),
    "efficientnet_v2_s": Family(_numbered("features.", 0, 2, 3, 5, 6), "classifier.1", "features"),
    "googlenet": Family(
        ("conv1", "conv3", "inception3b", "inception4e", "inception5b"), "fc", options=_without_auxiliary
    ),
    "inception_v3": Family(
        ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"), "fc", options=_without_auxiliary
    ),
    "maxvit_t": Family(
        ("stem", *_numbered("blocks.", 0, 1, 2, 3)), "classifier.5", None, lambda size: {"input_size": (size, size)}
    ),
    "mnasnet*": Family(_numbered("layers.", 2, 8, 9, 11, 13), "classifier.1", "layers"),
    "mobilenet_v2": Family(_numbered("features.", 0, 3, 6, 13, 17), "classifier.1", "features"),
    "mobilenet_v3_large": Family(_numbered("features.", 0, 3, 6, 12, 15), "classifier.3", None),
    "mobilenet_v3_small": Family(_numbered("features.", 0, 1, 3, 8, 11), "classifier.3", None),
    "regnet_*": Family(("stem", *_numbered("trunk_output.block", 1, 2, 3, 4)), "fc"),
    "resnet*": _RESNET,
    "resnext*": _RESNET,
    "shufflenet_v2_*": Family(("conv1.2", "maxpool", "stage2", "stage3", "stage4"), "fc", "conv5"),
    "swin_*": Family(_numbered("features.", 0, 1, 3, 5, 7), "head", "permute"),
    **{f"vgg{depth}": _vgg(2, *convolutions) for depth, convolutions in _VGG.items()},
    **{f"vgg{depth}_bn": _vgg(3, *convolutions) for depth, convolutions in _VGG.items()},
    "vit_b_*": _vit(12),
    "vit_h_*": _vit(32),
    "vit_l_*": _vit(24),
    "wide_resnet*": _RESNET,
}
"""Families by shell pattern of torchvision's names."""


def family_of(name: str) -> Family:
    """The family of a network by torchvision's name.

    Raises:
        UnknownNetworkError: torchvision has no such network for classification, or it has no final Linear layer.
    """
    from torchvision import models as package

    every = package.list_models(module=package)
    known = [each for each in every if _matching(each)]
    if name in {*every} - {*known}:
        raise UnknownNetworkError(f"torchvision/{name} cannot be used, since it does not end in a Linear layer")
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.4)
        nearest = ", ".join(f"torchvision/{each}" for each in near or known)
        raise UnknownNetworkError(f"unknown network 'torchvision/{name}': the nearest are {nearest}")
    return _matching(name)[0]


@register(pattern="torchvision/[A-Za-z0-9_]+", images=IMAGENET)
def build(request: Request) -> Network:
    """Build one of torchvision's networks."""
    from torchvision import models as package

    name = request.name.partition("/")[2]
    family = family_of(name)
    request.check_width()
    with request.explained(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        module = package.get_model(name, num_classes=request.num_classes, **family.options(request.in_size))
    network = wrap(module, family.feats, family.classifier, name=request.name, map=family.map)
    network.family = type(module).__module__.rpartition(".")[2]
    return network


def _matching(name: str) -> list[Family]:
    return [family for pattern, family in FAMILIES.items() if fnmatchcase(name, pattern)]
