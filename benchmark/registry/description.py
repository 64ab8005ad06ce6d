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
from benchmark.files import fitted, write_atomically
from benchmark.ids import short_id
from benchmark.registry import plugins
from benchmark.registry.plugins import METHOD, NETWORKS, ROOT, SourceFile

T = TypeVar("T")
_MODULES = {METHOD: "methods.describe", NETWORKS: "models.describe"}
_FOLDERS = {METHOD: "methods", NETWORKS: "networks"}
_FAILURES = {METHOD: "its method cannot be imported", NETWORKS: "its networks cannot be built"}
_SECONDS = 120.0
_TRACE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')


def described(file: SourceFile, read: Callable[[str], T]) -> T:
    """What a file of methods or networks defines.

    Args:
        file: imported by ``methods.describe`` or ``models.describe``, unless its description is cached.
        read: turns the printed description into a value; a ValueError, KeyError or TypeError means that it is damaged.

    Raises:
        UserError: the file cannot be imported, or its networks cannot be built.
    """
    module = _MODULES[file.kind]
    end = f"{file.attribute and '-' + file.attribute}-{short_id(file.code)}.txt"
    kept = plugins.cache_folder() / _FOLDERS[file.kind] / f"{fitted(file.name, len(end))}{end}"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return read(kept.read_text(encoding="utf-8"))
    text = _ask(file, module)
    try:
        value = read(text)
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file.path}: {_FAILURES[file.kind]}: its process gave no answer") from None
    with suppress(UserError):  # planning works where nothing can be written, too
        write_atomically(kept, text.encode())
    return value


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


def _ask(file: SourceFile, module: str) -> str:
    argument = file.name if file.kind == METHOD else str(file.path)
    named = "" if file.inside or file.entry else str(file.path)
    try:
        done = run_module(module, argument, seconds=_SECONDS, environment={plugins.VARIABLE: named})
    except UserError as error:
        raise UserError(f"{file.path}: {_FAILURES[file.kind]}: {error}") from None
    if done.returncode:
        place, words = _blamed(file.path, done.stderr.decode(errors="replace"))
        raise UserError(f"{place}: {_FAILURES[file.kind]}: {words}")
    return done.stdout.decode()


def _blamed(path: Path, traceback: str) -> tuple[str, str]:
    """The last line of a file that a traceback names, as ``PATH:LINE``, and the error."""
    lines = [match["line"] for match in _TRACE.finditer(traceback) if Path(match["path"]) == path]
    words = traceback.strip().splitlines() or ["no answer"]
    return f"{path}:{lines[-1]}" if lines else f"{path}", words[-1]
