"""Simple recipe distillation (SRD): the student's embedding, projected and normed, matches the teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.logits import divergence
from methods.teacher_cache import Cached, uncached
from models import Features

LEAST_VARIANCE = 1e-4
LEAST_SUM = 1e-12


def normed(embedding: Tensor) -> Tensor:
    """Batch-norm of ``(B, C)``, ``B > 1``, by the batch's own statistics, without scale and shift."""
    return functional.batch_norm(embedding, None, None, training=True, eps=LEAST_VARIANCE)


def projection_loss(projected: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """``ln sum_bd |a - t|^4`` of the `normed` embeddings, a sum over images and channels.

    Equal embeddings have the logarithm of 1e-12, without a gradient. One image cannot be normed: its loss is 0.

    Args:
        projected: ``(B, C)``, the student's at the teacher's width.
        teacher: ``(B, C)``.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    if len(projected) == 1:
        return 0.0 * projected.sum()
    difference = normed(projected) - cached(normed, teacher)
    return difference.square().square().sum().clamp_min(LEAST_SUM).log()


class SRD(Method):
    """Logarithm of the distance of projected and normed embeddings, and the divergence of the class probabilities.

    Options:
        feature: weight of the distance.
        kd: weight of the divergence.
    """

    title = "SRD"
    citation = "Miles & Mikolajczyk, Understanding the Role of the Projector in Knowledge Distillation, AAAI 2024"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    published_recipe = "ImageNet alone, in batches of 256 at learning rate 0.1"
    formula = "2 ln sum_bd |BN(W h_S + b) - BN(h_T)|^4 + KL(softmax(v) || softmax(z))"

    def __init__(self, pair: Pair, *, feature: float = 2.0, kd: float = 1.0) -> None:
        super().__init__(pair)
        self.feature = feature
        self.kd = kd
        self.projector = nn.Linear(pair.student.embedding, pair.teacher.embedding)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        projected = self.projector(student.embedding)
        return {
            "feature": self.feature * projection_loss(projected, teacher.embedding, teacher.cached),
            "kd": self.kd * divergence(student.logits, teacher.logits, 1.0).mean(),
        }
