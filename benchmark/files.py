"""Names of files and folders: made of plain letters, no longer than file systems take, and below their folders."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

from benchmark.canonical import digest, short_id
from benchmark.errors import UserError

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
