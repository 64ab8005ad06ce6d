"""The command: arguments in, a command's exit status out, errors as one line that a person can act on."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from benchmark import commands, data, tables
from benchmark.arguments import USAGE_ERROR, parser
from benchmark.catalog import plugins
from benchmark.commands import FAILURE, INTERRUPTED, wording
from benchmark.errors import UserError
from benchmark.request import Request


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 after failed runs, 2 for a user's error, 130 if interrupted."""
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another, not a traceback
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _printer()
            return _run(Request(options))
    except UserError as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILURE


def _run(request: Request) -> int:
    if not tables.TABLES.is_dir():
        raise UserError("the tables are not here: run from a clone of the project, installed with pip install -e .")
    plugins.use(request.options.plugin, request.options.checkpoints)
    data.use(request.options.data)
    console = wording.console()

    def say(text: str) -> None:
        if request.options.json:
            print(text, file=sys.stderr)  # noqa: T201
        else:
            console.print(text, soft_wrap=True, markup=False)

    return commands.run(request, say)


def _printer() -> Callable[..., None]:
    """Prints warnings, each text once: a file may be met by several tables, and by the processes that train."""
    told: set[str] = set()

    def show(message: Warning | str, *_: Any) -> None:
        text = str(message)
        if text not in told:
            told.add(text)
            print(f"warning: {text}", file=sys.stderr)  # noqa: T201

    return show
