"""Data sets by name, found in the files of this folder."""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib import import_module
from pathlib import Path

from benchmark.data.cache import Stored, stored
from benchmark.data.dataset import (
    Announce,
    Dataset,
    DatasetInfo,
    FileDataset,
    Found,
    FoundFiles,
    Source,
    Split,
    canonical,
    fingerprint,
)
from benchmark.data.index import open_index
from benchmark.errors import unknown

# Looked for in the text, because importing every file of the folder would import torch.
_DECLARES_SOURCES = re.compile(r"^SOURCES\b", re.MULTILINE)
_PARTS = ("images", "labels")
_log = logging.getLogger(__name__)


def names() -> list[str]:
    """Names of all data sets, sorted."""
    return sorted(_sources())


def describe(name: str) -> DatasetInfo:
    """Sizes of a data set, without loading it.

    Raises:
        UserError: there is no such data set.
    """
    return _source(name).info


def load(name: str, data_dir: Path | None, cache_dir: Path, announce: Announce = _log.info) -> Dataset | FileDataset:
    """Loads a data set; images that have to be decoded are, once, into a memory-mapped cache.

    Args:
        name: registry name.
        data_dir: where the user keeps data; None means ``$KD_DATA``, else ``cache_dir/downloads``.
        cache_dir: decoded images, and indices of encoded ones, go to ``cache_dir/data``.
        announce: called with a line about each longer step.

    Raises:
        UserError: unknown name, or the data are missing, incomplete or unreadable.
    """
    source = _source(name)
    found = source.find(data_dir, cache_dir, announce)
    folder = cache_dir / "data" / f"{name}-{found.key}"
    if isinstance(found, FoundFiles):
        return open_index(source, found, folder, announce)
    return _decoded(source, found, folder, announce)


def _decoded(source: Source, found: Found, folder: Path, announce: Announce) -> Dataset:
    def build(_scratch: Path) -> Stored:
        train, test = map(canonical, found.read())
        splits = {"train": train, "test": test}
        arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in _PARTS}
        return Stored(arrays, fingerprint(train, test))

    cached = build(folder) if found.key is None else stored(folder, build, announce)
    train, test = (Split(*(cached.arrays[f"{name}_{part}"] for part in _PARTS)) for name in ("train", "test"))
    official = source.judge(cached.fingerprint, len(train), len(test))
    return Dataset(source.info.name, train, test, source.info.num_classes, cached.fingerprint, official)


def _source(name: str) -> Source:
    if name not in _sources():
        raise unknown("data set", name, names())
    return _sources()[name]


@cache
def _sources() -> dict[str, Source]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    declaring = [path.stem for path in files if _DECLARES_SOURCES.search(path.read_text(encoding="utf-8"))]
    modules = [import_module(f"{__package__}.{stem}") for stem in declaring]
    return {source.info.name: source for module in modules for source in module.SOURCES}
