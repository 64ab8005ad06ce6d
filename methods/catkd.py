"""Class attention transfer (CAT-KD): the maps of where a network sees each class match the teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.pooling import pooled, pooling
from methods.teacher_cache import Cached, uncached
from models import Features

LEAST_LENGTH = 1e-12
"""A class's map that is no longer than this is 0."""


def class_maps(maps: Tensor, weight: Tensor, *, normalise: bool) -> Tensor:
    """Class activation maps ``(B, H, W, K)``: the classifier without its bias, at every position.

    Args:
        maps: ``(B, C, H, W)``, before they are averaged and classified.
        weight: ``(K, C)`` of the classifier.
        normalise: whether each class's map of an image becomes a unit vector. A map of zeros stays 0, without a
            gradient.
    """
    activations = functional.linear(maps.permute(0, 2, 3, 1), weight)
    if not normalise:
        return activations
    length: Tensor = torch.linalg.vector_norm(activations, dim=(1, 2), keepdim=True)
    return activations / length.masked_fill(length <= LEAST_LENGTH, torch.inf)


def attention_loss(
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    side: int,
    *,
    normalise: bool,
    cached: Cached = uncached,
) -> Tensor:
    """Squared difference of the `class_maps` of maps that are average-pooled, mean over all elements.

    Pooling and classifying are linear: the order does not matter, and pooled maps have fewer positions.

    Source: Guo et al., CAT-KD.

    Args:
        student: map ``(B, C, H, W)``, and the classifier's weight ``(K, C)``.
        teacher: map ``(B, c, h, w)``, and weight ``(K, c)``.
        side: height and width of the pooled maps.
        normalise: as in `class_maps`.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    mine = class_maps(pooled(student[0], (side, side)), student[1], normalise=normalise)
    theirs = class_maps(cached(pooling(side, side), teacher[0]), teacher[1], normalise=normalise)
    return functional.mse_loss(mine, theirs)


class CATKD(Method):
    """Distance of class activation maps, with a gradient into the student's classifier as well.

    There is no weight for all pairs in the authors' code, whose students have no bias in their classifier. By default
    networks of one family are compared at 2x2 positions as they are, and others normalised, with a larger weight.

    Options:
        scale: factor of the loss; None is 10 within a family and 80 between families.
        side: height and width to which maps are pooled.
        normalise: whether each class's map of an image becomes a unit vector; None is between families alone.
    """

    title = "CAT-KD"
    citation = "Guo, Yan, Li & Lin, Class Attention Transfer Based Knowledge Distillation, CVPR 2023"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    formula = "beta mean (pool(W_S x_S) - pool(W_T x_T))^2, each class's map a unit vector between families"

    def __init__(self, pair: Pair, *, scale: float | None = None, side: int = 2, normalise: bool | None = None) -> None:
        super().__init__(pair)
        if side < 1:
            raise ValueError(f"catkd: side must be at least 1, not {side}")
        alike = pair.student.family == pair.teacher.family
        self.scale = (10.0 if alike else 80.0) if scale is None else scale
        self.normalise = not alike if normalise is None else normalise
        self.side = side

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine = student.map, self.pair.student_network.classifier.weight
        theirs = teacher.map, self.pair.teacher_network.classifier.weight.detach()
        loss = attention_loss(mine, theirs, self.side, normalise=self.normalise, cached=teacher.cached)
        return {"catkd": self.scale * loss}
