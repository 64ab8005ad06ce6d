"""Encoded images in Parquet files: finding the files, reading batches of rows, decoding a whole data set."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.data.dataset import Announce, DatasetFiles, DatasetInfo, Split
from benchmark.data.images import central_pixels, decode
from benchmark.data.parallel import in_parallel
from benchmark.errors import UserError, one_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH = 5_000  # images read at once
_CHUNK = 100  # images a task decodes
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


class Batch(NamedTuple):
    """Consecutive rows of a Parquet file.

    Attributes:
        row: number of the first row in the file.
        images: encoded images.
        labels: int64 (N,), each a class.
        names: file names of the images; None where the file states none.
    """

    row: int
    images: list[bytes]
    labels: npt.NDArray[np.int64]
    names: list[str | None]


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
    numbered = [match.groups() for path in paths if (match := _SHARD.search(path.name))]
    if not numbered:
        return
    totals = {int(total) for _, total in numbered}
    present = {int(number) for number, _ in numbered}
    if len(totals) > 1 or len(numbered) < len(paths):
        raise UserError(
            f"{paths[0].parent}: files of several exports are mixed, keep those of one: {paths[0].name}, ..."
        )
    missing = set(range(totals.pop())) - present
    if missing:
        raise UserError(
            f"{paths[0].parent}: incomplete beside {paths[0].name}: the file numbered {min(missing)} is missing"
        )


def decodable_shards(
    info: DatasetInfo, columns: Columns, shards: Shards, announce: Announce, *, fit: bool = False
) -> DatasetFiles:
    """A data set in Parquet files, to be decoded with `read_split`."""

    def read() -> tuple[Split, Split]:
        train, test = (read_split(paths, columns, info, announce, fit=fit) for paths in shards)
        return train, test

    return DatasetFiles(read, shards.train[0].parent, {path.name: path for paths in shards for path in paths})


def read_split(
    paths: Sequence[Path], columns: Columns, info: DatasetInfo, announce: Announce, *, fit: bool = False
) -> Split:
    """Read and decode all rows of some Parquet files, in file order.

    Args:
        paths: the files of one split.
        columns: names of their columns.
        info: the size that every image must have, and the number of classes.
        announce: called with a line of progress after each batch.
        fit: whether images of another size are brought to that one: the shorter side resized, the centre kept.

    Raises:
        UserError: a file is unreadable, lacks a column, or holds a row that is no image of this data set.
    """
    total = sum(num_rows(path) for path in paths)
    images, labels = _allocate(paths, total, info.image_size)
    done = 0
    for path in paths:
        for batch in batches(path, columns, info.num_classes, _BATCH):
            stop = done + len(batch.labels)
            labels[done:stop] = batch.labels
            work = partial(_decode_chunk, path, batch, images[done:stop], fit=fit)
            for _ in in_parallel(work, range(0, len(batch.images), _CHUNK)):
                pass  # taking the results raises what a thread raised
            done = stop
            announce(f"{info.name}: decoded {done:,} of {total:,} images ({path.name})")
    return Split(images, labels)


def _allocate(paths: Sequence[Path], total: int, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    try:
        return np.empty((total, size, size, 3), dtype=np.uint8), np.empty(total, dtype=np.int64)
    except (MemoryError, ValueError) as error:
        raise UserError(
            f"{paths[0].parent}: files from {paths[0].name} on state {total:,} rows, more images of {size} x {size} "
            "pixels than fit into memory: fetch them again, or take fewer"
        ) from error


def _decode_chunk(path: Path, batch: Batch, out: npt.NDArray[np.uint8], start: int, *, fit: bool) -> None:
    size = out.shape[1]
    for position in range(start, min(start + _CHUNK, len(batch.images))):
        where = f"{path}: row {batch.row + position}"
        image = decode(where, batch.images[position])
        pixels = central_pixels(image, size, size) if fit else np.asarray(image)
        if pixels.shape[:2] != (size, size):
            raise UserError(f"{where}: the image is {pixels.shape[1]}x{pixels.shape[0]}, it must be {size}x{size}")
        out[position] = pixels


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # The name is passed as bytes, since it may not be UTF-8.
        with pa.OSFile(os.fsencode(path)) as source, pq.ParquetFile(source) as file:
            yield file
    # ValueError and KeyError: a column's name is not UTF-8, or occurs twice.
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({one_line(error)}): fetch it again") from error


def num_rows(path: Path) -> int:
    """The number of rows that a file states.

    Raises:
        UserError: it is unreadable or has none.
    """
    with _opened(path) as file:
        rows = int(file.metadata.num_rows)
    if rows < 1:
        raise UserError(f"{path}: the file holds no rows: fetch it again")
    return rows


def batches(path: Path, columns: Columns, num_classes: int, size: int) -> Iterator[Batch]:
    """Yield the rows of a file in batches of ``size``, in file order.

    Raises:
        UserError: the file is unreadable, lacks a column, an image or a label, has a label that is no class, or holds
            another number of rows than it states.
    """
    import pyarrow as pa

    row, total = 0, num_rows(path)
    with _opened(path) as file:
        image = _column(path, file, columns.image, "encoded images", _is_encoded)
        label = _column(path, file, columns.label, "integer labels", pa.types.is_integer)
        for batch in file.iter_batches(size, columns=[image, label]):
            if row + batch.num_rows <= total:
                images, names = _images_and_names(batch.column(image))
                _check_no_nulls(path, row, images, "holds no image bytes")
                _check_no_nulls(path, row, batch.column(label), "has no label")
                yield Batch(row, images.to_pylist(), _labels(path, row, batch.column(label), num_classes), names)
            row += batch.num_rows
    if row != total:
        raise UserError(f"{path}: it states {total:,} rows and does not hold as many: fetch it again")


def _column(
    path: Path, file: pq.ParquetFile, names: Sequence[str], content: str, fits: Callable[[pa.DataType], bool]
) -> str:
    """The first of some names that a column has."""
    schema = file.schema_arrow
    name = next((name for name in names if name in schema.names), None)
    if name is None:
        raise UserError(f"{path}: no column {' or '.join(names)} (there are {', '.join(schema.names)})")
    if not fits(kind := schema.field(name).type):
        raise UserError(f"{path}: column {name} holds {kind}, not {content}")
    return name


def _is_encoded(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _images_and_names(column: pa.Array) -> tuple[pa.Array, list[str | None]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_struct(column.type):
        return column, [None] * len(column)
    named = column.type.get_field_index("path") >= 0 and pa.types.is_string(column.type.field("path").type)
    names = pc.struct_field(column, "path").to_pylist() if named else [None] * len(column)
    return pc.struct_field(column, "bytes"), names


def _check_no_nulls(path: Path, row: int, column: pa.Array, lack: str) -> None:
    if column.null_count:
        empty = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise UserError(f"{path}: row {row + empty} {lack}")


def _labels(path: Path, row: int, column: pa.Array, num_classes: int) -> npt.NDArray[np.int64]:
    labels = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise UserError(f"{path}: row {row + first} has label {labels[first]}, it must be 0 to {num_classes - 1}")
    return labels
