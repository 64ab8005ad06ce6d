"""Types for losses that cache what they compute from the teacher alone, see `Features.cached`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Cached = Callable[..., Tensor]
"""A function like a teacher's `Features.cached`: ``cached(function, *tensors)`` returns ``function(*tensors)``."""


def uncached(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """``function(*tensors)`` without a cache, for calls without a trainer."""
    return function(*tensors)
