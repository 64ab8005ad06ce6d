"""Where the members' work is queued: one after another on a CPU, on parallel streams on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.devices import keep_freed_memory


class Lanes:
    """One queue for all."""

    def limit(self, streams: int | None) -> None:
        """Use at most so many streams at a time; None for as many as there are lanes.

        Lanes that share a stream share the memory of what they compute, and wait for each other.
        """
        del streams

    @contextmanager
    def opened(self, count: int) -> Iterator[None]:
        """Fork into so many lanes after all that is queued at home; at the end, home waits for all of them.

        Whatever is made at home and used on a lane has to be kept until then.
        """
        del count
        yield

    @contextmanager
    def lane(self, index: int) -> Iterator[None]:
        """Queue what is done inside on a lane."""
        del index
        yield

    @contextmanager
    def home(self) -> Iterator[None]:
        """Queue what is done inside at home, beside the lanes; the current lane waits for it, and for all before it."""
        yield


ONE_LANE = Lanes()


class Streams(Lanes):
    """A CUDA stream a lane, beside the one that is current where they are opened, or fewer streams that lanes share.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams: list[torch.cuda.Stream] = []
        self._limit: int | None = None
        self._opened = 0
        self._home: torch.cuda.Stream | None = None

    def limit(self, streams: int | None) -> None:
        self._limit = streams

    @contextmanager
    def opened(self, count: int) -> Iterator[None]:
        home = self._home = torch.cuda.current_stream(self._device)
        self._opened = min(count, self._limit or count)
        lacking = self._opened - len(self._streams)
        self._streams += [torch.cuda.Stream(self._device) for _ in range(lacking)]  # type: ignore[no-untyped-call]
        for stream in self._streams[: self._opened]:
            stream.wait_stream(home)
        try:
            yield
        finally:
            for stream in self._streams[: self._opened]:
                home.wait_stream(stream)
            self._home = None

    @contextmanager
    def lane(self, index: int) -> Iterator[None]:
        with torch.cuda.stream(self._streams[index % self._opened]):
            yield

    @contextmanager
    def home(self) -> Iterator[None]:
        if self._home is None:
            yield
            return
        lane = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._home):
            yield
        lane.wait_stream(self._home)


def use(device: torch.device | str, threads: int) -> None:
    """Let this process work on one device, with so many threads on a CPU."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)  # graphs, their streams and their checks follow the current device
        torch.backends.cudnn.benchmark = True  # batches have two sizes, so that what is measured once serves for all


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def lanes(device: torch.device) -> Lanes:
    """What a device has of them."""
    return Streams(device) if device.type == "cuda" else ONE_LANE
