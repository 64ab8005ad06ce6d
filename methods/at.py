"""Attention transfer (AT): the student's spatial attention maps follow the teacher's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.alignment import paired_stages, pool_to_smaller
from methods.base import Batch, Method, Pair
from methods.teacher_cache import Cached, uncached
from models import Features

LEAST_LENGTH = 1e-12
"""Smallest divisor of a vector of mean squares, as in the authors' code."""
LARGE = 2.0**20
"""Images with larger channel norms are scaled down to this, so that fourth powers fit into float32."""


def attention(maps: Tensor) -> Tensor:
    """Mean square over the channels of ``(B, C, H, W)``, as unit vectors ``(B, H * W)`` (Eq. 1 of the paper)."""
    # One pass over the map, where squaring would write it first. The factor cancels in the normalisation.
    norms = torch.linalg.vector_norm(maps, dim=1).flatten(start_dim=1)
    norms = norms * (LARGE / norms.detach().amax(dim=1, keepdim=True).clamp_min(LARGE))
    return functional.normalize(norms.square(), dim=1, eps=LEAST_LENGTH * maps.shape[1])


def at_loss(pairs: Sequence[tuple[Tensor, Tensor]], cached: Cached = uncached) -> Tensor:
    """Mean squared difference of the attentions of student and teacher, summed over the pairs of maps.

    The mean over images and positions follows the authors' code, where the paper writes un-averaged norms (Eq. 2).

    Args:
        pairs: at least one pair of a student's and a teacher's map ``(B, C, H, W)``; the sizes may differ.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    return sum(
        (
            functional.mse_loss(attention(student), cached(attention, teacher))
            for student, teacher in (pool_to_smaller(*pair) for pair in pairs)
        ),
        start=pairs[0][0].new_zeros(()),
    )


class AT(Method):
    """Distance between the attention maps of paired stages.

    Options:
        last: number of paired stages to compare, counted from the last; 0 compares all.
    """

    title = "AT"
    citation = (
        "Zagoruyko & Komodakis, Paying More Attention to Attention: Improving the Performance of Convolutional Neural "
        "Networks via Attention Transfer, ICLR 2017"
    )
    revision = 2
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1000.0}
    formula = "sum_i mean (a(x_i) - a(t_i))^2, a(x) = sum_c x_c^2 over positions as a unit vector"

    def __init__(self, pair: Pair, *, last: int = 0) -> None:
        super().__init__(pair)
        if last < 0:
            raise ValueError(f"at: last must be 0 (all stages) or a number of stages, not {last}")
        self.last = last

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        pairs = paired_stages(student.feats, teacher.feats)[-self.last :]
        return {"at": at_loss(pairs, teacher.cached)}
