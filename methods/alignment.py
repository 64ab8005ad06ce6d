"""Pairing and pooling of feature maps of different networks before a loss compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor
from torch.nn import functional

S = TypeVar("S")
T = TypeVar("T")


def paired_stages(student: Sequence[S], teacher: Sequence[T]) -> list[tuple[S, T]]:
    """Pair the stage feats ``f_1, f_2, ...`` of two networks, or anything indexed in the same way.

    The i-th stages of all families have about the same resolution. The stem ``f_0`` and stages without a partner are
    dropped.
    """
    return list(zip(student[1:], teacher[1:], strict=False))


def pool_to_smaller(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool the larger of two maps ``(B, *, H, W)`` to the height and width of the smaller one."""
    size = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
    return _pool(first, size), _pool(second, size)


def _pool(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else functional.adaptive_avg_pool2d(maps, size)
