"""Average pooling of feature maps to a given size, in a form whose results students of a cohort share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from torch import Tensor
from torch.nn import functional


def pooled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Average-pool maps ``(B, C, H, W)`` to a height and width; a smaller map repeats its positions.

    Windows are those of adaptive pooling, which overlap where sizes do not divide.
    """
    return maps if maps.shape[2:] == size else functional.adaptive_avg_pool2d(maps, size)


@cache
def pooling(height: int, width: int) -> Callable[[Tensor], Tensor]:
    """`pooled` for one size: equal arguments give the same function, so that `Features.cached` knows it again."""
    return partial(pooled, size=(height, width))
