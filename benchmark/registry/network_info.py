"""What planning knows of networks without importing torch: ``models/networks.csv``, and the measurements of drafts.

A draft is a network that the CSV does not list: one of a plug-in, or a new one in ``models/``. A process builds and
measures it once.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import msgspec

from benchmark.errors import UserError
from benchmark.files import LONGEST_WORD
from benchmark.registry import plugins
from benchmark.registry.description import described
from benchmark.registry.plugins import NETWORKS, ROOT
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import network_names

# A network's name is part of a record's path and of pairs such as TEACHER--STUDENT and TEACHER:STUDENT.
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")


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
    return {info.name: info for info in _rows(text)}


def read_networks() -> dict[str, NetworkInfo]:
    """All networks by name, drafts included.

    Raises:
        UserError: a draft cannot be built, or has the name of another network.
    """
    known = dict(settled())
    for file in plugins.discovered(NETWORKS):
        if file.inside and {*network_names(parsed(file.path))} <= settled().keys():
            continue
        for measured in described(file, _rows):
            info = replace(measured, revision=1, code=file.code, path=file.path)
            if not _PLAIN.fullmatch(info.name) or len(info.name) > LONGEST_WORD:
                raise UserError(
                    f"{file.path}: network {info.name!r}: a name is made of letters and digits, with single - or _ "
                    f"between them, {LONGEST_WORD} characters at most"
                )
            if (other := known.get(info.name)) and not file.inside:
                raise UserError(f"network '{info.name}' of {file.path}: {other.path} registers one of that name, too")
            known.setdefault(info.name, info)
    return known


def _rows(text: str) -> list[NetworkInfo]:
    """The networks of a CSV text."""
    return [msgspec.convert(row, NetworkInfo, strict=False) for row in csv.DictReader(io.StringIO(text))]
