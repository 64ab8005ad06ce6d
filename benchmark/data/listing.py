"""Data sets whose images stay in files: their canonical order and fingerprint, from the names of the images.

No image is read for either. The canonical order is that of a hash of label and file name, so that a folder tree and
Parquet files with the same names give the same batches. It is not the alphabetical order because ``train_limit`` and
``holdout`` take the first and the last rows, which would then show a few classes only.

The fingerprint covers the labels and names of all images, and their sizes in bytes: of all images up to 100,000, of
every hundredth of more. It does not notice an image that was replaced by one of the same name and size, or one of a
size that is not looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.data.dataset import DatasetInfo, EncodedSplit, FileDataset, ImageLocation, row_keys
from benchmark.errors import UserError, one_line

# Hugging Face's export names n01440764/n01440764_10026.JPEG "n01440764_10026_n01440764.JPEG".
_EXPORTED_SYNSET = re.compile(r"_n\d{8}(?=\.\w+$)")
_ALL_SIZES = 100_000
_SIZE_EVERY = 100


class Listing(NamedTuple):
    """The encoded images of a split, in any order.

    Attributes:
        names: bytes (N,), file names of the images.
        labels: int64 (N,).
        files: as in `EncodedSplit`.
        spans: as in `EncodedSplit`.
    """

    names: npt.NDArray[np.bytes_]
    labels: npt.NDArray[np.int64]
    files: npt.NDArray[np.bytes_]
    spans: npt.NDArray[np.int64]


class ListedImage(NamedTuple):
    """An image of a `Listing`."""

    name: str
    label: int
    file: str
    span: tuple[int, int, int]


def listed(images: Sequence[ListedImage]) -> Listing:
    """The listing of some images."""
    names, labels, files, spans = zip(*images, strict=True)
    return Listing(
        np.asarray([os.fsencode(name) for name in names]),
        np.asarray(labels, dtype=np.int64),
        np.asarray([os.fsencode(file) for file in files]),
        np.asarray(spans, dtype=np.int64),
    )


def image_name(path: str) -> str:
    """The name of an image file without folders and without the synset that Hugging Face's export appends."""
    return _EXPORTED_SYNSET.sub("", path.rpartition("/")[2])


def table_rows(path: Path, columns: int) -> list[list[str]]:
    """The first columns of a text file with a row for each image or class, separated by white space.

    Raises:
        UserError: the file cannot be read, or a row has fewer columns.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}): fetch it again") from error
    rows = [line.split()[:columns] for line in lines if line.strip()]
    if short := next((number for number, row in enumerate(rows, 1) if len(row) < columns), None):
        raise UserError(f"{path}: row {short} has fewer than {columns} columns: fetch it again")
    return rows


def file_dataset(info: DatasetInfo, folder: Path, listings: Sequence[Listing]) -> FileDataset:
    """Put the images of both splits into canonical order.

    Args:
        info: name, number of classes, and the numbers of images of the official data.
        folder: holds the files of both listings.
        listings: training split, then test split.

    Raises:
        UserError: a listed file is not there.
    """
    every = 1 if sum(len(listing.labels) for listing in listings) <= _ALL_SIZES else _SIZE_EVERY
    digest, splits = hashlib.sha256(), []
    for listing in listings:
        keys = row_keys(b"%d/%s" % row for row in zip(listing.labels.tolist(), listing.names.tolist(), strict=True))
        order = np.argsort(keys, kind="stable")
        split = EncodedSplit(listing.labels[order], listing.files[order], listing.spans[order], folder)
        sizes = [_size(place) for place in split.locations(np.arange(0, len(split), every))]
        digest.update(repr(keys.shape).encode() + keys[order].tobytes() + repr(sizes).encode())
        splits.append(split)
    train, test = splits
    official = None if (len(train), len(test)) == (info.num_train, info.num_test) else False
    return FileDataset(info.name, train, test, info.num_classes, digest.hexdigest(), official)


def _size(place: ImageLocation) -> int:
    """The number of bytes of an encoded image."""
    if place.length >= 0:
        return place.length
    try:
        return Path(place.path).stat().st_size
    except OSError as error:
        raise UserError(f"{place.path}: cannot be read ({error.strerror}): repair or fetch that file") from error
