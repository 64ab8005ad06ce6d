"""Encoded images in Parquet, decoded in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmark.data.cache import one_line
from benchmark.data.dataset import Announce, DatasetInfo, Split
from benchmark.data.images import central_pixels, decode
from benchmark.data.index import cpus
from benchmark.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH = 5_000  # images read at once
_CHUNK = 100  # images a task decodes


@dataclass(frozen=True)
class Columns:
    """Names that the columns may have; the first that is there is read.

    Attributes:
        image: encoded images, plain bytes or a struct with a field ``bytes``.
        label: integers.
    """

    image: tuple[str, ...]
    label: tuple[str, ...]


def read_split(
    paths: Sequence[Path], columns: Columns, info: DatasetInfo, announce: Announce, *, fit: bool = False
) -> Split:
    """Reads and decodes all rows of some Parquet files, in file order.

    Args:
        paths: the files of one split.
        columns: what their columns are called.
        info: the size that every image must have, and the number of classes.
        announce: called with a line of progress now and then.
        fit: whether images of another size are brought to that one: the shorter side resized, the centre kept.

    Raises:
        UserError: a file is unreadable, lacks a column, or holds a row that is no image of this data set.
    """
    total = sum(num_rows(path) for path in paths)
    images, labels = _empty(paths, total, info.image_size)
    done = 0
    with ThreadPoolExecutor(cpus()) as pool:
        for path in paths:
            for row, cells, part in batches(path, columns, _BATCH):
                stop = done + len(part)
                labels[done:stop] = checked_labels(path, row, part, info.num_classes)
                _decode(pool, path, row, cells, images[done:stop], fit=fit)
                done = stop
                announce(f"{info.name}: decoded {done:,} of {total:,} images ({path.name})")
    return Split(images, labels)


def _empty(paths: Sequence[Path], total: int, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Room for images and labels of as many rows as files say they have."""
    try:
        return np.empty((total, size, size, 3), dtype=np.uint8), np.empty(total, dtype=np.int64)
    except (MemoryError, ValueError) as error:
        raise UserError(
            f"{paths[0].parent}: files from {paths[0].name} on state {total:,} rows, more images of {size} x {size} "
            "pixels than fit into memory: fetch them again, or take fewer"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # By the bytes of its name, which may be no UTF-8.
        with pa.OSFile(os.fsencode(path)) as source, pq.ParquetFile(source) as file:
            yield file
    # A column's name may be no UTF-8, or be there twice.
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({one_line(error)}): fetch it again") from error


def num_rows(path: Path) -> int:
    """Rows of a file.

    Raises:
        UserError: it is unreadable or has none.
    """
    with _opened(path) as file:
        rows = int(file.metadata.num_rows)
    if rows < 1:
        raise UserError(f"{path}: the file holds no rows: fetch it again")
    return rows


def batches(path: Path, columns: Columns, size: int) -> Iterator[tuple[int, list[bytes | None], npt.NDArray[np.int64]]]:
    """First row, encoded images and labels of one batch of rows after the other.

    Args:
        path: the file.
        columns: what its columns are called.
        size: rows a batch.

    Raises:
        UserError: the file is unreadable, lacks a column or a label, or holds more or fewer rows than `num_rows`.
    """
    row, total = 0, num_rows(path)
    with _opened(path) as file:
        image, label = _image_column(path, file, columns.image), _label_column(path, file, columns.label)
        for batch in file.iter_batches(size, columns=[image, label]):
            if row + batch.num_rows > total:
                raise _miscounted(path, total)
            yield row, _encoded(batch.column(image)), _integers(path, row, batch.column(label))
            row += batch.num_rows
    if row < total:
        raise _miscounted(path, total)


def _miscounted(path: Path, total: int) -> UserError:
    return UserError(f"{path}: it states {total:,} rows and does not hold as many: fetch it again")


def _column(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> pa.Field:
    schema = file.schema_arrow
    for name in names:
        if name in schema.names:
            return schema.field(name)
    raise UserError(f"{path}: no column {' or '.join(names)} (there are {', '.join(schema.names)})")


def _image_column(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> str:
    import pyarrow as pa

    field = _column(path, file, names)
    is_struct = pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    kind = field.type.field("bytes").type if is_struct else field.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise UserError(f"{path}: column {field.name} holds {field.type}, not encoded images")
    return str(field.name)


def _label_column(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> str:
    import pyarrow as pa

    field = _column(path, file, names)
    if not pa.types.is_integer(field.type):
        raise UserError(f"{path}: column {field.name} holds {field.type}, not integer labels")
    return str(field.name)


def _encoded(column: pa.Array) -> list[bytes | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells: list[bytes | None]
    cells = (pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column).to_pylist()
    return cells


def _integers(path: Path, row: int, column: pa.Array) -> npt.NDArray[np.int64]:
    if column.null_count:
        empty = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise UserError(f"{path}: row {row + empty} has no label")
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)


def checked_labels(path: Path, row: int, labels: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.int64]:
    """The labels of a file's rows, of which the first is numbered ``row``.

    Raises:
        UserError: one is not the number of a class.
    """
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise UserError(f"{path}: row {row + first} has label {labels[first]}, it must be 0 to {num_classes - 1}")
    return labels


def _decode(
    pool: ThreadPoolExecutor, path: Path, row: int, cells: list[bytes | None], out: npt.NDArray[np.uint8], *, fit: bool
) -> None:
    def decode_chunk(start: int) -> None:
        for position in range(start, min(start + _CHUNK, len(cells))):
            out[position] = _image(f"{path}: row {row + position}", cells[position], out.shape[1], fit=fit)

    for _ in pool.map(decode_chunk, range(0, len(cells), _CHUNK)):
        pass  # taking the results raises what a thread raised


def _image(where: str, cell: bytes | None, size: int, *, fit: bool) -> npt.NDArray[Any]:
    if cell is None:
        raise UserError(f"{where} holds no image bytes")
    image = decode(where, cell)
    pixels = central_pixels(image, size, size) if fit else np.asarray(image)
    if pixels.shape[:2] != (size, size):
        raise UserError(f"{where}: the image is {pixels.shape[1]}x{pixels.shape[0]}, it must be {size}x{size}")
    return pixels
