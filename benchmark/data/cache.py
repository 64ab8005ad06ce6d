"""Arrays cached on disk and opened as memory maps.

Each copy is a folder named by what it was made from. Other data make another copy, and none is removed: copies that are
no longer needed can be deleted by hand while nothing trains.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.dataset import Announce
from benchmark.errors import writing

DECODING = 2
"""Version of the decoded pixels and of their order: raise it where they change. Older copies are then built again, and
runs on a plug-in's data set, whose ids hold it, get other ids."""
_META = "meta.json"


@dataclass(frozen=True, eq=False)
class CachedArrays:
    """Arrays by name.

    Attributes:
        arrays: by name.
        fingerprint: of their content; may be empty.
        facts: further results as JSON values.
    """

    arrays: Mapping[str, np.ndarray[Any, Any]]
    fingerprint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def load_or_build(folder: Path, build: Callable[[Path], CachedArrays], announce: Announce) -> CachedArrays:
    """Open a cached copy; build it first where it is missing or corrupt.

    When several processes need a copy, one builds it and the others wait.

    Args:
        folder: of the copy; it appears complete or not at all.
        build: makes the arrays, given a folder that will become ``folder``: files written there are kept.
        announce: called with a line before a corrupt copy is rebuilt.

    Raises:
        UserError: the folder cannot be written.
    """
    return _open(folder) or _build(folder, build, announce)


def _build(folder: Path, build: Callable[[Path], CachedArrays], announce: Announce) -> CachedArrays:
    from filelock import FileLock

    # The name is fixed, since only the holder of the lock uses it: what a killed process left is removed.
    scratch = folder.with_name(f".{folder.name}.tmp")
    with writing(folder.parent, "--checkpoints"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            if found := _open(folder):  # another process has built it in the meantime
                return found
            if folder.exists():
                announce(f"{folder}: the cache is corrupt, it is built again")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            try:
                made = build(scratch)
                _write(scratch, made)
                shutil.rmtree(folder, ignore_errors=True)
                scratch.replace(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return _open(folder) or made


def _write(folder: Path, made: CachedArrays) -> None:
    for name, array in made.arrays.items():
        np.save(folder / f"{name}.npy", array)
    meta = {
        "version": DECODING,
        "fingerprint": made.fingerprint,
        "facts": made.facts,
        "arrays": {name: [list(array.shape), str(array.dtype)] for name, array in made.arrays.items()},
    }
    (folder / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _open(folder: Path) -> CachedArrays | None:
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        if meta["version"] != DECODING:
            return None
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in meta["arrays"]}
        return CachedArrays(arrays, str(meta["fingerprint"]), dict(meta["facts"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None
