"""Ctrl-C and SIGTERM while worker processes run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, Self


class Interrupts:
    """Counts requests to stop and raises KeyboardInterrupt where that does no harm.

    The first request raises inside a `waiting` block, at once or when the next block is entered: it cuts short neither
    what is printed nor what is noted about a job. The second one raises wherever it arrives; further ones do nothing.
    Signals whose handler is not Python's default one for SIGINT are left alone.

    Attributes:
        count: requests so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._waiting = False
        self._taken: list[signal.Signals] = []

    def __enter__(self) -> Self:
        default, both = signal.default_int_handler, (signal.SIGINT, signal.SIGTERM)
        self._taken = [number for number in both if signal.getsignal(number) is default]
        self._set(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._set(signal.default_int_handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block that the first request may cut short."""
        self._waiting = True
        try:
            self.check()
            yield
        finally:
            self._waiting = False

    def check(self) -> None:
        """Raise KeyboardInterrupt after a request."""
        if self.count:
            raise KeyboardInterrupt

    def stop_begins(self) -> None:
        """Count the stop that begins now, whatever its cause, as the first request: the next one raises at once."""
        self.count = max(self.count, 1)

    def ignore(self) -> None:
        """Ignore all further requests."""
        self._set(signal.SIG_IGN)

    def _handle(self, *_: Any) -> None:
        self.count += 1
        if self._waiting or self.count == 2:
            raise KeyboardInterrupt

    def _set(self, handler: Any) -> None:
        for number in self._taken:
            signal.signal(number, handler)


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT in processes that start inside: Ctrl-C reaches all processes of a terminal, workers ignore it."""
    resource_tracker.ensure_running()  # its start, together with that of the first process, would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
