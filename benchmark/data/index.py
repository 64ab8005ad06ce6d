"""Where every encoded image of a data set lies, in canonical order: made once and kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmark.data.cache import Copy, Stored, stored
from benchmark.data.dataset import Announce, EncodedSplit, FileDataset, FoundFiles, Listing, Source, as_keys

COPIES = "images"
"""Subfolder of the cache folder that holds copied images."""
Row = tuple[bytes, int, str, int, int, int]
"""Of an encoded image: key, label, file, first byte, number of bytes, and row of its Parquet file or -1."""
_PARTS = ("labels", "files", "spans")
_SPLITS = ("train", "test")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def open_index(source: Source, found: FoundFiles, copies: Path, announce: Announce) -> FileDataset:
    """Opens the index of a data set's images, listing them first where that has not been done.

    Args:
        source: the data set.
        found: where its images are.
        copies: the data set's folder in the cache.
        announce: called with a line about each longer step.

    Raises:
        UserError: images are missing or unreadable, or the folder cannot be written.
    """

    def build(scratch: Path) -> Stored:
        listings = dict(zip(_SPLITS, map(_canonical, found.list(scratch / COPIES)), strict=True))
        digest = hashlib.sha256()
        for listing in listings.values():
            digest.update(repr(listing.keys.shape).encode() + listing.keys.tobytes())
        arrays = {f"{name}_{part}": getattr(listings[name], part) for name in _SPLITS for part in _PARTS}
        return Stored(arrays, digest.hexdigest())

    copy = Copy(copies, found.key, "", found.origin)
    cached = stored(copy, build, announce)
    root = copy.folder / COPIES if found.copied else found.origin
    train, test = (_split(cached, name, root, found.origin) for name in _SPLITS)
    official = source.judge(cached.fingerprint, len(train), len(test))
    info = source.info
    return FileDataset(info.name, train, test, info.num_classes, cached.fingerprint, official, cached.hold)


def listing(rows: Sequence[Row]) -> Listing:
    """Rows, at least one, as arrays."""
    keys, labels, files, *spans = zip(*rows, strict=True)
    return Listing(
        as_keys(keys),
        np.asarray(labels, dtype=np.int64),
        np.asarray([os.fsencode(file) for file in files]),
        np.asarray(spans, dtype=np.int64).T.copy(),
    )


def joined(parts: Sequence[Listing]) -> Listing:
    """Several listings as one."""
    return Listing(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.files for part in parts]),
        np.concatenate([part.spans for part in parts]),
    )


def in_parallel(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Results in the order of the items, made by threads; no item is begun after one has failed."""
    pool = ThreadPoolExecutor(cpus())
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _canonical(rows: Listing) -> Listing:
    order = np.argsort(rows.keys, kind="stable")
    return Listing(rows.keys[order], rows.labels[order], rows.files[order], rows.spans[order])


def _split(cached: Stored, name: str, root: Path, origin: Path) -> EncodedSplit:
    labels, files, spans = (cached.arrays[f"{name}_{part}"] for part in _PARTS)
    return EncodedSplit(labels, files, spans, root, origin)
