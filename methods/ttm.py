"""Transformed teacher matching (TTM): the student's plain probabilities match powers of the teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.logits import divergence
from models import Features


def ttm_losses(student: Tensor, teacher: Tensor, exponent: float) -> Tensor:
    """Divergence of every image, ``(B,)``, from the teacher's probabilities to a power and normalised again.

    That is the softmax of ``exponent * teacher``, so KD without the temperature of the student.

    Source: Zheng & Yang, TTM.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        exponent: the power, in (0, 1]; one over the teacher's temperature.
    """
    return divergence(student, exponent * teacher, 1.0)


class TTM(Method):
    """Divergence from the transformed probabilities of the teacher.

    Options:
        exponent: the power of the teacher's probabilities, gamma in the paper.
        scale: weight of the divergence, beta in the paper.
    """

    title = "TTM"
    citation = "Zheng & Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    formula = "beta KL(p || softmax(z)), p = softmax(v)^gamma / sum"

    def __init__(self, pair: Pair, *, exponent: float = 0.1, scale: float = 45.0) -> None:
        super().__init__(pair)
        self.exponent = exponent
        self.scale = scale

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"ttm": self.scale * ttm_losses(student.logits, teacher.logits, self.exponent).mean()}
