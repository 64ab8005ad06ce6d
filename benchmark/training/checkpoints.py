"""Checkpoints as bytes with a SHA-256, read without running code."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_DIGEST_BYTES = hashlib.sha256().digest_size


class StaleCheckpointError(Exception):
    """A checkpoint of this run that must not be used; the message says why."""


def pack(state: Mapping[str, Any]) -> bytes:
    """Serialise tensors and plain values: 32 bytes of SHA-256, then the content that it is computed from."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def unpack(path: Path) -> dict[str, Any] | None:
    """The state in a file, on the CPU; None if the file is missing or, with a warning, damaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(path, f"cannot be read ({error.strerror})")
        return None
    # Without the SHA-256, more than half of all single wrong bytes would reach the weights unnoticed.
    if hashlib.sha256(raw[_DIGEST_BYTES:]).digest() != raw[:_DIGEST_BYTES]:
        _warn(path, "is damaged")
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(raw[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
    return state


def _warn(path: Path, problem: str) -> None:
    warnings.warn(f"checkpoint {path} {problem}: the run starts again", stacklevel=3)
