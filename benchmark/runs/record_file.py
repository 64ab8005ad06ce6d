"""The file of a record: read, written, and checked either way."""

from __future__ import annotations

import json
import os
import re
import stat
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from benchmark.errors import UserError
from benchmark.runs.record import SCHEMA, Record

_LIST = re.compile(r"\[\n\s*([^\[\]{}]*?)\s*\]")
"""A list without lists and mappings in it, indented."""
ELSEWHERE = "it belongs to another run than its path says"


class UnfitRecordWarning(UserWarning):
    """A file that should be a record is left out."""


class UnfitError(ValueError):
    """A file is not the record that it should be; the message says what is wrong, in one line."""


class UnreadableError(UnfitError):
    """A file cannot be read, or is no regular file."""


class NewerSchemaError(Exception):
    """A record has a schema that this revision does not know."""


def parse(content: bytes) -> Record:
    """Parse the content of a record's file.

    Raises:
        UnfitError: it is not a valid record.
        NewerSchemaError: a newer revision of the project wrote it.
    """
    try:
        # msgspec does not report duplicate keys.
        raw = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
        if isinstance(raw, dict) and type(schema := raw.get("schema")) is int and schema > SCHEMA:
            raise NewerSchemaError(f"its schema is {schema}, and this revision knows none beyond {SCHEMA}")
        return msgspec.json.decode(content, type=Record)
    except msgspec.ValidationError as error:
        raise UnfitError(f"it does not fit: {error}") from None
    except (ValueError, RecursionError, msgspec.DecodeError) as error:  # RecursionError: deeply nested brackets
        raise UnfitError(f"it is no complete JSON ({error})") from None


def encoded(record: Mapping[str, Any]) -> bytes:
    """The content of a record's file.

    Raises:
        UnfitError: it would not be a valid record.
    """
    content = (_compact_lists(json.dumps(record, indent=1)) + "\n").encode()
    parse(content)
    return content


def read(path: Path) -> Record | None:
    """Read the record of a file; None if there is no file.

    Raises:
        UnreadableError: it cannot be read, or is no regular file.
        UnfitError: it is not a valid record.
        UserError: a newer revision of the project wrote it, or its folder cannot be entered.
    """
    content = _content(path)
    try:
        return None if content is None else _parsed(content)
    except NewerSchemaError as error:
        raise UserError(
            f"record {path} was written by a newer revision of the project ({error}): update the project, or choose "
            "another folder with --results"
        ) from None


@lru_cache(maxsize=4096)
def _parsed(content: bytes) -> Record:
    """As `parse`, cached: tables of one command share many records."""
    return parse(content)


def leave_out(path: Path, error: UnfitError) -> None:
    """Warn about a file that is not a valid record."""
    # From one place and in the same words, so that Python shows the warning once per file.
    warnings.warn(f"record {path} is left out: {error}", UnfitRecordWarning, stacklevel=1)


def _content(path: Path) -> bytes | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError("it is no regular file")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise UnreadableError("it is a link to nothing") from None
        return None
    except OSError as error:
        _check_folder(path.parent)
        raise UnreadableError(f"it cannot be read ({error.strerror})") from None


def _check_folder(folder: Path) -> None:
    """Raise one error if the folder cannot be entered, instead of a warning for each file in it."""
    try:
        os.stat(f"{folder}/.")  # noqa: PTH116 - a `Path` drops the dot, which tests whether the folder can be entered
    except OSError as error:
        raise UserError(
            f"cannot read {folder} ({error.strerror}): make it readable, or choose another folder with --results"
        ) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _compact_lists(text: str) -> str:
    """Put each list of numbers on one line, so that people can read a record."""
    return _LIST.sub(lambda found: re.sub(r"\n\s*", " ", f"[{found[1]}]"), text)
