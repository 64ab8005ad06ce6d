"""Encoded images in Parquet files: finding the files, reading batches of rows, decoding a whole data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.data.dataset import DatasetFiles, DatasetInfo, Split
from benchmark.data.images import decode_all
from benchmark.errors import UserError, one_line

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH = 5_000  # images read at once
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


@dataclass(frozen=True)
class Columns:
    """Names that the columns may have; the first one present is read.

    Attributes:
        image: encoded images, plain bytes or a struct with a field ``bytes`` and maybe the file name as ``path``.
        label: integers.
    """

    image: tuple[str, ...]
    label: tuple[str, ...]


class Shards(NamedTuple):
    """The Parquet files of both splits, each sorted by name."""

    train: list[Path]
    test: list[Path]


class Row(NamedTuple):
    """A row of a Parquet file.

    Attributes:
        number: in the file, from 0.
        image: the encoded image.
        label: a class.
        name: file name of the image; empty where the file states none.
    """

    number: int
    image: bytes
    label: int
    name: str


def find_shards(folder: Path, tests: Sequence[str]) -> Shards | None:
    """The files ``train*.parquet`` and those of the test split in a folder; None where it has neither.

    Args:
        folder: where to look.
        tests: names that the test split may have; the first one present is taken.

    Raises:
        UserError: one split or a part of one is missing, or parts of several exports are mixed.
    """
    train = sorted(folder.glob("train*.parquet"))
    test = next(filter(None, (sorted(folder.glob(f"{name}*.parquet")) for name in tests)), [])
    if not train and not test:
        return None
    if not train or not test:
        missing = tests[0] if train else "train"
        raise UserError(f"{folder}: the {missing} split is missing: add {missing}*.parquet")
    for paths in (train, test):
        _check_complete(paths)
    return Shards(train, test)


def _check_complete(paths: Sequence[Path]) -> None:
    """Check that numbered files are all parts of one export; files without numbers need not be."""
    numbers = [tuple(map(int, match.groups())) for path in paths if (match := _SHARD.search(path.name))]
    if numbers and sorted(numbers) != [(number, len(paths)) for number in range(len(paths))]:
        raise UserError(
            f"{paths[0].parent}: {paths[0].name} and those beside it are not the parts of one export: add the missing "
            "ones, and remove those of other exports"
        )


def decodable_shards(info: DatasetInfo, columns: Columns, shards: Shards, *, fit: bool = False) -> DatasetFiles:
    """A data set in Parquet files, to be decoded with `read_split`."""
    read = partial(read_split, columns=columns, info=info, fit=fit)
    files = {path.name: path for paths in shards for path in paths}
    return DatasetFiles(lambda: (read(shards.train), read(shards.test)), shards.train[0].parent, files)


def read_split(paths: Sequence[Path], columns: Columns, info: DatasetInfo, *, fit: bool = False) -> Split:
    """Read and decode all rows of some Parquet files, in file order.

    Args:
        paths: the files of one split.
        columns: names of their columns.
        info: the size that every image must have, and the number of classes.
        fit: whether images of another size are brought to that one: the shorter side resized, the centre kept.

    Raises:
        UserError: a file is unreadable, lacks a column, or holds a row that is no image of this data set.
    """
    parts, labels = [], []
    for path in paths:
        for rows in batches(path, columns, info.num_classes, _BATCH):
            encoded = [(f"{path}: row {row.number}", row.image) for row in rows]
            parts.append(decode_all(encoded, info.image_size, fit=fit))
            labels += [row.label for row in rows]
    return Split(np.concatenate(parts), np.asarray(labels, dtype=np.int64))


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    # ValueError and KeyError: a column's name is not UTF-8, or occurs twice.
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({one_line(error)}): fetch it again") from error


def num_rows(path: Path) -> int:
    """The number of rows that a file states.

    Raises:
        UserError: it is unreadable.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def batches(path: Path, columns: Columns, num_classes: int, size: int) -> Iterator[list[Row]]:
    """Yield the rows of a file in batches of ``size``, in file order.

    Raises:
        UserError: the file is unreadable, lacks a column or has no rows, a row lacks an image, or a label is no class.
    """
    number = 0
    with _opened(path) as file:
        image, label = (_column(path, file, names) for names in (columns.image, columns.label))
        for batch in file.iter_batches(size, columns=[image, label]):
            cells = zip(batch.column(image).to_pylist(), batch.column(label).to_pylist(), strict=True)
            yield [_row(path, row, *cell, num_classes) for row, cell in enumerate(cells, number)]
            number += batch.num_rows
    if not number:
        raise UserError(f"{path}: the file holds no rows: fetch it again")


def _column(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> str:
    """The first of some names that a column has."""
    present = file.schema_arrow.names
    name = next((name for name in names if name in present), None)
    if name is None:
        raise UserError(f"{path}: no column {' or '.join(names)} (there are {', '.join(present)})")
    return name


def _row(path: Path, number: int, image: object, label: object, num_classes: int) -> Row:
    content, name = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    if not isinstance(content, bytes):
        raise UserError(f"{path}: row {number} holds no image bytes")
    if type(label) is not int or not 0 <= label < num_classes:
        raise UserError(f"{path}: row {number} has label {label}, it must be 0 to {num_classes - 1}")
    return Row(number, content, label, name if isinstance(name, str) else "")
