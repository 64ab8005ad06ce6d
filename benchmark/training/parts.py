"""Profiler labels for the parts of a training step; without a profiler a label costs microseconds."""

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
"""The parts in the order of a step."""


def part(name: str) -> record_function:
    """Label the block as one of `PARTS`."""
    return record_function(name)


def each(name: str, items: Iterable[T]) -> Iterator[T]:
    """Iterate over items, with the computation of each labelled as a part."""
    iterator = iter(items)
    while True:
        with part(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
