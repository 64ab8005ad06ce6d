"""Encoded images copied out of Parquet, which cannot be read in random order."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmark.data.cache import one_line
from benchmark.data.content import state_key
from benchmark.data.dataset import Announce, DatasetInfo, FoundFiles, Listing, row_key
from benchmark.data.files import check_complete
from benchmark.data.index import Row, in_parallel, joined, listing
from benchmark.data.parquet import Columns, batches, checked_labels, num_rows
from benchmark.errors import UserError

_BATCH = 200  # images a thread holds at once


def find_shards(
    info: DatasetInfo, columns: Columns, shards: Mapping[str, Sequence[Path]], announce: Announce
) -> FoundFiles:
    """A data set in Parquet files; its images are copied into the cache when they are listed.

    Args:
        info: says how many classes there are.
        columns: what the files' columns are called.
        shards: files of each split, training first; all in one folder.
        announce: called with a line about each longer step.

    Raises:
        UserError: a part is missing.
    """
    paths = [path for split in shards.values() for path in split]
    for split in shards.values():
        check_complete(split)

    def list_both(copies: Path) -> tuple[Listing, Listing]:
        _make_room(info, copies, paths, announce)
        one = partial(_copy_split, info, columns, copies, announce)
        train, test = (one(split) for split in shards.values())
        return train, test

    return FoundFiles(list_both, state_key(paths), paths[0].parent, copied=True)


def _make_room(info: DatasetInfo, copies: Path, paths: Sequence[Path], announce: Announce) -> None:
    needed = sum(path.stat().st_size for path in paths)
    announce(f"{info.name}: copying the images out of {len(paths):,} Parquet files, {_size(needed)}, this once")
    copies.mkdir()
    free = shutil.disk_usage(copies).free
    if free < needed:
        raise UserError(
            f"{copies.parent.parent}: {_size(needed)} are needed to copy the images of {info.name} out of Parquet, "
            f"{_size(free)} are free: make room, or unpack them yourself into a tree of one folder a class"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _copy_split(
    info: DatasetInfo, columns: Columns, copies: Path, announce: Announce, paths: Sequence[Path]
) -> Listing:
    total = sum(num_rows(path) for path in paths)
    parts: list[Listing] = []
    for path, part in zip(paths, in_parallel(partial(_copy, info, columns, copies), paths), strict=True):
        parts.append(part)
        done = sum(len(part.labels) for part in parts)
        announce(f"{info.name}: copied {done:,} of {total:,} images ({path.name})")
    return joined(parts)


def _copy(info: DatasetInfo, columns: Columns, copies: Path, path: Path) -> Listing:
    """Copies one file's images, one after the other, into one of the same name without suffix."""
    target = copies / path.stem
    rows: list[Row] = []
    try:
        with target.open("xb") as file:
            for row, cells, labels in batches(path, columns, _BATCH):
                checked = checked_labels(path, row, labels, info.num_classes)
                for offset, (cell, label) in enumerate(zip(cells, checked.tolist(), strict=True)):
                    if cell is None:
                        raise UserError(f"{path}: row {row + offset} holds no image bytes")
                    rows.append((row_key(cell, label), label, path.stem, file.tell(), len(cell), row + offset))
                    file.write(cell)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({one_line(error)}): make room or access") from error
    return listing(rows)
