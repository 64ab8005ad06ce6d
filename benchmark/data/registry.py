"""Data sets by name, found in the files of this folder."""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib import import_module
from pathlib import Path

from benchmark.data.cache import Stored, stored
from benchmark.data.dataset import Announce, Dataset, DatasetInfo, Source, canonical, fingerprint
from benchmark.errors import unknown

# Looked for in the text, because importing every file of the folder would import torch.
_DECLARES_SOURCES = re.compile(r"^SOURCES\b", re.MULTILINE)
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


def load(name: str, data_dir: Path | None, cache_dir: Path, announce: Announce = _log.info) -> Dataset:
    """Loads a data set; images that have to be decoded are, once, into a memory-mapped cache.

    Args:
        name: registry name.
        data_dir: where the user keeps data; None means ``$KD_DATA``, else ``cache_dir/downloads``.
        cache_dir: decoded images go to ``cache_dir/data``.
        announce: called with a line about each longer step.

    Raises:
        UserError: unknown name, or the data are missing, incomplete or unreadable.
    """
    source = _source(name)
    found = source.find(data_dir, cache_dir, announce)

    def build() -> Stored:
        train, test = map(canonical, found.read())
        return Stored(train, test, fingerprint(train, test))

    folder = cache_dir / "data" / f"{name}-{found.key}"
    arrays = build() if found.key is None else stored(folder, build, announce)
    return _dataset(source, arrays)


def _dataset(source: Source, arrays: Stored) -> Dataset:
    return Dataset(
        name=source.info.name,
        train=arrays.train,
        test=arrays.test,
        num_classes=source.info.num_classes,
        fingerprint=arrays.fingerprint,
        official=arrays.fingerprint == source.official,
    )


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
