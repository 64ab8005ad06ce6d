"""Objects in processes that stay idle between calls, so that trainings to compare can take turns."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from typing import Any

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Remote:
    """An object in another process; ``BrokenProcessPool`` where that process died, as it does when memory runs out.

    Args:
        maker: ``module:class``, as text so that only the new process imports torch.
        arguments: of the class; picklable.
        threads: of the process; None for torch's default.
    """

    def __init__(self, maker: str, arguments: Sequence[Any], threads: int | None = None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, initializer=_start, initargs=(threads,))
        self._made = self._pool.submit(_make, maker, tuple(arguments))

    def ready(self) -> None:
        """Wait until the object is made."""
        self._made.result()

    def start(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Start a call of a method; returns a function that waits for the result."""
        return self._pool.submit(_call, method, arguments).result

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method; raises what it raises."""
        return self.start(method, *arguments)()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(cancel_futures=True)


def call_together(remotes: Sequence[Remote], method: str, *arguments: Any) -> list[Any]:
    """Call a method of several objects at the same time."""
    results = [remote.start(method, *arguments) for remote in remotes]
    return [result() for result in results]


_objects: list[Any] = []
"""Holds the object of this process, if it is one of a `Remote`."""


def _start(threads: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    if threads is not None:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))


def _make(maker: str, arguments: tuple[Any, ...]) -> None:
    module, _, name = maker.partition(":")
    _objects.append(getattr(import_module(module), name)(*arguments))


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_objects[0], method)(*arguments)
