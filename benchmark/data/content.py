"""What the files of a data set hold, as one hash: equal files are equal data, whatever their time stamps."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmark.data.cache import one_line
from benchmark.data.index import in_parallel
from benchmark.errors import UserError
from benchmark.files import write_atomically
from benchmark.ids import digest

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SETTLED_NS = 2 * 10**9
"""A file that changed so shortly before it was hashed may have changed again under the same time stamp."""


def content(files: Mapping[str, Path], memory: Path) -> str:
    """SHA-256 of the names and bytes of some files.

    Args:
        files: by names that stay where their folder moves.
        memory: a file that remembers the hash, so that the files are read once; written where that is possible. It is
            trusted as long as no file's path, size, time stamps or inode differ: the time of a file's last change
            (ctime) cannot be set, as that of its content (mtime) can.

    Raises:
        UserError: a file cannot be read, or changes while it is.
    """
    names = sorted(files)
    paths = [files[name] for name in names]
    states = _states(paths)
    state = digest([states, names])
    newest = max((ctime for *_, ctime, _ in states), default=0)
    if known := _remembered(memory, state, newest):
        return known
    found = digest(dict(zip(names, in_parallel(_sum, paths), strict=True)))
    if _states(paths) != states:
        raise UserError(f"{paths[0].parent}: the files change while they are read: wait, and run the command again")
    with suppress(UserError):  # plans are made where nothing can be written, too
        write_atomically(memory, json.dumps({"state": state, "sha256": found}).encode())
    return found


def state_key(paths: Sequence[Path]) -> str:
    """A name for the state of some files: another one where paths, sizes, time stamps or inodes differ.

    Raises:
        UserError: a file cannot be looked at.
    """
    return digest(_states(paths))[:16]


def _states(paths: Sequence[Path]) -> list[tuple[str, int, int, int, int]]:
    """Path, size, mtime, ctime and inode of files or folders."""
    try:
        found = [(os.path.abspath(path), path.stat()) for path in paths]  # noqa: PTH100 - `absolute` keeps ".."
    except OSError as error:
        raise UserError(f"the data cannot be read ({one_line(error)}): mend or fetch that file") from error
    return [(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for path, stat in found]


def _remembered(memory: Path, state: str, newest: int) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text(encoding="utf-8"))
        settled = newest + _SETTLED_NS <= memory.stat().st_mtime_ns
        if settled and known["state"] == state and _SHA256.fullmatch(known["sha256"]):
            return str(known["sha256"])
    return None


def _sum(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: it is no file: remove it")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}): mend or fetch that file") from error
