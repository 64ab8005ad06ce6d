"""One text for one value, and what follows from it: digests, whole and short, and values as people type them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ID_LENGTH = 12
"""Characters by which people, and names of files, tell digests such as runs' ids apart."""
LARGEST = 2**63
"""Whole numbers of records are below it."""
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: object) -> str:
    """One text for one value: keys sorted, no spaces, 1 and 1.0 alike."""
    return _ENCODER.encode(_canonical(value))


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_id(digest: str) -> str:
    """How a digest begins, as far as people and names of files need it."""
    return digest[:ID_LENGTH]


def _canonical(value: object) -> object:
    # Most are texts and numbers, and `Mapping` is slow to tell: thousands of records are read for one page.
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
    """A value as typed on the command line: JSON where it is JSON of finite numbers, else the text itself."""
    for read in (json.loads, float):
        try:
            value = read(text)
            canonical_json(value)
        except (ValueError, RecursionError):
            continue
        return value
    return text
