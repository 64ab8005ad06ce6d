"""Refined logit distillation (RLD): the teacher's confidence for the label, and the classes that it ranks below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.logits import check_standardisable, compared, divergence, two_class_divergence, warmed_up
from models import Features


def scd_loss(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Sample confidence (SCD): divergence of the student's probability of the label from the teacher's highest one.

    Each is compared together with its complement, ``P ln(P / Q) + (1 - P) ln((1 - P) / (1 - Q))``. An image whose label
    the teacher masks by minus infinity adds 0.

    Source: Sun et al., with the square of the temperature as factor, as in their code; mean over the images.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        targets: ``(B,)`` int64 labels.
        temperature: divides both logits.
    """
    losses = two_class_divergence(student, teacher, targets, teacher.argmax(dim=1), temperature)
    masked = teacher.gather(1, targets[:, None]).squeeze(1) == -torch.inf
    return temperature**2 * losses.masked_fill(masked, 0.0).mean()


def mcd_loss(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Masked correlation (MCD): divergence over the classes that the teacher ranks below the label.

    An image whose label the teacher ranks last adds 0. Source and arguments are those of `scd_loss`.
    """
    below = teacher < teacher.gather(1, targets[:, None])
    return temperature**2 * divergence(student, teacher, temperature, below).mean()


class RLD(Method):
    """Sample confidence and masked correlation; with one temperature it is DKD wherever the teacher is right.

    Options:
        confidence_temperature: of the sample confidence.
        temperature: of the masked correlation.
        alpha: weight of the sample confidence.
        beta: weight of the masked correlation.
        warmup: epochs, of a training of 240, in which the weight of both parts rises to its value; 0 for none.
        standardise: whether logits are standardised first (logit standardisation, LS).
    """

    title = "RLD"
    citation = "Sun, Chen, Lyu, Chen, Chen & Wang, Knowledge Distillation with Refined Logits, ICCV 2025"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "same-t": {"confidence_temperature": 4.0},
        "ls": {"standardise": True, "alpha": 9.0, "beta": 72.0, "temperature": 2.0, "confidence_temperature": 2.0},
    }
    formula = "alpha t^2 KL(teacher's top class, rest || label, rest) + beta T^2 KL(classes ranked below the label)"

    def __init__(
        self,
        pair: Pair,
        *,
        confidence_temperature: float = 1.0,
        temperature: float = 4.0,
        alpha: float = 1.0,
        beta: float = 8.0,
        warmup: float = 20.0,
        standardise: bool = False,
    ) -> None:
        super().__init__(pair)
        check_standardisable(self.title, pair, standardise=standardise)
        self.confidence_temperature = confidence_temperature
        self.temperature = temperature
        self.alpha = alpha
        self.beta = beta
        self.warmup = warmup
        self.standardise = standardise

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine, theirs = compared(student, teacher, standardise=self.standardise)
        weight = warmed_up(batch, self.warmup)
        return {
            "scd": weight * self.alpha * scd_loss(mine, theirs, batch.targets, self.confidence_temperature),
            "mcd": weight * self.beta * mcd_loss(mine, theirs, batch.targets, self.temperature),
        }
