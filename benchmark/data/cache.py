"""Copies of data in the cache as arrays, opened as memory maps: decoded images, or where encoded ones are.

The copies of a data set lie in one folder. Each is named by the content that it is made of, and ``places.json`` says
what the user's folders held when copies of them were made. Before another copy is made, those are removed whose content
was replaced at every place that held it, unless a process uses them: a process holds a shared lock on each copy that it
opened. (A mapped file stays readable after its removal on a local disk, but not on a network file system, and copied
images are not mapped.)
"""

from __future__ import annotations

import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.dataset import Announce
from benchmark.errors import UserError

try:
    import fcntl
except ImportError:  # Windows removes no file that is in use
    fcntl = None  # type: ignore[assignment]

DECODING = 2
"""Version of the pixels that files become, and of their order: raise it where they change. Older copies are then built
again, and ids of runs on a plug-in's data set, which hold it, are others."""
_META = "meta.json"
_PLACES = "places.json"


class UnwritableError(UserError):
    """The cache cannot be written."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Arrays by name, and the fingerprint of what they hold.

    Attributes:
        arrays: by name.
        fingerprint: of what they hold.
        facts: what else was found out about them, as JSON holds it.
        hold: keeps the copy from being removed as long as it exists.
    """

    arrays: Mapping[str, np.ndarray[Any, Any]]
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    hold: object = None


@dataclass(frozen=True)
class Copy:
    """A copy of a data set.

    Attributes:
        root: the folder of all its copies.
        content: names what the copy is made of.
        choice: names how it is made of it; may be empty.
        place: the user's folder.
    """

    root: Path
    content: str
    choice: str
    place: Path

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.root / "-".join(filter(None, (self.content, self.choice)))


def stored(copy: Copy, build: Callable[[Path], Stored], announce: Announce) -> Stored:
    """Opens a copy, building it first where it is missing or corrupt.

    Processes that need a copy of the same data set at the same time wait for the first of them.

    Args:
        copy: its folder holds the arrays and ``meta.json``, and appears complete or not at all.
        build: makes what goes into it, given a folder that will be this one: files put there come along.
        announce: called with a line before a corrupt folder is rebuilt and after one is written.

    Raises:
        UnwritableError: the folder cannot be written.
    """
    return _open(copy.folder) or _build_locked(copy, build, announce)


def one_line(error: BaseException) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _build_locked(copy: Copy, build: Callable[[Path], Stored], announce: Announce) -> Stored:
    folder = copy.folder
    with _locked(copy.root):
        found = _open(folder)
        if found is not None:
            return found
        if folder.exists():
            announce(f"{folder}: the cache is corrupt, it is built again")
        _remove_others(copy)
        with _scratch(folder) as scratch:
            made = build(scratch)
            with _naming(folder):
                _write(scratch, made)
                shutil.rmtree(folder, ignore_errors=True)
                scratch.replace(folder)
        announce(f"cached in {folder}")
        return _open(folder) or made


def _remove_others(copy: Copy) -> None:
    """Note what the copy's place holds now, and remove copies of what was replaced at every place that held it."""
    places = _read_places(copy.root) | {str(copy.place.absolute()): copy.content}
    with _naming(copy.root):
        (copy.root / _PLACES).write_text(json.dumps(places, indent=1), encoding="utf-8")
    for other in copy.root.iterdir():
        if other.is_dir() and other.name.partition("-")[0] not in places.values():
            _remove_unused(other)


def _read_places(root: Path) -> dict[str, str]:
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads((root / _PLACES).read_text(encoding="utf-8"))
        return {str(place): str(content) for place, content in found.items()}
    return {}


def _remove_unused(folder: Path) -> None:
    """Remove a copy that no process holds."""
    with suppress(OSError):
        try:
            hold = _Hold(folder / _META, exclusive=True)
        except FileNotFoundError:  # what a killed process left, since the caller has the lock of all that build
            hold = None
        shutil.rmtree(folder, ignore_errors=True)
        del hold


class _Hold:
    """A lock on a file until this object ends.

    Args:
        path: of the file.
        exclusive: whether nobody else may have one.

    Raises:
        FileNotFoundError: there is no such file.
        BlockingIOError: another process has a lock that forbids this one.
        OSError: it cannot be locked exclusively, as on some network file systems.
    """

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        self.file = os.open(path, os.O_RDWR if exclusive else os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)
        if fcntl is None:
            return
        try:
            fcntl.flock(self.file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            # Where locks are not to be had, nothing is removed, so that nothing has to be held.
            if exclusive or isinstance(error, BlockingIOError):
                raise


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    from filelock import FileLock

    with _naming(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
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
        raise UnwritableError(
            f"{folder}: cannot write a cache there ({one_line(error)}): make room or access"
        ) from error


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
    meta = {
        "version": DECODING,
        "fingerprint": stored.fingerprint,
        "facts": stored.facts,
        "arrays": {name: [list(array.shape), str(array.dtype)] for name, array in stored.arrays.items()},
        "files": files,
    }
    (folder / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _open(folder: Path) -> Stored | None:
    try:
        hold = _Hold(folder / _META)
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        if meta["version"] != DECODING:
            return None
        for name, size in meta["files"].items():
            if (folder / name).stat().st_size != size:
                return None
        arrays = {name: _open_array(folder, name, shape) for name, shape in meta["arrays"].items()}
        return Stored(arrays, str(meta["fingerprint"]), dict(meta["facts"]), hold)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _open_array(folder: Path, name: str, shape: list[Any]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    if [list(array.shape), str(array.dtype)] != shape:
        raise ValueError(f"{name}: not what meta.json says")
    return array
