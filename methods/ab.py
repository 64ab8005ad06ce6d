"""Activation boundaries (AB): pretrains the student to activate the same neurons as the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.alignment import paired_stages
from methods.base import Batch, Method, Pair
from methods.regressor import Regressor
from models import Features

# The CRD authors' code divides the sum over a batch by 1000 and multiplies it by 3.
SCALE = 3 / 1000


def boundary_distance(connected: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Sum of squared distances to the teacher's side of the activation boundary.

    The loss is 0 where the student is above ``margin`` and the teacher positive, or the student below ``-margin`` and
    the teacher not positive.

    Args:
        connected: ``(B, C, H, W)``, the student's map in the teacher's shape, before the activation.
        teacher: ``(B, C, H, W)``, before the activation.
        margin: distance to keep from the boundary.
    """
    missing = torch.where(teacher > 0, functional.relu(margin - connected), functional.relu(connected + margin))
    return missing.square().sum()


def ab_loss(layers: Sequence[tuple[Tensor, Tensor]], margin: float) -> Tensor:
    """Boundary distances per image, each layer weighted twice the one before, the last by 3 / 1000.

    Args:
        layers: at least one pair of maps as for `boundary_distance`.
        margin: distance to keep from the boundary.
    """
    total = layers[0][0].new_zeros(())
    for connected, teacher in layers:
        total = total / 2 + boundary_distance(connected, teacher, margin)
    return SCALE * total / len(layers[0][0])


class AB(Method):
    """Distance to the teacher's activation boundaries at paired stages, in a pretraining stage; then cross-entropy.

    After pretraining the paper distils the logits; the CRD authors' code, like this, does not.

    Options:
        margin: distance that the student should keep from a boundary.
    """

    title = "AB"
    citation = (
        "Heo, Lee, Yun & Choi, Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons, "
        "AAAI 2019"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    pretrain = "student"
    formula = "before the run: 3 / (1000 B) sum_i 2^(i - n) |relu(1 -+ x_i)|^2, - where t_i > 0 and + elsewhere"

    def __init__(self, pair: Pair, *, margin: float = 1.0) -> None:
        super().__init__(pair)
        if margin <= 0:
            raise ValueError(f"ab: margin must be above 0, not {margin}")
        self.margin = margin
        self.connectors = nn.ModuleList(
            nn.Identity() if student == teacher else Regressor(student, teacher, rectify=False)
            for student, teacher in paired_stages(pair.student.feats, pair.teacher.feats)
        )

    def pretrain_modules(self) -> nn.Module:
        return self.connectors

    def pretrain_loss(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        pairs = zip(self.connectors, paired_stages(student.preacts, teacher.preacts), strict=True)
        return {"ab": ab_loss([(connector(mine), theirs) for connector, (mine, theirs) in pairs], self.margin)}

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {}
