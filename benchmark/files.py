"""Files: names that every file system takes, paths that stay below their folders, and atomic writes."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path, PurePath

from benchmark.errors import UserError, writing
from benchmark.ids import digest, short_id

LONGEST = 255
"""Bytes of one name, on the usual file systems."""
LONGEST_WORD = 100
"""Letters of a name that others are put together from: two of them and a few words more still fit."""

ALPHABET = f"letters, digits, _, ., + and -, at most {LONGEST_WORD}, the first of them a letter, a digit or _"
"""What a plain name is made of, for errors."""
_PLAIN = re.compile(r"\w[\w.+-]*", re.ASCII)


def is_plain(name: object) -> bool:
    """Whether a name can stand in a path, or in brackets behind a method's name, and means nothing else there."""
    return isinstance(name, str) and len(name) <= LONGEST_WORD and _PLAIN.fullmatch(name) is not None


def fitted(name: str, room: int = 0) -> str:
    """A name that a file system takes: the name itself or, where it is too long, its beginning and a digest of it.

    Args:
        name: of any length.
        room: bytes of what is put behind it.
    """
    content, most = name.encode(errors="surrogateescape"), LONGEST - room
    if len(content) <= most:
        return name
    end = f"~{short_id(digest(name))}"
    return content[: most - len(end)].decode(errors="ignore") + end


def below(folder: Path, place: str) -> Path:
    """The path of a place below a folder.

    Raises:
        UserError: the place lies outside.
    """
    parts = PurePath(place)
    if parts.is_absolute() or ".." in parts.parts:
        raise UserError(f"'{place}' leads out of {folder}, where nothing is read or written: rename what is called so")
    return folder / place


def expanded(path: Path | str) -> Path:
    """A path with the home folder in the place of ``~``; the path as it is where nobody has the name behind it."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises where nobody has that name


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside ``path``, then move it there; after a crash it is the old file or the new one.

    Raises:
        UserError: the folder cannot be written.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path.parent)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def temporary_path(folder: Path) -> Path:
    """A name that nobody else uses: hosts that share a file system share process ids."""
    return folder / f".{os.uname().nodename}-{os.getpid()}-{os.urandom(4).hex()}.tmp"


def _sync_folder(folder: Path) -> None:
    """Make sure that a file's new name outlives a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot do that for a folder
            raise
    finally:
        os.close(descriptor)
