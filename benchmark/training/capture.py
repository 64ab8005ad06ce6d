"""Devices whose queued work can be captured once and replayed: CUDA graphs that share their memory."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

from benchmark.training.randomness import global_draws


class Device(Protocol):
    """What can capture queued work, so that it is queued again at once, and can tell what it takes."""

    def capture(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Capture work that draws from these generators without doing it; return a function that does it."""

    def obstacles(self) -> AbstractContextManager[list[str]]:
        """A context whose list says, after its end, what in it a replay would not repeat."""

    def peak(self) -> AbstractContextManager[list[int]]:
        """A context whose list holds, after its end, the most bytes that were taken in it beyond those before."""

    def free_bytes(self) -> int:
        """Bytes that can still be taken."""

    def forget(self) -> None:
        """All that was captured is dropped, or will be."""


class CudaDevice:
    """Captures CUDA graphs into one pool of memory, since one is done before the next begins.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.forget()

    def forget(self) -> None:
        """Drop what was captured: the pool ends with the last graph that uses it."""
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Capture work that draws from these generators without doing it; return a function that does it."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        gc.collect()  # what earlier members left would stay beside the graph
        # Only this thread captures; one that pins memory for the next batches must not break it.
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*Graph is empty.*")
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        return graph.replay

    def obstacles(self) -> AbstractContextManager[list[str]]:
        """A context whose list says, after its end, what in it a replay would not repeat."""
        return obstacles(_synchronisations())

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """A context whose list holds, after its end, the most bytes that were taken in it beyond those before."""
        found: list[int] = []
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        yield found
        found.append(torch.cuda.max_memory_allocated(self._device) - before)

    def free_bytes(self) -> int:
        """Bytes that can still be taken, those that torch holds in reserve among them."""
        free, _ = torch.cuda.mem_get_info(self._device)
        reserve = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(free + reserve)


@contextmanager
def obstacles(waiting: AbstractContextManager[list[str]]) -> Iterator[list[str]]:
    """A context whose list says, after its end, what in it a replay would not repeat.

    Args:
        waiting: a context whose list says, after its end, what in it waited for the device.
    """
    found: list[str] = []
    with global_draws() as drawn, waiting as waits:
        yield found
    found += [f"it waits for the device: {text}" for text in waits]
    found += [f"it draws from {name}, not from the batch's generator" for name in drawn]


@contextmanager
def _synchronisations() -> Iterator[list[str]]:
    """A context whose list says, after its end, what in it waited for the device."""
    found: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mode itself is announced as a prototype
        torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
    finally:
        torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        if "synchroniz" in str(warning.message):
            found.append(" ".join(str(warning.message).split()))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


CAPTURING: dict[str, Callable[[torch.device], Device]] = {"cuda": CudaDevice}
"""The kinds of devices on which steps are captured; there, what changes from step to step has to be a tensor."""
