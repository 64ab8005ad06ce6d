"""Knowledge distillation (KD): the student's softened class probabilities match the teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.logits import check_standardisable, compared
from models import Features


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence ``temperature^2 / B * sum_bk P ln(P / Q)``.

    ``P`` and ``Q`` are the teacher's and the student's softmax at the temperature. The factor ``temperature^2`` keeps
    gradients about equally large at all temperatures (Hinton et al., section 2).

    Args:
        student_logits: ``(B, K)``.
        teacher_logits: ``(B, K)``; a class that the teacher masks by minus infinity has ``P = 0`` and adds nothing,
            also where the student masks it.
        temperature: divides both logits.
    """
    student = functional.log_softmax(student_logits / temperature, dim=1)
    teacher = functional.log_softmax(teacher_logits / temperature, dim=1)
    # Finite values, since a probability of 0 times an infinite logarithm would be NaN.
    masked = teacher == -torch.inf
    student, teacher = student.masked_fill(masked, 0.0), teacher.clamp_min(torch.finfo(teacher.dtype).min)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


class KD(Method):
    """Divergence between the softened outputs of teacher and student.

    Options:
        temperature: divides both logits.
        standardise: whether logits are standardised first (logit standardisation, LS).
        scale: factor of the divergence; LS weighs it ten times as much.
    """

    title = "KD"
    citation = "Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network, NIPS Deep Learning Workshop, 2014"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.1, "weight": 0.9}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "ls": {"standardise": True, "scale": 10.0, "temperature": 2.0}
    }
    formula = "T^2 KL(softmax(v / T) || softmax(z / T))"

    def __init__(self, pair: Pair, *, temperature: float = 4.0, standardise: bool = False, scale: float = 1.0) -> None:
        super().__init__(pair)
        check_standardisable(self.title, pair, standardise=standardise)
        self.temperature = temperature
        self.standardise = standardise
        self.scale = scale

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine, theirs = compared(student, teacher, standardise=self.standardise)
        loss = kd_loss(mine, theirs, self.temperature)
        return {"kd": self.scale * loss}
