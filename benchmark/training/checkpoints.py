"""Checkpoints as bytes: written whole, read without running code."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def pack(state: Mapping[str, Any]) -> bytes:
    """Tensors and plain values as bytes."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def unpack(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state in a file, or None where there is no readable one; an unreadable one is named in a warning."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError) as error:
        warnings.warn(f"checkpoint {path} cannot be read ({error}): the run starts anew", stacklevel=2)
        return None
    return state
