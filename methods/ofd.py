"""Overhaul of feature distillation: maps before their activation, cut at a margin that suits the teacher."""

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
    """Mean of the negative responses of every channel of a batch-norm (the paper's margin ReLU).

    A channel is taken for normal with mean ``bias`` and deviation ``|weight|``. Where fewer than one response in a
    thousand is negative the margin is three deviations; where the deviation is 0 it is the negative part of the mean.

    Args:
        weight: ``(C,)``, scale of the batch-norm.
        bias: ``(C,)``, shift of the batch-norm.
    """
    deviation = weight.abs()
    ratio = bias / deviation
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    negative = torch.special.ndtr(-ratio)
    # A deviation of 0 needs no case of its own: the ratio is infinite, or not a number and above no limit.
    return torch.where(negative > 1e-3, bias - deviation * density / negative, -3 * deviation)


def partial_distance(connected: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Sum of squared differences to the teacher's map, where they matter (the paper's partial L2).

    Where the teacher is not positive, a student that is already below it costs nothing.

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
    """Partial distance between connected pre-activation maps of paired stages."""

    title = "OFD"
    citation = "Heo, Kim, Yun, Park, Kwak & Choi, A Comprehensive Overhaul of Feature Distillation, ICCV 2019"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1e-3}
    requires = ("teacher_in_train_mode",)

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        stages = paired_stages(pair.student.feats, pair.teacher.feats)
        self.connectors = nn.ModuleList(Connector(student[0], teacher[0], rectify=False) for student, teacher in stages)
        for stage, norm in enumerate(pair.teacher_network.preact_norms()[: len(stages)]):
            # The teacher gives them again when a run resumes, so no checkpoint needs to hold them.
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
