"""Devices that capture queued work as a graph and replay it: CUDA graphs that share one memory pool."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

from benchmark.training.randomness import global_draws


class CaptureDevice(Protocol):
    """Captures work for replay, reports what prevents a replay, and measures memory."""

    def capture(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Capture ``work`` as a graph without running it; return a function that replays it.

        Args:
            work: queues operations on the device.
            generators: from which ``work`` draws; each replay draws further numbers.
        """

    def replay_obstacles(self) -> AbstractContextManager[list[str]]:
        """A context that yields a list; at its end the list names what a replay of its block would not repeat."""

    def peak_memory(self) -> AbstractContextManager[list[int]]:
        """A context that yields a list; at its end the list holds the peak memory of its block, in bytes.

        Memory that was allocated before the block does not count.
        """

    def free_bytes(self) -> int:
        """Bytes that can still be allocated."""

    def drop_graphs(self) -> None:
        """Release the memory of captured graphs once their replay functions are gone."""


class CudaCaptureDevice(CaptureDevice):
    """Captures CUDA graphs into one memory pool, which they can share because they run one after another.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.drop_graphs()

    def drop_graphs(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # the old pool is freed with the last graph that uses it

    def capture(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        gc.collect()  # memory of earlier members would otherwise stay allocated beside the graph
        # Only this thread captures: the thread that pins memory for the next batches must not invalidate the capture.
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*Graph is empty.*")
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        return graph.replay

    def replay_obstacles(self) -> AbstractContextManager[list[str]]:
        return replay_obstacles(_synchronisations())

    @contextmanager
    def peak_memory(self) -> Iterator[list[int]]:
        found: list[int] = []
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        yield found
        found.append(torch.cuda.max_memory_allocated(self._device) - before)

    def free_bytes(self) -> int:
        free, _ = torch.cuda.mem_get_info(self._device)  # without the memory that torch's allocator holds in reserve
        reserve = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(free + reserve)


@contextmanager
def replay_obstacles(synchronisations: AbstractContextManager[list[str]]) -> Iterator[list[str]]:
    """A context that yields a list; at its end the list names what a replay of its block would not repeat.

    Args:
        synchronisations: a context that lists where its block waits for the device.
    """
    found: list[str] = []
    with global_draws() as drawn, synchronisations as waits:
        yield found
    found += [f"it waits for the device: {text}" for text in waits]
    found += [f"it draws from {name}, not from the batch's generator" for name in drawn]


@contextmanager
def _synchronisations() -> Iterator[list[str]]:
    """A context that yields a list; at its end the list names where its block waited for the CUDA device."""
    found: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that the mode is a prototype
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


CAPTURE_DEVICES: dict[str, Callable[[torch.device], CaptureDevice]] = {"cuda": CudaCaptureDevice}
"""Device types on which steps are captured. There, values that change from step to step must be tensors."""
