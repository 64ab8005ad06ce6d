"""What follows from a teacher's features alone is the same for all students: how a loss lets it be computed once."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Cached = Callable[..., Tensor]
"""``once(function, *tensors)`` is ``function(*tensors)``, perhaps known already, as to a teacher's `Features.once`."""


def directly(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """``function(*tensors)``, computed here and now."""
    return function(*tensors)
