"""Neuron selectivity transfer: channels of student and teacher answer to the same places of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.alignment import paired_stages, pool_to_smaller
from methods.base import Batch, Method
from models import Features


def selectivity(maps: Tensor) -> Tensor:
    """Every channel of ``(B, C, H, W)`` as a unit vector over the positions: ``(B, C, H * W)``."""
    return functional.normalize(maps.flatten(start_dim=2), dim=2)


def discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared maximum mean discrepancy with the kernel ``(x . y)^2``, mean over images.

    The kernel's mean is ``k(a, b) = |a b'|^2 / (C_a C_b)``, the loss ``k(T, T) + k(S, S) - 2 k(S, T)``. Since
    ``|a b'|^2`` is also the product of ``a' a`` and ``b' b``, the loss is the squared distance of these two, which is
    far smaller where a map has many channels and few positions.

    Args:
        student: ``(B, C, P)``, unit vectors.
        teacher: ``(B, c, P)``, unit vectors.
    """
    positions, channels = student.shape[2], (student.shape[1], teacher.shape[1])
    if positions**2 < channels[0] * channels[1]:
        mine, theirs = (torch.bmm(unit.mT, unit) / unit.shape[1] for unit in (student, teacher))
        return (mine - theirs).square().sum() / len(student)
    return _kernel(teacher, teacher) + _kernel(student, student) - 2 * _kernel(student, teacher)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return torch.bmm(first, second.mT).square().mean()


def nst_loss(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Discrepancy of the channels' selectivity, summed over the pairs of maps.

    Args:
        pairs: at least one pair of a student's and a teacher's map ``(B, C, H, W)``; the sizes may differ.
    """
    aligned = (pool_to_smaller(*pair) for pair in pairs)
    return torch.stack([discrepancy(selectivity(mine), selectivity(theirs)) for mine, theirs in aligned]).sum()


class NST(Method):
    """Discrepancy between the selectivity of channels of paired stages."""

    title = "NST"
    citation = (
        "Huang & Wang, Like What You Like: Knowledge Distill via Neuron Selectivity Transfer, arXiv:1707.01219, 2017"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 50.0}

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"nst": nst_loss(paired_stages(student.taps, teacher.taps))}
