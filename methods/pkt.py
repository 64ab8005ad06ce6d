"""Probabilistic knowledge transfer: images are as probable neighbours to the student as to the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method
from methods.sharing import Cached, directly
from models import Features


def affinities(embedding: Tensor) -> Tensor:
    """Cosines of the rows of ``(B, C)``, shifted to 0 to 1, as ``(B, B)`` probabilities: each row's sum is 1."""
    unit = embedding / (torch.linalg.vector_norm(embedding, dim=1, keepdim=True) + 1e-7)
    # Rounding takes the cosine of opposite rows below -1, where the logarithm has no value.
    kernel = torch.clamp_min((unit @ unit.T + 1) / 2, 0)
    return kernel / kernel.sum(dim=1, keepdim=True)


def pkt_loss(student: Tensor, teacher: Tensor, cached: Cached = directly) -> Tensor:
    """Divergence of the student's affinities from the teacher's, mean over ``B^2``, where the paper sums.

    Args:
        student: ``(B, C)``.
        teacher: ``(B, c)``; the widths may differ.
        cached: computes what follows from the teacher alone.
    """
    mine, theirs = affinities(student), cached(affinities, teacher)
    return (theirs * ((theirs + 1e-7) / (mine + 1e-7)).log()).mean()


class PKT(Method):
    """Divergence between the affinities of a batch's embeddings."""

    title = "PKT"
    citation = "Passalis & Tefas, Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 30000.0}

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"pkt": pkt_loss(student.embedding, teacher.embedding, teacher.cached)}
