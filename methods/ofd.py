"""Overhaul of feature distillation (OFD): matches maps before their activation, cut at a margin of the teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.alignment import paired_stages, pool_to_smaller
from methods.base import Batch, Method, Pair
from methods.connector import Connector
from models import Features


def margins(weight: Tensor, bias: Tensor) -> Tensor:
    """Mean of the negative responses of every channel of a batch-norm (the paper's margin ReLU), ``(C,)``.

    Responses are assumed to be normal with mean ``bias`` and deviation ``|weight|``. If fewer than one in a thousand is
    negative, the margin is minus three deviations; if the deviation is 0, it is the negative part of the mean.

    Args:
        weight: ``(C,)``, scale of the batch-norm.
        bias: ``(C,)``, shift of the batch-norm.
    """
    deviation = weight.abs()
    ratio = bias / deviation
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    negative = torch.special.ndtr(-ratio)
    # A deviation of 0 needs no special case: the ratio is infinite, or NaN, which fails the comparison.
    return torch.where(negative > 1e-3, bias - deviation * density / negative, -3 * deviation)


def partial_distance(connected: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Sum of squared differences to the teacher's map cut at the margin (the paper's partial L2).

    Positions where the teacher is not positive and the student already below it add nothing.

    Args:
        connected: ``(B, C, H, W)``, the student's map at the teacher's channels.
        teacher: ``(B, C, H, W)``, before the activation.
        margin: ``(C,)``, lower bound of the teacher's channels.
    """
    target = torch.maximum(teacher, margin[:, None, None])
    matters = (connected > target) | (target > 0)
    return ((connected - target).square() * matters).sum()


def ofd_loss(layers: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Partial distances per image, each layer weighted twice the one before, the last by 1.

    Args:
        layers: at least one triple of student's map, teacher's map and margin, as for `partial_distance`; the sizes of
            the maps may differ.
    """
    total = layers[0][0].new_zeros(())
    for connected, teacher, margin in layers:
        total = total / 2 + partial_distance(*pool_to_smaller(connected, teacher), margin)
    return total / len(layers[0][0])


class OFD(Method):
    """Partial L2 distance between the pre-activation maps of paired stages, the student's mapped by connectors."""

    title = "OFD"
    citation = "Heo, Kim, Yun, Park, Kwak & Choi, A Comprehensive Overhaul of Feature Distillation, ICCV 2019"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1e-3}
    requires = ("teacher_in_train_mode",)
    formula = "1 / B sum_i 2^(i - n) sum (r(x_i) - u_i)^2 where r(x_i) > u_i or t_i > 0, u_i = max(t_i, m_i)"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        stages = paired_stages(pair.student.feats, pair.teacher.feats)
        self.connectors = nn.ModuleList(Connector(student[0], teacher[0], rectify=False) for student, teacher in stages)
        for stage, norm in enumerate(pair.teacher_network.preact_norms()[: len(stages)]):
            # Not persistent: a resumed run computes them from the teacher again.
            margin = margins(norm.weight.detach().cpu().double(), norm.bias.detach().cpu().double()).to(norm.weight)
            self.register_buffer(f"margin{stage}", margin, persistent=False)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        layers = [
            (connector(mine), theirs, self.get_buffer(f"margin{stage}"))
            for stage, (connector, (mine, theirs)) in enumerate(
                zip(self.connectors, paired_stages(student.preacts, teacher.preacts), strict=True)
            )
        ]
        return {"ofd": ofd_loss(layers)}
