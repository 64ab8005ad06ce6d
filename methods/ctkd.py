"""Curriculum temperature (CTKD): KD at a trained temperature, which first hardly and then fully works against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.base import Batch, Method, Pair
from methods.logits import check_standardisable, compared, divergence, warmed_up
from models import Features


def with_gradient(value: Tensor, factor: Tensor) -> Tensor:
    """The value, with its gradient times a factor; a negative factor makes an optimiser ascend.

    Args:
        value: any shape.
        factor: scalar.
    """
    return factor * value + (1 - factor) * value.detach()


def reversal(share: Tensor) -> Tensor:
    """Factor of the temperature's gradient, from 0 to -1 along half a cosine.

    Source: Li et al., with the minus sign of the gradient reversal included.

    Args:
        share: how much of the curriculum is over, 0 to 1.
    """
    return -0.5 * (1 - torch.cos(math.pi * share))


def temperature_of(theta: Tensor, lowest: float, width: float) -> Tensor:
    """Temperature ``lowest + width * sigmoid(theta)``."""
    return lowest + width * torch.sigmoid(theta)


def ctkd_loss(student: Tensor, teacher: Tensor, temperature: Tensor) -> Tensor:
    """Divergence ``T^2 / B * sum_b KL(P || Q)`` with a gradient by the temperature.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        temperature: ``T``, a scalar that divides both logits.
    """
    mine, theirs = (_divided(logits, temperature) for logits in (student, teacher))
    return temperature**2 * divergence(mine, theirs, 1.0).mean()


def _divided(logits: Tensor, temperature: Tensor) -> Tensor:
    """Logits over the temperature; masked ones (minus infinity) stay so, without a slope, which would be NaN."""
    masked = logits == -torch.inf
    return (logits.masked_fill(masked, 0.0) / temperature).masked_fill(masked, -torch.inf)


class CTKD(Method):
    """KD at one global temperature that is trained, by the student's optimiser, to make the loss larger.

    The temperature is ``lowest + width * sigmoid(theta)`` with ``theta`` at 1 in the beginning. Where the loss falls as
    the temperature rises, as in the authors' trainings, the temperature sinks to the lowest, and the rest is KD there.

    Options:
        lowest: the lowest temperature.
        width: from the lowest temperature to the highest.
        curriculum: epochs, of a training of 240, in which the temperature's gradient grows to its full size.
        standardise: whether logits are standardised first (logit standardisation, LS).
        scale: factor of the divergence; LS weighs it ten times as much.
    """

    title = "CTKD"
    citation = "Li, Li, Yang, Zhao, Song, Luo, Li & Yang, Curriculum Temperature for Knowledge Distillation, AAAI 2023"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.1, "weight": 0.9}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"ls": {"standardise": True, "lowest": 2.0, "scale": 10.0}}
    formula = "T^2 KL(softmax(v / T) || softmax(z / T)), T trained to raise it"

    def __init__(
        self,
        pair: Pair,
        *,
        lowest: float = 1.0,
        width: float = 20.0,
        curriculum: float = 10.0,
        standardise: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__(pair)
        check_standardisable(self.title, pair, standardise=standardise)
        self.theta = nn.Parameter(torch.ones(()))
        self.lowest = lowest
        self.width = width
        self.curriculum = curriculum
        self.standardise = standardise
        self.scale = scale

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine, theirs = compared(student, teacher, standardise=self.standardise)
        theta = with_gradient(self.theta, reversal(warmed_up(batch, self.curriculum)))
        loss = ctkd_loss(mine, theirs, temperature_of(theta, self.lowest, self.width))
        return {"ctkd": self.scale * loss}
