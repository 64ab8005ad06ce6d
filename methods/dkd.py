"""Decoupled knowledge distillation (DKD): the divergence of KD split into the label against the rest, and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.logits import check_standardisable, compared, divergence, labelled, two_class_divergence, warmed_up
from models import Features


def tckd_loss(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Target class part (TCKD): divergence between the probabilities of the label and of all other classes together.

    Source: Zhao et al., with the square of the temperature as factor, as in their code; mean over the images.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        targets: ``(B,)`` int64 labels.
        temperature: divides both logits.
    """
    return temperature**2 * two_class_divergence(student, teacher, targets, targets, temperature).mean()


def nckd_loss(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Non-target class part (NCKD): divergence between the softmaxes over all classes but the label.

    Source and arguments are those of `tckd_loss`. With two classes it is 0.
    """
    others = ~labelled(targets, student.shape[1])
    return temperature**2 * divergence(student, teacher, temperature, others).mean()


class DKD(Method):
    """Both parts of the divergence with weights of their own.

    In KD the second part counts less the surer the teacher is of the label.

    Options:
        alpha: weight of the target class part.
        beta: weight of the non-target class part.
        temperature: divides both logits.
        warmup: epochs, of a training of 240, in which the weight of both parts rises to its value; 0 for none.
        standardise: whether logits are standardised first (logit standardisation, LS).
    """

    title = "DKD"
    citation = "Zhao, Cui, Song, Qiu & Liang, Decoupled Knowledge Distillation, CVPR 2022"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "ls": {"standardise": True, "alpha": 9.0, "beta": 72.0, "temperature": 2.0}
    }
    formula = "T^2 (alpha KL(label, rest) + beta KL(classes without the label))"

    def __init__(
        self,
        pair: Pair,
        *,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        warmup: float = 20.0,
        standardise: bool = False,
    ) -> None:
        super().__init__(pair)
        check_standardisable(self.title, pair, standardise=standardise)
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.warmup = warmup
        self.standardise = standardise

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine, theirs = compared(student, teacher, standardise=self.standardise)
        weight = warmed_up(batch, self.warmup)
        return {
            "tckd": weight * self.alpha * tckd_loss(mine, theirs, batch.targets, self.temperature),
            "nckd": weight * self.beta * nckd_loss(mine, theirs, batch.targets, self.temperature),
        }
