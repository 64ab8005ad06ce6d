"""Weighted transformed teacher matching (WTTM): TTM with more weight on images of which the teacher is unsure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.ttm import ttm_losses
from models import Features


def powers_sum(teacher: Tensor, exponent: float) -> Tensor:
    """Weights of the images, ``(B,)``: the sum over classes of the teacher's probabilities to a power.

    They are between 1, for a teacher that is certain, and ``K^(1 - exponent)``.

    Source: Zheng & Yang, the weights of WTTM.

    Args:
        teacher: logits ``(B, K)``.
        exponent: the power, in (0, 1].
    """
    return (exponent * teacher.log_softmax(dim=1)).logsumexp(dim=1).exp()


class WTTM(Method):
    """TTM's divergence of each image times the sum of powers that normalises the teacher's probabilities.

    Options:
        exponent: the power of the teacher's probabilities, gamma in the paper.
        scale: weight of the divergence, beta in the paper.
    """

    title = "WTTM"
    citation = "Zheng & Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    formula = "beta U KL(p || softmax(z)), p = softmax(v)^gamma / U"

    def __init__(self, pair: Pair, *, exponent: float = 0.2, scale: float = 4.0) -> None:
        super().__init__(pair)
        self.exponent = exponent
        self.scale = scale

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        losses = ttm_losses(student.logits, teacher.logits, self.exponent)
        return {"wttm": self.scale * (powers_sum(teacher.logits, self.exponent) * losses).mean()}
