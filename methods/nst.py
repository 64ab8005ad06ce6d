"""Neuron selectivity transfer (NST): matches the distributions of the channels' spatial activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from methods.alignment import paired_stages, pool_to_smaller
from methods.base import Batch, Method
from methods.teacher_cache import Cached, uncached
from models import Features


def discrepancy(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Squared maximum mean discrepancy of the channels' selectivity, mean over images.

    A channel's selectivity is its unit vector over the positions; the kernel is ``(x . y)^2``. Its mean over the
    channels is ``k(a, b) = |a' b|^2 / (C_a C_b)``, the loss ``k(T, T) + k(S, S) - 2 k(S, T)``. Since ``|a' b|^2`` is
    also the inner product of ``a a'`` and ``b b'``, the loss is the squared distance of these two matrices, which are
    far smaller for maps with many channels and few positions.

    Args:
        student: ``(B, C, H, W)``.
        teacher: ``(B, c, H, W)``.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    channels = student.shape[1], teacher.shape[1]
    if (student.shape[2] * student.shape[3]) ** 2 < channels[0] * channels[1]:
        return (by_positions(student) - cached(by_positions, teacher)).square().sum() / len(student)
    mine, both = _Products.apply(_rows(student), _rows(teacher))
    theirs = cached(by_channels, teacher)
    weights, their_weights = (_weights(products.diagonal(dim1=1, dim2=2)) for products in (mine, theirs))
    kernels = (_kernel(theirs, their_weights, their_weights), _kernel(mine, weights, weights))
    return sum(kernels) - 2 * _kernel(both, weights, their_weights)


def by_positions(maps: Tensor) -> Tensor:
    """Products ``(B, P, P)`` of the positions of ``(B, C, H, W)``, mean over channels that are unit vectors."""
    rows = _rows(maps)
    weighted = rows * _weights(rows.square().sum(dim=1)).whole[:, None, :]
    return torch.bmm(weighted, rows.mT) / maps.shape[1]


def by_channels(maps: Tensor) -> Tensor:
    """Products ``(B, C, C)`` of the channels of ``(B, C, H, W)``."""
    rows = _rows(maps)
    return torch.bmm(rows.mT, rows)


def _rows(maps: Tensor) -> Tensor:
    """``(B, P, C)``: a view where the channels lie last in memory."""
    return maps.permute(0, 2, 3, 1).flatten(start_dim=1, end_dim=2)


LEAST_LENGTH = 1e-12
"""Smallest divisor of a channel, as in the authors' code."""
ORDINARY = 1e-8, 1e8
"""Range of a channel's squared length in which squared products fit into float32 without scaling."""


class _Weights(NamedTuple):
    """1 over the squared lengths of channels ``(B, C)`` as ``scale^2 * rest``, since float32 cannot square 1e24.

    Attributes:
        scale: 1 for ordinary lengths, else 1 over the length; without gradient.
        rest: the weight over ``scale^2``.
    """

    scale: Tensor
    rest: Tensor

    @property
    def whole(self) -> Tensor:
        """The weights ``scale^2 * rest``."""
        return self.rest * self.scale.square()


def _weights(squares: Tensor) -> _Weights:
    """Weights of channels from their squared lengths ``(B, C)``; a channel of zeros has products of 0."""
    squares = squares.clamp_min(LEAST_LENGTH**2)
    fixed = squares.detach()
    scale = fixed.rsqrt().masked_fill((fixed >= ORDINARY[0]) & (fixed <= ORDINARY[1]), 1.0)
    return _Weights(scale, (squares * scale.square()).reciprocal())


def _kernel(products: Tensor, first: _Weights, second: _Weights) -> Tensor:
    """Mean of the squared products of unit vectors, from the products and the weights of both sides' channels."""
    scaled = products * (first.scale[:, :, None] * second.scale[:, None, :])
    return torch.einsum("bi,bij,bj->", first.rest, scaled.square(), second.rest) / products.numel()


class _Products(torch.autograd.Function):
    """``a' a`` and ``a' b``, with the gradient by ``a`` in two matrix products instead of autograd's four."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(first, second)
        return torch.bmm(first.mT, first), torch.bmm(first.mT, second)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, own: Tensor, both: Tensor) -> tuple[Tensor, None]:
        first, second = ctx.saved_tensors
        return torch.bmm(first, own + own.mT).baddbmm_(second, both.mT), None


def nst_loss(pairs: Sequence[tuple[Tensor, Tensor]], cached: Cached = uncached) -> Tensor:
    """Discrepancy of the channels' selectivity, summed over the pairs of maps.

    Args:
        pairs: at least one pair of a student's and a teacher's map ``(B, C, H, W)``; the sizes may differ.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    return torch.stack([discrepancy(*pool_to_smaller(*pair), cached) for pair in pairs]).sum()


class NST(Method):
    """Maximum mean discrepancy of the channels' selectivity at paired stages."""

    title = "NST"
    citation = (
        "Huang & Wang, Like What You Like: Knowledge Distill via Neuron Selectivity Transfer, arXiv:1707.01219, 2017"
    )
    revision = 2
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 50.0}
    formula = "sum_i k(t_i, t_i) + k(x_i, x_i) - 2 k(x_i, t_i), k(x, t) = mean_cd <x_c, t_d>^2 of unit channels"

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"nst": nst_loss(paired_stages(student.feats, teacher.feats), teacher.cached)}
