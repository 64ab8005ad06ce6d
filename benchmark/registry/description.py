"""Ask a process that imports a file what the file defines, and cache the answer by the hash of the file's code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from benchmark.errors import UserError
from benchmark.files import write_atomically
from benchmark.registry import plugins
from benchmark.registry.plugins import METHOD, NETWORKS, ROOT, SourceFile

T = TypeVar("T")
_MODULES = {METHOD: "methods.describe", NETWORKS: "models.describe"}
_SECONDS = 120.0
_TRACE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')


def described(file: SourceFile, read: Callable[[str], T]) -> T:
    """What a file of methods or networks defines.

    Args:
        file: imported by ``methods.describe`` or ``models.describe``, unless its description is cached.
        read: turns the printed description into a value; a ValueError means that it is damaged.

    Raises:
        UserError: the file cannot be imported, or its networks cannot be built.
    """
    kept = plugins.cache_folder() / _MODULES[file.kind] / f"{file.attribute}{file.code}.txt"
    with suppress(OSError, ValueError):
        return read(kept.read_text(encoding="utf-8"))
    argument = file.name if file.kind == METHOD else str(file.path)
    named = "" if file.inside or file.entry else str(file.path)
    try:
        done = run_module(_MODULES[file.kind], argument, seconds=_SECONDS, environment={plugins.VARIABLE: named})
        if not done.returncode:
            value = read(done.stdout.decode())
            with suppress(UserError):  # planning works where nothing can be written, too
                write_atomically(kept, done.stdout)
            return value
    except (UserError, ValueError) as error:
        raise UserError(f"{file.path}: it cannot be used: {error}") from None
    place, words = _blamed(file.path, done.stderr.decode(errors="replace"))
    raise UserError(f"{place}: it cannot be used: {words}")


def run_module(
    module: str, *arguments: str, seconds: float, question: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a module of this project, which may import torch, on one thread; an error is the last line that it prints.

    Args:
        module: its dotted name.
        arguments: of its command line.
        seconds: after which it is killed.
        question: its standard input.
        environment: variables that it gets besides those of this process.

    Raises:
        UserError: it did not end in time.
    """
    try:
        return subprocess.run(  # noqa: S603 - this project's own module
            [sys.executable, "-m", module, *arguments],
            input=question,
            capture_output=True,
            cwd=ROOT,
            env=os.environ | (environment or {}) | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"no answer within {seconds:.0f} s") from None


def _blamed(path: Path, traceback: str) -> tuple[str, str]:
    """The last line of a file that a traceback names, as ``PATH:LINE``, and the error."""
    lines = [match["line"] for match in _TRACE.finditer(traceback) if Path(match["path"]) == path]
    words = traceback.strip().splitlines() or ["no answer"]
    return f"{path}:{lines[-1]}" if lines else f"{path}", words[-1]
