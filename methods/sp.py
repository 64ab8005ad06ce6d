"""Similarity-preserving distillation (SP): matches the similarities between a batch's images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method
from methods.teacher_cache import Cached, uncached
from models import Features


def similarity(maps: Tensor) -> Tensor:
    """Inner products ``(B, B)`` of the images of ``(B, C, H, W)``, with rows of unit length."""
    flat = maps.flatten(start_dim=1)
    return functional.normalize(flat @ flat.T, dim=1)


def sp_loss(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Squared difference of the similarities, mean over ``B^2``.

    Args:
        student: ``(B, C, H, W)``.
        teacher: ``(B, c, h, w)``; any shape per image.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    return functional.mse_loss(similarity(student), cached(similarity, teacher))


class SP(Method):
    """Distance between the similarity matrices of a batch at the last stages of both networks."""

    title = "SP"
    citation = "Tung & Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 3000.0}
    formula = "mean (n(x x') - n(t t'))^2 over B x B, n with rows of length 1"

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"sp": sp_loss(student.feats[-1], teacher.feats[-1], teacher.cached)}
