"""What planning knows of networks without importing torch: ``models/networks.csv``, and the measurements of drafts.

A draft is a network that the CSV does not list: one of a plug-in, or a new one in ``models/``. A process builds and
measures it once.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.registry import plugins
from benchmark.registry.description import described
from benchmark.registry.plugins import NETWORKS, ROOT, SourceFile

_NUMBERS = ("params", "macs", "in_size", "classes", "revision")


@dataclass(frozen=True)
class NetworkInfo:
    """One network, measured at its standard input size.

    Attributes:
        name: registry name.
        family: family name.
        params: number of parameters.
        macs: multiply-accumulates of one image's forward pass.
        in_size: input side in pixels at which the shapes hold.
        classes: number of classes at which the counts hold.
        feats: shapes of the feats as ``CxHxW`` joined by spaces.
        map: shape of the penultimate map.
        code: SHA-256 of the code of a draft, which is part of ids; empty for networks of the CSV.
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
    text = (ROOT / "models" / "networks.csv").read_text(encoding="utf-8")
    return {row["name"]: NetworkInfo(**row) for row in _rows(text)}


def read_networks() -> dict[str, NetworkInfo]:
    """All networks by name, drafts included.

    Raises:
        UserError: a draft cannot be built, or has the name of another network.
    """
    known = dict(settled())
    places: dict[str, Path] = {}
    for file in plugins.discovered().of(NETWORKS):
        for name in file.networks:
            if places.setdefault(name, file.path) != file.path:
                raise UserError(f"network '{name}' of {file.path}: {places[name]} registers one of that name, too")
        if drafts := [name for name in file.networks if not file.inside or name not in settled()]:
            known |= _measured(file, drafts)
    return known


def _measured(file: SourceFile, names: list[str]) -> dict[str, NetworkInfo]:
    def read(text: str) -> dict[str, NetworkInfo]:
        rows = {row["name"]: row | {"revision": 1} for row in _rows(text)}
        return {name: NetworkInfo(**rows[name], code=file.code, path=file.path) for name in names}

    return described(file, read)


def _rows(text: str) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(text))
    return [{key: int(value) if key in _NUMBERS else value for key, value in row.items()} for row in rows]
