"""The command: arguments in, a command's exit status out, errors as one line that a person can act on."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark import data
from benchmark.cli import commands, messages
from benchmark.cli.arguments import USAGE_ERROR, parser
from benchmark.cli.commands import FAILURE, INTERRUPTED
from benchmark.cli.session import Session
from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.tables import reader
from benchmark.text import visible_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 after failed runs, 2 for a user's error, 130 if interrupted."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another, not a traceback
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _printer()
            status = _run(Session(options))
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
        _let_go(sys.stdout)
        return FAILURE
    except OSError as error:
        if options.debug:
            raise
        where = f"{error.filename}: " if error.filename else "the output, or a file: "
        status = _refuse(f"{where}{error.strerror or error}; --debug shows where this happened")
        _let_go(sys.stdout)
        return status


def _flush() -> None:
    """Write what is printed while an error can still be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _let_go(stream: Any) -> None:
    """Drop what a stream holds and cannot write, which Python would complain about at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _refuse(*faults: str) -> int:
    with suppress(OSError):
        for fault in faults:
            print(f"error: {visible_line(str(fault))}", file=sys.stderr)  # noqa: T201
    return USAGE_ERROR


def _run(session: Session) -> int:
    try:
        Path.cwd()
    except OSError:
        raise UserError("the working folder is gone: change into another one") from None
    if not reader.TABLES.is_dir():
        raise UserError("the tables are not here: run from a clone of the project, installed with pip install -e .")
    catalog.use(session.options.plugin, session.options.checkpoints)
    data.use(session.options.data)
    console = messages.console()

    def say(text: str) -> None:
        if session.options.json:
            print(visible_line(text), file=sys.stderr)  # noqa: T201
        else:
            console.print(visible_line(text), soft_wrap=True, markup=False)

    data.tell(say)
    return commands.run(session, say)


def _printer() -> Callable[..., None]:
    """Prints warnings, each text once: a file may be met by several tables, and by the processes that train."""
    told: set[str] = set()

    def show(message: Warning | str, *_: Any) -> None:
        text = visible_line(str(message))
        if text not in told:
            told.add(text)
            print(f"warning: {text}", file=sys.stderr)  # noqa: T201

    return show
