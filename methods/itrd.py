"""Information theoretic representation distillation (ITRD): channels correlate and images relate as the teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.teacher_cache import Cached, uncached
from models import Features

FLAT = 1e-6
"""A channel that deviates by less, as a share of its root mean square, is constant."""


def standardised_channels(embedding: Tensor) -> Tensor:
    """Channels of ``(B, C)``, ``B > 1``, with mean 0 and standard deviation 1 (with ``B - 1``) over the images.

    A channel that does not vary becomes 0, without a gradient.
    """
    variance, mean = torch.var_mean(embedding, dim=0, keepdim=True)
    # The derivative of the root is infinite at 0, which masking keeps out of the gradient.
    flat = variance <= FLAT**2 * embedding.square().mean(dim=0, keepdim=True)
    return ((embedding - mean) / variance.masked_fill(flat, 1.0).sqrt()).masked_fill(flat, 0.0)


def correlation_loss(student: Tensor, teacher: Tensor, alpha: float, cached: Cached = uncached) -> Tensor:
    """``log2 sum_d |c_d - 1|^(2 alpha)``, where ``c_d`` is the correlation of channel ``d`` of student and teacher.

    The correlation divides by ``B`` and the deviations by ``B - 1``, so that the loss is at least ``log2 C - 2 alpha
    log2 B``. One image has no correlation: its loss is 0.

    Args:
        student: ``(B, C)``, at the teacher's width.
        teacher: ``(B, C)``.
        alpha: order of the entropy.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    if len(student) == 1:
        return 0.0 * student.sum()
    products = standardised_channels(student) * cached(standardised_channels, teacher)
    return (products.mean(dim=0) - 1).abs().pow(2 * alpha).sum().log2()


def similarities(embedding: Tensor) -> Tensor:
    """Cosine similarities of the rows of ``(B, C)``, ``(B, B)``; a row of zeros has 0."""
    unit = functional.normalize(embedding, dim=1)
    return unit @ unit.T


def mutual_loss(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """``sum_ij (G / tr G)^2 - (H / tr H)^2``, with the student's `similarities` ``G`` and ``H = G G_T`` by elements.

    One image has the loss 0.

    Args:
        student: ``(B, C)``.
        teacher: ``(B, c)``; the widths may differ.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    if len(student) == 1:
        return 0.0 * student.sum()
    mine = similarities(student)
    return _information(mine) - _information(mine * cached(similarities, teacher))


def _information(similar: Tensor) -> Tensor:
    """Sum of the squares of a matrix ``(B, B)`` of trace 1."""
    # The trace counts images with features, so that only the trace of no such image is below one half.
    return (similar / similar.trace().clamp_min(0.5)).square().sum()


class ITRD(Method):
    """Correlation of the channels of both embeddings, and information that their similarities of images share.

    A linear layer brings the student's embedding to the teacher's width. The similarities of embeddings of equal widths
    do not use it.

    Options:
        correlation: weight of the correlation loss.
        alpha: order of its entropy.
        mutual: weight of the mutual information loss.
    """

    title = "ITRD"
    citation = "Miles, López Rodríguez & Mikolajczyk, Information Theoretic Representation Distillation, BMVC 2022"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"same": {"alpha": 1.01, "mutual": 1.0}}
    formula = "l_c log2 sum_d |c_d - 1|^(2 alpha) + l_m sum_ij ((G_S / tr G_S)^2 - (H / tr H)^2), H = G_S o G_T"

    def __init__(self, pair: Pair, *, correlation: float = 2.0, alpha: float = 1.5, mutual: float = 0.05) -> None:
        super().__init__(pair)
        self.correlation = correlation
        self.alpha = alpha
        self.mutual = mutual
        self.widen = nn.Linear(pair.student.embedding, pair.teacher.embedding)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        widened, target = self.widen(student.embedding), teacher.embedding
        related = student.embedding if student.embedding.shape == target.shape else widened
        return {
            "correlation": self.correlation * correlation_loss(widened, target, self.alpha, teacher.cached),
            "mutual": self.mutual * mutual_loss(related, target, teacher.cached),
        }
