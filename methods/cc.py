"""Correlation congruence (CC): penalises differences between student and teacher that recur on the next image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from methods.base import Batch, Method, Pair
from models import Features


def cc_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Product of the absolute differences of neighbouring images, summed over ``C``, mean over the ``B - 1`` pairs.

    This is the form in the CRD authors' code, which comes from the method's author. The paper compares correlation
    matrices by a Gaussian kernel instead.

    Args:
        student: ``(B, C)``.
        teacher: ``(B, C)``.
    """
    difference = (student - teacher).abs()
    # The loss of a single image is 0.
    return (difference[:-1] * difference[1:]).sum() / max(1, len(difference) - 1)


class CC(Method):
    """Correlation congruence of linear heads on both embeddings; both heads are trained with the student.

    Options:
        dim: output size of the heads.
    """

    title = "CC"
    citation = "Peng, Jin, Liu, Li, Wu, Liu, Zhou & Zhang, Correlation Congruence for Knowledge Distillation, ICCV 2019"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 0.02}
    formula = "1 / (B - 1) sum_b <|d_b|, |d_(b+1)|>, d_b = W_S h_S - W_T h_T of image b"

    def __init__(self, pair: Pair, *, dim: int = 128) -> None:
        super().__init__(pair)
        self.head_student = nn.Linear(pair.student.embedding, dim)
        self.head_teacher = nn.Linear(pair.teacher.embedding, dim)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"cc": cc_loss(self.head_student(student.embedding), self.head_teacher(teacher.embedding))}
