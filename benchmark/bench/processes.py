"""Processes that measure on command: started once, idle between their turns, so that rivals can take turns."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from benchmark.errors import UserError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STOP_SECONDS = 10.0


class Process:
    """An object in a process of its own, whose methods are called from here.

    Args:
        title: what it is, for errors.
        maker: ``module:name`` of the class; a name, so that torch is loaded in the new process alone.
        arguments: of the class, picklable.
        threads: of the process; None leaves it to torch.
    """

    def __init__(self, title: str, maker: str, arguments: Sequence[Any], threads: int | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.title = title
        self._connection, theirs = context.Pipe()
        # No daemon: a daemon may not have the worker processes of a DataLoader.
        self._process = context.Process(target=_serve, args=(theirs, maker, tuple(arguments), threads))
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> None:
        """Call a method without waiting for it."""
        with suppress(OSError):  # whoever is gone is missed when the answer is
            self._connection.send((method, arguments))

    def answer(self) -> Any:
        """What the oldest call that is not answered yet gave; the first answer comes when the object is made.

        Raises:
            UserError: the process is gone.
            RuntimeError: the call raised; the message is its traceback.
        """
        try:
            error, value = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise UserError(
                f"{self.title}: its process died (exit status {self._process.exitcode}), perhaps for want of memory"
            ) from None
        if error:
            raise RuntimeError(f"{self.title}: {error}")
        return value

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method and wait for what it gives."""
        self.ask(method, *arguments)
        return self.answer()

    def close(self) -> None:
        """End the process, and its own processes with it."""
        self._connection.close()
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def together(processes: Iterable[Process], method: str, *arguments: Any) -> list[Any]:
    """Call a method of several processes at the same time."""
    asked = list(processes)
    for process in asked:
        process.ask(method, *arguments)
    return [process.answer() for process in asked]


def _serve(connection: Connection, maker: str, arguments: tuple[Any, ...], threads: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    os.environ["KINETO_LOG_LEVEL"] = "99"  # the profiler speaks of GPUs that are not there
    if threads is not None:
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    with suppress(EOFError, OSError):  # without a parent there is nobody left to tell
        try:
            module, _, name = maker.partition(":")
            made = getattr(import_module(module), name)(*arguments)
        except Exception:  # noqa: BLE001 - told to the parent, whatever it is
            connection.send((traceback.format_exc(), None))
            return
        connection.send((None, None))
        while True:
            method, values = connection.recv()
            try:
                connection.send((None, getattr(made, method)(*values)))
            except Exception:  # noqa: BLE001 - likewise
                connection.send((traceback.format_exc(), None))
