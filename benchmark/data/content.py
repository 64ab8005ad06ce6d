"""The content of a data set's files as one hash, which does not depend on time stamps or on the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from benchmark.data.parallel import in_parallel
from benchmark.errors import UserError, one_line
from benchmark.files import write_atomically
from benchmark.ids import digest, file_digest

_SETTLED_NS = 2 * 10**9
"""A file that changed so shortly before it was hashed may have changed again under the same time stamp."""


def content_hash(files: Mapping[str, Path], memory: Path) -> str:
    """SHA-256 of the names and bytes of some files.

    Args:
        files: by names that do not change when their folder moves.
        memory: a file that stores the hash, so that the files are read once; written where that is possible. The stored
            hash is used as long as no file's path, size, time stamps or inode differ. They include the time of the last
            change (ctime), which cannot be set, as that of the content (mtime) can.

    Raises:
        UserError: a file cannot be read, or changes while it is read.
    """
    names = sorted(files)
    paths = [files[name] for name in names]
    try:
        states = _states(paths)
        state = digest([states, names])
        newest = max((ctime for *_, ctime, _ in states), default=0)
        if known := _stored_hash(memory, state, newest):
            return known
        found = digest(dict(zip(names, in_parallel(file_digest, paths), strict=True)))
        changed = _states(paths) != states
    except OSError as error:
        raise UserError(f"the data cannot be read ({one_line(error)}): repair or fetch that file") from error
    if changed:
        raise UserError(f"{paths[0].parent}: the files change while they are read: wait, and run the command again")
    with suppress(UserError):  # plans are also made where nothing can be written
        write_atomically(memory, json.dumps({"state": state, "sha256": found}).encode())
    return found


def _states(paths: Sequence[Path]) -> list[tuple[str, int, int, int, int]]:
    """Path, size, mtime, ctime and inode of files."""
    found = [(path, path.stat()) for path in paths]
    if odd := next((path for path, stat in found if not S_ISREG(stat.st_mode)), None):  # reading a pipe would block
        raise UserError(f"{odd}: it is not a file: remove it")
    return [(str(path.absolute()), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, s in found]


def _stored_hash(memory: Path, state: str, newest: int) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text(encoding="utf-8"))
        if newest + _SETTLED_NS <= memory.stat().st_mtime_ns and known["state"] == state:
            return str(known["sha256"])
    return None
