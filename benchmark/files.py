"""Files: names that every file system takes, paths that stay below their folders, and atomic writes."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path, PurePath

from benchmark.errors import UserError, writing
from benchmark.ids import digest, short_id

LONGEST = 255
"""Longest file name in bytes on the usual file systems."""
LONGEST_WORD = 100
"""Longest plain name: two of them and a few more words fit into one file name."""

ALPHABET = f"letters, digits, _, ., + and -, at most {LONGEST_WORD}, the first of them a letter, a digit or _"
"""The characters of a plain name, for error messages."""
_PLAIN = re.compile(r"\w[\w.+-]*", re.ASCII)


def is_plain(name: object) -> bool:
    """Whether a name has no special meaning in a path or in the brackets after a method's name."""
    return isinstance(name, str) and len(name) <= LONGEST_WORD and _PLAIN.fullmatch(name) is not None


def fitted(name: str, room: int = 0) -> str:
    """The name if a file system accepts its length, else its beginning and a digest of the whole.

    Args:
        name: a name of any length.
        room: bytes to leave for what follows the name.
    """
    content, most = name.encode(errors="surrogateescape"), LONGEST - room
    if len(content) <= most:
        return name
    end = f"~{short_id(digest(name))}"
    return content[: most - len(end)].decode(errors="ignore") + end


def below(folder: Path, place: str) -> Path:
    """Join a folder and a relative place.

    Raises:
        UserError: the place lies outside the folder.
    """
    parts = PurePath(place)
    if parts.is_absolute() or ".." in parts.parts:
        raise UserError(f"'{place}' leads out of {folder}: rename what has this name")
    return folder / place


def expanded(path: Path | str) -> Path:
    """The path with ``~`` expanded; unchanged if there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises if there is no such user


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path`` and rename it; after a crash the old or the new file is there, whole.

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
    """A unique name: host and process, because hosts that share a file system share process ids."""
    return folder / f".{os.uname().nodename}-{os.getpid()}-{os.urandom(4).hex()}.tmp"


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
