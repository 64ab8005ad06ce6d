"""Probabilistic knowledge transfer (PKT): matches the distributions of similarities between a batch's images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method
from methods.teacher_cache import Cached, uncached
from models import Features


def affinities(embedding: Tensor) -> Tensor:
    """Cosine similarities of the rows of ``(B, C)``, mapped to 0..1 and normalised to rows of sum 1, ``(B, B)``."""
    unit = embedding / (torch.linalg.vector_norm(embedding, dim=1, keepdim=True) + 1e-7)
    # Rounding can make the cosine of opposite rows less than -1, whose logarithm would be NaN.
    kernel = torch.clamp_min((unit @ unit.T + 1) / 2, 0)
    return kernel / kernel.sum(dim=1, keepdim=True)


def pkt_loss(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Divergence of the student's affinities from the teacher's, mean over ``B^2``, where the paper sums.

    Args:
        student: ``(B, C)``.
        teacher: ``(B, c)``; the widths may differ.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    mine, theirs = affinities(student), cached(affinities, teacher)
    return (theirs * ((theirs + 1e-7) / (mine + 1e-7)).log()).mean()


class PKT(Method):
    """Divergence between the affinities of a batch's embeddings."""

    title = "PKT"
    citation = "Passalis & Tefas, Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 30000.0}
    formula = "mean_ij P_ij ln (P_ij / Q_ij), P and Q = (1 + cos(h_i, h_j)) / 2 over its row sum, of h_T and h_S"

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"pkt": pkt_loss(student.embedding, teacher.embedding, teacher.cached)}
