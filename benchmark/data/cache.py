"""Arrays on disk, opened as memory maps: decoded images, or where encoded ones are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.dataset import Announce
from benchmark.errors import UserError

_VERSION = 1  # raised when the decoding or the canonical order changes: older folders are then rebuilt


@dataclass(frozen=True, eq=False)
class Stored:
    """Arrays by name, and the fingerprint of what they hold."""

    arrays: Mapping[str, np.ndarray[Any, Any]]
    fingerprint: str


def stored(folder: Path, build: Callable[[Path], Stored], announce: Announce) -> Stored:
    """Opens a cache folder, building it first where it is missing or corrupt.

    Processes that need the same folder at the same time wait for the first of them.

    Args:
        folder: holds the arrays and ``meta.json``; appears complete or not at all.
        build: makes what goes into it, given a folder that will be this one: files put there come along.
        announce: called with a line before a corrupt folder is rebuilt and after one is written.

    Raises:
        UserError: the folder cannot be written.
    """
    return _open(folder) or _build_locked(folder, build, announce)


def one_line(error: BaseException) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _build_locked(folder: Path, build: Callable[[Path], Stored], announce: Announce) -> Stored:
    with _locked(folder):
        found = _open(folder)
        if found is not None:
            return found
        if folder.exists():
            announce(f"{folder}: the cache is corrupt, it is built again")
        with _scratch(folder) as scratch:
            arrays = build(scratch)
            with _naming(folder):
                _write(scratch, arrays)
                shutil.rmtree(folder, ignore_errors=True)
                scratch.replace(folder)
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
        raise UserError(f"{folder}: cannot write a cache there ({one_line(error)}): make room or access") from error


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    # The name is fixed, since only the holder of the lock gets here: what a killed process left is swept away.
    scratch = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    with _naming(folder):
        scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(folder: Path, stored: Stored) -> None:
    files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for name, array in stored.arrays.items():
        np.save(folder / f"{name}.npy", array)
    shapes = {name: [list(array.shape), str(array.dtype)] for name, array in stored.arrays.items()}
    meta = {"version": _VERSION, "fingerprint": stored.fingerprint, "arrays": shapes, "files": files}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _open(folder: Path) -> Stored | None:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["version"] != _VERSION:
            return None
        for name, size in meta.get("files", {}).items():
            if (folder / name).stat().st_size != size:
                return None
        arrays = {name: _open_array(folder, name, shape) for name, shape in meta["arrays"].items()}
        return Stored(arrays, str(meta["fingerprint"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _open_array(folder: Path, name: str, shape: list[Any]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    if [list(array.shape), str(array.dtype)] != shape:
        raise ValueError(f"{name}: not what meta.json says")
    return array
