"""Decoded images on disk, opened as memory maps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.dataset import Announce, Split
from benchmark.errors import UserError

_VERSION = 1  # raised when the decoding or the canonical order changes: older folders are then rebuilt
_SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Stored:
    """Both splits in canonical order, and their fingerprint."""

    train: Split
    test: Split
    fingerprint: str


def stored(folder: Path, build: Callable[[], Stored], announce: Announce) -> Stored:
    """Opens a cache folder, building it first where it is missing or corrupt.

    Processes that need the same folder at the same time wait for the first of them.

    Args:
        folder: holds the arrays and ``meta.json``; appears complete or not at all.
        build: makes what goes into it.
        announce: called with a line before a corrupt folder is rebuilt and after one is written.

    Raises:
        UserError: the folder cannot be written.
    """
    return _open(folder) or _build_locked(folder, build, announce)


def one_line(error: BaseException) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _build_locked(folder: Path, build: Callable[[], Stored], announce: Announce) -> Stored:
    with _locked(folder):
        found = _open(folder)
        if found is not None:
            return found
        if folder.exists():
            announce(f"{folder}: the cache is corrupt, it is built again")
        arrays = build()
        with _naming(folder):
            _write(folder, arrays)
        announce(f"cached in {folder}")
        return _open(folder) or arrays


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    with _naming(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write decoded images there ({one_line(error)}): make room or access"
        ) from error


def _write(folder: Path, arrays: Stored) -> None:
    # The name is fixed, since only the holder of the lock gets here: what a killed process left is swept away.
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    parts = _parts(arrays)
    for name, array in parts.items():
        np.save(temporary / f"{name}.npy", array)
    shapes = {name: [list(array.shape), str(array.dtype)] for name, array in parts.items()}
    meta = {"version": _VERSION, "fingerprint": arrays.fingerprint, "arrays": shapes}
    (temporary / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def _parts(arrays: Stored) -> dict[str, np.ndarray[Any, Any]]:
    splits = dict(zip(_SPLITS, (arrays.train, arrays.test), strict=True))
    return {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in ("images", "labels")}


def _open(folder: Path) -> Stored | None:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["version"] != _VERSION:
            return None
        train, test = (_open_split(folder, name, meta["arrays"]) for name in _SPLITS)
        return Stored(train, test, str(meta["fingerprint"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _open_split(folder: Path, name: str, shapes: dict[str, Any]) -> Split:
    images, labels = (_open_array(folder, f"{name}_{part}", shapes) for part in ("images", "labels"))
    return Split(images, labels)


def _open_array(folder: Path, name: str, shapes: dict[str, Any]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    if [list(array.shape), str(array.dtype)] != shapes[name]:
        raise ValueError(f"{name}: not what meta.json says")
    return array
