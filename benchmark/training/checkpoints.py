"""Checkpoints as bytes: written whole, checked whole, read without running code."""

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
    """A checkpoint of this run that must not be used any more; the message says why."""


def pack(state: Mapping[str, Any]) -> bytes:
    """Tensors and plain values as bytes, after the SHA-256 of them all."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def unpack(path: Path) -> dict[str, Any] | None:
    """The state in a file, on the CPU, or None where there is no intact one; a damaged one is named in a warning."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            _warn(path, "is no file")
            return None
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(path, f"cannot be read ({error.strerror})")
        return None
    # Without the digest, more than half of all single wrong bytes would go unnoticed into the weights.
    if hashlib.sha256(raw[_DIGEST_BYTES:]).digest() != raw[:_DIGEST_BYTES]:
        _warn(path, "is damaged")
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(raw[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
    return state


def _warn(path: Path, fault: str) -> None:
    warnings.warn(f"checkpoint {path} {fault}: the run starts anew", stacklevel=3)
