"""Where the members' work is queued: one after another on a CPU, on parallel streams on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.devices import keep_freed_memory


class Streams:
    """The single queue of a CPU: every method runs its block in place."""

    def limit(self, streams: int) -> None:
        """Use at most ``streams`` streams at a time; without a limit there is one per member.

        Members on the same stream run one after another and reuse the same memory.
        """
        del streams

    @contextmanager
    def fork_join(self, count: int) -> Iterator[None]:
        """Fork into ``count`` streams after all work queued on the main stream; at the end, wait for all of them.

        A tensor made on the main stream and used on another one must be kept alive until the end of the block.
        """
        del count
        yield

    @contextmanager
    def stream(self, index: int) -> Iterator[None]:
        """Run the block on one of the streams."""
        del index
        yield

    @contextmanager
    def main_stream(self) -> Iterator[None]:
        """Run the block on the main stream and make the current stream wait for it."""
        yield


ONE_STREAM = Streams()


class CudaStreams(Streams):
    """CUDA streams that fork from the stream that is current at the fork, which is the main stream.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams: list[torch.cuda.Stream] = []
        self._limit: int | None = None
        self._count = 0
        self._main: torch.cuda.Stream | None = None

    def limit(self, streams: int) -> None:
        self._limit = streams

    @contextmanager
    def fork_join(self, count: int) -> Iterator[None]:
        main_stream = self._main = torch.cuda.current_stream(self._device)
        self._count = min(count, self._limit or count)
        missing = self._count - len(self._streams)
        self._streams += [torch.cuda.Stream(self._device) for _ in range(missing)]  # type: ignore[no-untyped-call]
        for stream in self._streams[: self._count]:
            stream.wait_stream(main_stream)
        try:
            yield
        finally:
            for stream in self._streams[: self._count]:
                main_stream.wait_stream(stream)
            self._main = None

    @contextmanager
    def stream(self, index: int) -> Iterator[None]:
        with torch.cuda.stream(self._streams[index % self._count]):
            yield

    @contextmanager
    def main_stream(self) -> Iterator[None]:
        if self._main is None:
            yield
            return
        stream = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._main):
            yield
        stream.wait_stream(self._main)


def configure_device(device: torch.device | str, threads: int) -> None:
    """Configure this process to train on one device.

    Args:
        device: of the process.
        threads: number of CPU threads of torch.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)  # graphs, their streams and their checks follow the current device
        torch.backends.cudnn.benchmark = True  # batches have two sizes, so algorithms are timed twice at most


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def streams_for(device: torch.device) -> Streams:
    """CUDA streams for a GPU, a single queue for a CPU."""
    return CudaStreams(device) if device.type == "cuda" else ONE_STREAM
