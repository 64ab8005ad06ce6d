"""Data sets by name, found in the files of this folder and among plug-ins."""

from __future__ import annotations

import logging
import os
import traceback
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import Any

from benchmark.data.cache import CachedArrays, load_or_build
from benchmark.data.content import content_hash
from benchmark.data.dataset import (
    Announce,
    Dataset,
    DatasetFiles,
    DatasetInfo,
    DatasetReader,
    FileDataset,
    Split,
    canonical,
    fingerprint,
)
from benchmark.data.files import DATA_VARIABLE
from benchmark.data.normalisation import Normalisation, measured
from benchmark.data.user_data import check_name
from benchmark.errors import UserError, one_line, unknown
from benchmark.ids import digest, short_id
from benchmark.registry import plugins

_PARTS = ("images", "labels")
_KEY_LENGTH = 16
_log = logging.getLogger(__name__)
_announce: ContextVar[Announce] = ContextVar("announce", default=_log.info)


def names() -> list[str]:
    """Names of all data sets, sorted."""
    return sorted(_readers())


def describe(name: str) -> DatasetInfo:
    """Facts about a data set, without loading it.

    Raises:
        UserError: there is no such data set.
    """
    return _reader(name).info


def location(name: str) -> str:
    """The files that a data set is looked for in, in words.

    Raises:
        UserError: there is no such data set.
    """
    return _reader(name).location


def load(name: str, data_dir: Path | None, cache_dir: Path, announce: Announce = _log.info) -> Dataset | FileDataset:
    """Load a data set. Images of one size are decoded once, into a memory-mapped cache.

    Args:
        name: registry name.
        data_dir: holds the user's data; None for ``$KD_DATA``, else ``cache_dir/downloads``.
        cache_dir: decoded images, and encoded ones copied out of Parquet, go to ``cache_dir/data``.
        announce: called with a line about each longer step.

    Raises:
        UserError: unknown name, or the data are missing, incomplete or unreadable.
    """
    reader = _reader(name)
    files = reader.find(data_dir, cache_dir, announce)
    if isinstance(files, FileDataset):
        return files
    cached = _decoded(name, files, cache_dir, announce)
    train, test = (Split(*(cached.arrays[f"{split}_{part}"] for part in _PARTS)) for split in ("train", "test"))
    official = reader.is_official(cached.fingerprint, len(train), len(test))
    return Dataset(name, train, test, reader.info.num_classes, cached.fingerprint, official)


def code_of(name: str) -> str:
    """SHA-256 of the code of a plug-in's data set; empty for all others.

    Raises:
        UserError: a plug-in cannot be used.
    """
    file = _declared(plugins.listed())[1].get(name)
    return "" if file is None or file.inside else file.code


def content_of(name: str) -> str:
    """SHA-256 of the files of a plug-in's data set in ``$KD_DATA``; empty for all others. Computed once a process.

    Where images stay in their files it covers labels, names and sizes; other images are decoded if they are not in the
    cache.

    Raises:
        UserError: as `load`.
    """
    return _facts(name, *_environment())[0] if code_of(name) else ""


def normalisation(name: str) -> Normalisation | None:
    """Mean and standard deviation of the training images of a plug-in's data set; None for all others.

    Decodes the images if they are not in the cache. Also None where images stay in their files.

    Raises:
        UserError: as `load`.
    """
    return _facts(name, *_environment())[1] if code_of(name) else None


def tell(announce: Announce) -> None:
    """Set where steps are announced that take time while ids are computed, such as decoding a plug-in's data set."""
    _announce.set(announce)


def forget() -> None:
    """Read plug-ins and their data again when they are next asked for, as a new process does."""
    for cached in (_declared, _facts):
        cached.cache_clear()


def _environment() -> tuple[str, str, Path]:
    """What data sets of plug-ins depend on: the plug-ins, the data folder and the cache folder."""
    return plugins.listed(), os.environ.get(DATA_VARIABLE, ""), plugins.cache_folder()


@cache
def _facts(name: str, _plugins: str, _data_dir: str, cache_dir: Path) -> tuple[str, Normalisation | None]:
    """Content and normalisation of a data set; no normalisation where images stay in their files."""
    announce = _announce.get()
    files = _reader(name).find(None, cache_dir, announce)
    if isinstance(files, FileDataset):
        return files.fingerprint, None
    content = _hash(name, files, files.folder, cache_dir) if files.folder else ""
    try:
        facts = _decoded(name, files, cache_dir, announce).facts
    except UserError:  # plans are also made where nothing can be written
        facts = _in_canonical_order(*files.read()).facts
    return content, Normalisation(tuple(facts["mean"]), tuple(facts["std"]))


def _hash(name: str, files: DatasetFiles, folder: Path, cache_dir: Path) -> str:
    """SHA-256 of a data set's files, stored for each folder that holds a data set of this name."""
    memory = f"{name}-{short_id(digest(str(folder.absolute())))}.json"
    return content_hash(files.files, cache_dir / "content" / memory)


def _decoded(name: str, files: DatasetFiles, cache_dir: Path, announce: Announce) -> CachedArrays:
    """The decoded images of a data set, from the cache if it has a folder."""
    folder = files.folder
    if folder is None:
        return _in_canonical_order(*files.read())
    content = _hash(name, files, folder, cache_dir)

    def build(_scratch: Path) -> CachedArrays:
        announce(f"{name}: decoding the images in {folder}, only once")
        made = _in_canonical_order(*files.read())
        if _hash(name, files, folder, cache_dir) != content:
            raise UserError(f"{folder}: the files changed while they were decoded: run the command again")
        return made

    copy = "-".join(filter(None, (content[:_KEY_LENGTH], files.choice)))
    return load_or_build(cache_dir / "data" / name / copy, build, announce)


def _in_canonical_order(train: Split, test: Split) -> CachedArrays:
    splits = {"train": canonical(train), "test": canonical(test)}
    arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in _PARTS}
    return CachedArrays(arrays, fingerprint(splits["train"], splits["test"]), measured(train)._asdict())


def _reader(name: str) -> DatasetReader:
    if name not in _readers():
        raise unknown("data set", name, names())
    return _readers()[name]


def _readers() -> dict[str, DatasetReader]:
    return _declared(plugins.listed())[0]


@cache
def _declared(_plugins: str) -> tuple[dict[str, DatasetReader], dict[str, plugins.SourceFile]]:
    """All data sets and their files, by name."""
    readers: dict[str, DatasetReader] = {}
    files: dict[str, plugins.SourceFile] = {}
    for file in plugins.discovered(plugins.DATASETS):
        for reader in _readers_of(file):
            name = reader.info.name
            if other := files.get(name):
                what = f"data set '{name}' of {file.path}"
                raise UserError(f"{what}: {other.path} has one of that name, too: choose another name")
            readers[name], files[name] = reader, file
    return readers, files


def _readers_of(file: plugins.SourceFile) -> tuple[DatasetReader, ...]:
    if file.inside:
        own: tuple[DatasetReader, ...] = import_module(f"{__package__}.{file.path.stem}").SOURCES
        return own
    readers = _run(file.path).get("SOURCES")
    if not isinstance(readers, list | tuple) or not all(isinstance(reader, DatasetReader) for reader in readers):
        raise UserError(f"{file.path}: SOURCES must be a tuple of data sets, as in SOURCES = (image_folder(...),)")
    for reader in readers:
        check_name(reader.info.name)
    return tuple(readers)


def _run(path: Path) -> dict[str, Any]:
    """The global names of a plug-in."""
    try:
        return run_path(str(path), run_name=path.stem)
    except UserError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f"{path}:{lines[-1]}" if lines else f"{path}"
        raise UserError(f"{place}: the file cannot be run ({type(error).__name__}: {one_line(error)})") from error
