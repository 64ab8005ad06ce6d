"""Data sets by name, found in the files of this folder and among plug-ins."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from benchmark.data.cache import Copy, Stored, UnwritableError, one_line, stored
from benchmark.data.content import content
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
from benchmark.data.files import DATA_VARIABLE
from benchmark.data.index import open_index
from benchmark.data.normalisation import Normalisation, measured
from benchmark.data.own import check_name
from benchmark.errors import UserError, unknown
from benchmark.ids import digest, short_id
from benchmark.registry import plugins

_PARTS = ("images", "labels")
_KEY_LENGTH = 16
_log = logging.getLogger(__name__)
_announce: ContextVar[Announce] = ContextVar("announce", default=_log.info)


def names() -> list[str]:
    """Names of all data sets, sorted."""
    return sorted(_sources())


def code_of(name: str) -> str:
    """SHA-256 of the code that states a data set of one's own; empty for all others.

    Raises:
        UserError: a file of one's own cannot be used.
    """
    file = _declared(plugins.listed())[1].get(name)
    return "" if file is None or file.inside else file.code


def content_of(name: str) -> str:
    """SHA-256 of the files of a data set of one's own, by their names in it; empty for all others.

    They are looked for in ``$KD_DATA``, and looked at once a process.

    Raises:
        UserError: a file of one's own cannot be used, or the data are missing, incomplete or unreadable.
    """
    if not code_of(name):
        return ""
    return _content(name, plugins.listed(), os.environ.get(DATA_VARIABLE, ""), plugins.cache_folder())


@cache
def _content(name: str, _plugins: str, _data_dir: str, cache_dir: Path) -> str:
    found = _source(name).find(None, cache_dir, _announce.get())
    return _hashed(name, found, found.place, cache_dir) if isinstance(found, Found) and found.place else ""


def _hashed(name: str, found: Found, place: Path, cache_dir: Path) -> str:
    """SHA-256 of a data set's files, remembered for each folder that holds one of its name."""
    memory = f"{name}-{short_id(digest(str(place.absolute())))}.json"
    return content(found.files, cache_dir / "content" / memory)


def normalisation(name: str) -> Normalisation | None:
    """Mean and standard deviation of the training images of a plug-in's data set; None for all others.

    The images are decoded for it where they have not been. None, too, where images stay in their files.

    Raises:
        UserError: as of `load`.
    """
    if not code_of(name):
        return None
    return _normalisation(name, plugins.listed(), os.environ.get(DATA_VARIABLE, ""), plugins.cache_folder())


@cache
def _normalisation(name: str, _plugins: str, _data_dir: str, cache_dir: Path) -> Normalisation | None:
    source, announce = _source(name), _announce.get()
    found = source.find(None, cache_dir, announce)
    if isinstance(found, FoundFiles):
        return None
    try:
        facts = _opened(source, found, cache_dir, announce).facts
    except UnwritableError:  # plans are made where nothing can be written, too
        facts = _canonical(*found.read()).facts
    return Normalisation(tuple(facts["mean"]), tuple(facts["std"]))


def tell(announce: Announce) -> None:
    """Announce what takes time while ids are worked out, such as decoding a plug-in's data set."""
    _announce.set(announce)


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
    if isinstance(found, FoundFiles):
        return open_index(source, found, cache_dir / "data" / name, announce)
    return _decoded(source, found, cache_dir, announce)


def _decoded(source: Source, found: Found, cache_dir: Path, announce: Announce) -> Dataset:
    info, opened = source.info, _opened(source, found, cache_dir, announce)
    train, test = (Split(*(opened.arrays[f"{name}_{part}"] for part in _PARTS)) for name in ("train", "test"))
    official = source.judge(opened.fingerprint, len(train), len(test))
    return Dataset(info.name, train, test, info.num_classes, opened.fingerprint, official, opened.hold)


def _opened(source: Source, found: Found, cache_dir: Path, announce: Announce) -> Stored:
    """The decoded copy of a data set, made first where there is none."""
    name, place = source.info.name, found.place
    if place is None:
        return _canonical(*found.read())
    hashed = _hashed(name, found, place, cache_dir)

    def build(_scratch: Path) -> Stored:
        made = _canonical(*found.read())
        if _hashed(name, found, place, cache_dir) != hashed:
            raise UserError(f"{place}: the files changed while they were decoded: run the command again")
        return made

    return stored(Copy(cache_dir / "data" / name, hashed[:_KEY_LENGTH], found.choice, place), build, announce)


def _canonical(train: Split, test: Split) -> Stored:
    splits = {"train": canonical(train), "test": canonical(test)}
    arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in _PARTS}
    return Stored(arrays, fingerprint(splits["train"], splits["test"]), measured(train)._asdict())


def _source(name: str) -> Source:
    if name not in _sources():
        raise unknown("data set", name, names())
    return _sources()[name]


def _sources() -> dict[str, Source]:
    return _declared(plugins.listed())[0]


@cache
def _declared(_plugins: str) -> tuple[dict[str, Source], dict[str, plugins.SourceFile]]:
    """All data sets by name, and their files."""
    known: dict[str, Source] = {}
    files: dict[str, plugins.SourceFile] = {}
    for file in plugins.discovered(plugins.DATASETS):
        for source in import_module(f"{__package__}.{file.path.stem}").SOURCES if file.inside else _own(file):
            name = source.info.name
            if other := files.get(name):
                what = f"data set '{name}' of {file.path}"
                raise UserError(f"{what}: {other.path} has one of that name, too: choose another name")
            known[name], files[name] = source, file
    return known, files


def _own(file: plugins.SourceFile) -> Sequence[Source]:
    """The data sets of a plug-in."""
    sources = getattr(_loaded(file.path), "SOURCES", None)
    if not isinstance(sources, list | tuple) or not all(isinstance(source, Source) for source in sources):
        raise UserError(f"{file.path}: SOURCES must be a tuple of data sets, as in SOURCES = (image_folder(...),)")
    for source in sources:
        check_name(source.info.name)
    return sources


def _loaded(path: Path) -> ModuleType:
    """A file of one's own as a module."""
    spec = spec_from_file_location(f"srrl_bench_data_{short_id(sha256(str(path).encode()).hexdigest())}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f"{path}:{lines[-1]}" if lines else f"{path}"
        raise UserError(f"{place}: the file cannot be run ({type(error).__name__}: {one_line(error)})") from error
    return module
