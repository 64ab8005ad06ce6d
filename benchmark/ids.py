"""Canonical JSON of values, SHA-256 digests of it, and values as they are typed on the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ID_LENGTH = 12
"""Characters of a digest, such as a run's id, in messages and file names."""
LARGEST = 2**63
"""Whole numbers in records are below this."""
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: object) -> str:
    """The canonical JSON of a value: keys sorted, no spaces, 1 and 1.0 equal."""
    return _ENCODER.encode(_canonical(value))


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_id(digest: str) -> str:
    """The beginning of a digest, for messages and file names."""
    return digest[:ID_LENGTH]


def _canonical(value: object) -> object:
    # Texts and numbers first: `isinstance(_, Mapping)` is slow, and a page reads thousands of records.
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise ValueError(f"{value} is no whole number below {LARGEST}")
    if isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    return value


def parse_value(text: str) -> Any:
    """Parse a value of the command line: as JSON of finite numbers if it is that, else as text."""
    for read in (json.loads, float):
        try:
            value = read(text)
            canonical_json(value)
        except (ValueError, RecursionError):
            continue
        return value
    return text
