"""Flow of solution procedure (FSP): pretrains the student to match products of neighbouring maps' channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.alignment import pool_to_smaller
from methods.base import Batch, Method
from models import Features


def flow(before: Tensor, after: Tensor) -> Tensor:
    """Products ``(B, c, C)`` of the channels of two maps of one network, mean over positions (Eq. 1 of the paper).

    Args:
        before: ``(B, C, H, W)``.
        after: ``(B, c, h, w)``; the larger of the two is pooled to the size of the smaller.
    """
    before, after = (maps.flatten(start_dim=2) for maps in pool_to_smaller(before, after))
    return torch.bmm(after, before.mT) / after.shape[2]


def fsp_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Squared difference of the flows, mean over their elements, summed over neighbouring maps.

    The mean is the CRD authors', where the paper sums over the elements.

    Args:
        student: maps ``(B, C_i, H_i, W_i)`` in order, at least two.
        teacher: maps ``(B, C_i, h_i, w_i)`` in order; maps of one network without a partner are left out.
    """
    pairs = zip(pairwise(student), pairwise(teacher), strict=False)
    return torch.stack([functional.mse_loss(flow(*mine), flow(*theirs)) for mine, theirs in pairs]).sum()


class FSP(Method):
    """Distance between the flows of both networks from the stem on, in a pretraining stage; then cross-entropy."""

    title = "FSP"
    citation = (
        "Yim, Joo, Bae & Kim, A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer "
        "Learning, CVPR 2017"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    requires = ("equal_channels",)
    pretrain = "student"
    formula = "before the run: sum_i mean (G_i(x) - G_i(t))^2, G_i(x) = x_(i+1) x_i' / (H W)"

    def pretrain_loss(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"fsp": fsp_loss(student.feats, teacher.feats)}

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {}
