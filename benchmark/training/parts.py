"""The parts of a training step, by name, for whoever profiles one: a label costs microseconds where nobody does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from torch.profiler import record_function

T = TypeVar("T")

DATA, TEACHER, FORWARD, LOSS, BACKWARD, OPTIMIZER = PARTS = (
    "data",
    "teacher",
    "student forward",
    "loss",
    "backward",
    "optimizer",
)
"""In the order of a step. The loss's backward pass is part of ``backward``."""


def part(name: str) -> record_function:
    """Label what is done in a block as one of `PARTS`."""
    return record_function(name)


def each(name: str, items: Iterable[T]) -> Iterator[T]:
    """The items, the making of each labelled as a part."""
    iterator = iter(items)
    while True:
        with part(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
