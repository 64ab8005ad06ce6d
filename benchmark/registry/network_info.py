"""What planning knows of networks without importing torch: ``models/networks.csv``, and drafts measured once.

A draft is a network that the CSV does not name: from a file outside the project, or new in ``models/``. It is measured
in a process of its own, and what comes out is kept by the hash of its file's code and of what that imports.
"""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files import fitted, write_atomically
from benchmark.ids import short_id
from benchmark.registry import plugins
from benchmark.registry.method_info import registered
from benchmark.registry.plugins import ROOT, OwnFile
from benchmark.registry.source_hash import parsed

_MODELS = ROOT / "models"
_PATIENCE = 120.0
_TRACE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True)
class NetworkInfo:
    """One network, measured at its standard input size.

    Attributes:
        name: registry name.
        family: family name.
        params: trainable scalars.
        macs: multiply-accumulates of one image's forward pass.
        in_size: input side in pixels at which the shapes hold.
        classes: number of classes at which the counts hold.
        feats: shapes of the feats as ``CxHxW`` joined by spaces.
        map: shape of the penultimate map.
        code: SHA-256 of its file's code, and of what that imports of one's own, where that is part of ids: of a draft.
            Empty where the CSV names it.
        path: a draft's file.
        revision: of its code; part of ids from 2 on.
    """

    name: str
    family: str
    params: int
    macs: int
    in_size: int
    classes: int
    feats: str
    map: str
    code: str = ""
    path: Path | None = None
    revision: int = 1


@cache
def settled() -> dict[str, NetworkInfo]:
    """The networks of ``models/networks.csv``."""
    return {info.name: info for info in _read((_MODELS / "networks.csv").read_text(encoding="utf-8"))}


def all_networks() -> dict[str, NetworkInfo]:
    """All networks by name, drafts included.

    Raises:
        UserError: a draft cannot be measured, or has the name of another network.
    """
    return _all(plugins.listed())


@cache
def _all(_plugins: str) -> dict[str, NetworkInfo]:
    known = dict(settled())
    places = {name: path for path in sorted(_MODELS.glob("*.py")) for name in registered(parsed(path), path)}
    for file in (*_drafts_inside(places), *plugins.found().networks):
        for name in file.names:
            if places.setdefault(name, file.path) != file.path:
                raise UserError(f"network '{name}' of {file.path}: {places[name]} registers one of that name, too")
        known |= {info.name: info for info in _measured(file)}
    return known


def _drafts_inside(places: dict[str, Path]) -> Iterator[OwnFile]:
    """Files of ``models/`` with networks that the CSV does not name yet."""
    drafts = {name: path for name, path in places.items() if name not in settled()}
    for path in dict.fromkeys(drafts.values()):
        names = tuple(name for name, file in drafts.items() if file == path)
        yield OwnFile(path, plugins.own_code(path), names)


def _measured(file: OwnFile) -> list[NetworkInfo]:
    """What is known of the file's networks."""
    end = f"-{short_id(file.code)}.csv"
    kept = plugins.cache_folder() / "networks" / f"{fitted(file.path.stem, len(end))}{end}"
    with suppress(OSError, ValueError, KeyError):
        rows = _read(kept.read_text(encoding="utf-8"), file)
        if {row.name for row in rows} >= {*file.names}:
            return rows
    text = _described(file.path)
    rows = _read(text, file)
    with suppress(UserError):  # plans are made where nothing can be written, too
        write_atomically(kept, text.encode())
    return rows


def _read(text: str, file: OwnFile | None = None) -> list[NetworkInfo]:
    """The rows of a CSV; of those of a file, the ones that are drafts."""
    return [
        NetworkInfo(
            name=row["name"],
            family=row["family"],
            params=int(row["params"]),
            macs=int(row["macs"]),
            in_size=int(row["in_size"]),
            classes=int(row["classes"]),
            feats=row["feats"],
            map=row["map"],
            revision=1 if file else int(row["revision"]),
            code=file.code if file else "",
            path=file.path if file else None,
        )
        for row in csv.DictReader(io.StringIO(text))
        if file is None or row["name"] in file.names
    ]


def _described(path: Path) -> str:
    """The CSV of a file's networks, from a process that may import torch."""
    inside = path.is_relative_to(_MODELS)
    try:
        done = subprocess.run(  # noqa: S603 - this project's own module
            [sys.executable, "-m", "models.describe", str(path)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {plugins.VARIABLE: "" if inside else str(path), "OMP_NUM_THREADS": "1"},
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{path}: its networks could not be measured within {_PATIENCE:.0f} s") from None
    if done.returncode:
        raise UserError(_blamed(path, done.stderr))
    return done.stdout


def _blamed(path: Path, traceback: str) -> str:
    """The end of a traceback as one line that names the place in the file."""
    lines = [match["line"] for match in _TRACE.finditer(traceback) if Path(match["path"]) == path]
    words = traceback.strip().splitlines() or ["no answer"]
    return f"{path}{f':{lines[-1]}' if lines else ''}: its networks cannot be built: {words[-1]}"
