"""The command line: runs a command and returns its exit status; every error of the user is one line."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from benchmark.cli import FAILURE, INTERRUPTED, OK, USAGE_ERROR
from benchmark.cli.arguments import parse
from benchmark.cli.commands import COMMANDS, RUN
from benchmark.errors import UserError
from benchmark.text import visible_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 after failed runs, 2 for a user's error, 130 if interrupted."""
    options = parse(arguments)
    from benchmark.cli import session  # noqa: F401 - slow, so after --help and wrong arguments, and before the handler

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # characters that the terminal lacks are no error
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _printer()
            status = _run(options)
            _flush()
            return status
    except UserError as error:
        if options.debug:
            raise
        return _refuse(*error.args)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process is about to end
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return FAILURE
    except OSError as error:
        if options.debug:
            raise
        where = f"{error.filename}: " if error.filename else "the output, or a file: "
        status = _refuse(f"{where}{error.strerror or error}; --debug shows where this happened")
        _discard_output()
        return status


def _flush() -> None:
    """Write the output while an error can still be reported."""
    if sys.stdout is not None:  # it is None where the process starts with a closed output
        sys.stdout.flush()


def _discard_output() -> None:
    """Drop the buffer of an output that cannot be written, which Python would report when it exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(*faults: str) -> int:
    for fault in faults:
        print(f"error: {visible_line(str(fault))}", file=sys.stderr)  # noqa: T201
    return USAGE_ERROR


def _run(options: argparse.Namespace) -> int:
    from benchmark import data
    from benchmark.cli import messages
    from benchmark.cli.session import Session
    from benchmark.registry import catalog
    from benchmark.tables import reader

    if not reader.TABLES.is_dir():
        raise UserError("the tables are not here: run from a clone of the project, installed with pip install -e .")
    console = messages.console()

    def say(text: str) -> None:
        if options.json:
            print(visible_line(text), file=sys.stderr)  # noqa: T201
        else:
            console.print(visible_line(text), soft_wrap=True, markup=False)

    if options.version:
        say(messages.version())
        return OK
    catalog.use(options.plugin, options.checkpoints)
    data.use(options.data)
    data.tell(say)
    command, session = COMMANDS.get(options.command, RUN), Session(options, say)
    if command.heading:
        say(session.heading)
    status: int = import_module(f"benchmark.cli.{command.module}").run(session, say)
    return status


def _printer() -> Callable[..., None]:
    """Prints each warning once, although several tables or processes may read the same file."""
    printed: set[str] = set()

    def show(message: Warning | str, *_: Any) -> None:
        text = visible_line(str(message))
        if text not in printed:
            printed.add(text)
            print(f"warning: {text}", file=sys.stderr)  # noqa: T201

    return show
