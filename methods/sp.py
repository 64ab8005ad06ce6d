"""Similarity-preserving distillation: images that are alike to the teacher are alike to the student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method
from methods.sharing import Cached, directly
from models import Features


def similarity(maps: Tensor) -> Tensor:
    """Products ``(B, B)`` of the images of ``(B, C, H, W)``, each row a unit vector."""
    flat = maps.flatten(start_dim=1)
    return functional.normalize(flat @ flat.T, dim=1)


def sp_loss(student: Tensor, teacher: Tensor, cached: Cached = directly) -> Tensor:
    """Squared difference of the similarities, mean over ``B^2``.

    Args:
        student: ``(B, C, H, W)``.
        teacher: ``(B, c, h, w)``; any shape per image.
        cached: computes what follows from the teacher alone.
    """
    return functional.mse_loss(similarity(student), cached(similarity, teacher))


class SP(Method):
    """Distance between the similarities of a batch's images, at the last stage of either network."""

    title = "SP"
    citation = "Tung & Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 3000.0}

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"sp": sp_loss(student.feats[-1], teacher.feats[-1], teacher.cached)}
