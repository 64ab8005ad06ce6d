"""Variational information distillation (VID): maximises the likelihood of the teacher's maps given the student's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.alignment import paired_stages, pool_to_smaller
from methods.base import Batch, Method, Pair
from models import Features

LEAST_VARIANCE = 1e-5


def vid_loss(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Gaussian negative log-likelihood without its constant, mean over all elements; it may be negative.

    ``((mean - teacher)^2 / variance + ln(variance)) / 2``. The mean follows the CRD authors' code; the paper sums.

    Args:
        mean: ``(B, C, H, W)``, predicted from the student's map.
        teacher: ``(B, C, H, W)``.
        variance: ``(C,)``, positive.
    """
    square = (mean - teacher).square().mean(dim=(0, 2, 3))
    return (square / variance + variance.log()).mean() / 2


class Gaussian(nn.Module):
    """Gaussian of a teacher's map given a student's: the mean by three convolutions, one variance per channel.

    Args:
        student_channels: channels of the student's map.
        teacher_channels: channels of the teacher's map.
        variance: initial variance of all channels.
    """

    def __init__(self, student_channels: int, teacher_channels: int, variance: float) -> None:
        super().__init__()
        layers = [
            nn.Conv2d(channels, teacher_channels, kernel_size=1, bias=False)
            for channels in (student_channels, teacher_channels, teacher_channels)
        ]
        self.mean = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        excess = variance - LEAST_VARIANCE
        # The inverse of softplus, in a form that does not overflow for large variances.
        self.spread = nn.Parameter(torch.full((teacher_channels,), excess + math.log(-math.expm1(-excess))))

    def forward(self, student: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``(B, C, H, W)`` and variance ``(C,)`` from the student's map."""
        return self.mean(student), functional.softplus(self.spread) + LEAST_VARIANCE


class VID(Method):
    """Negative log-likelihood of the teacher's maps at paired stages, given the student's.

    Options:
        variance: initial variance of the prediction.
    """

    title = "VID"
    citation = (
        "Ahn, Hu, Damianou, Lawrence & Dai, Variational Information Distillation for Knowledge Transfer, CVPR 2019"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    formula = "sum_i mean ((m_i(x_i) - t_i)^2 / s_i + ln s_i) / 2, m_i convolutions, s_i a variance for each channel"

    def __init__(self, pair: Pair, *, variance: float = 5.0) -> None:
        super().__init__(pair)
        if variance <= LEAST_VARIANCE:
            raise ValueError(f"vid: variance must be above {LEAST_VARIANCE}, not {variance}")
        stages = paired_stages(pair.student.feats, pair.teacher.feats)
        self.gaussians = nn.ModuleList(Gaussian(student[0], teacher[0], variance) for student, teacher in stages)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        losses = []
        for gaussian, stage in zip(self.gaussians, paired_stages(student.feats, teacher.feats), strict=True):
            mine, theirs = pool_to_smaller(*stage)
            mean, variance = gaussian(mine)
            losses.append(vid_loss(mean, theirs, variance))
        return {"vid": torch.stack(losses).sum()}
