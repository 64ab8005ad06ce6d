"""Encoded images copied out of Parquet files, which cannot be read in random order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.cache import CachedArrays, load_or_build
from benchmark.data.dataset import Announce, DatasetInfo, FileDataset
from benchmark.data.listing import ListedImage, Listing, file_dataset, image_name, listed
from benchmark.data.parallel import in_parallel
from benchmark.data.parquet import Columns, Shards, batches, num_rows
from benchmark.ids import digest

_BATCH = 200  # images a thread holds at once
_SPLITS = ("train", "test")
_KEY_LENGTH = 16


def unpacked_dataset(
    info: DatasetInfo, columns: Columns, shards: Shards, folder: Path, announce: Announce
) -> FileDataset:
    """A data set in Parquet files. Its images are copied into the cache once.

    The copy is named by the names, sizes and row counts of the Parquet files; other changes are not noticed. The images
    are named by the field ``path`` of the image column. Where a split has an image without a name, or two images of a
    class with the same name, the row numbers take the place of names, and the order follows from that of the rows.

    Args:
        info: facts about the data set.
        columns: names of the columns.
        shards: the Parquet files.
        folder: the data set's folder in the cache.
        announce: called with a line about each longer step.

    Raises:
        UserError: a file is unreadable, or the copy cannot be written.
    """
    sizes = {path.name: [num_rows(path), path.stat().st_size] for path in (*shards.train, *shards.test)}
    copy = folder / digest(sizes)[:_KEY_LENGTH]

    def build(scratch: Path) -> CachedArrays:
        size = sum(size for _, size in sizes.values()) / 1e9
        announce(f"{info.name}: copying the images out of {len(sizes):,} Parquet files ({size:.1f} GB), only once")
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for split, paths in zip(_SPLITS, shards, strict=True):
            listing = _copy_split(info, columns, scratch, paths, announce)
            arrays |= {f"{split}_{part}": array for part, array in listing._asdict().items()}
        return CachedArrays(arrays)

    arrays = load_or_build(copy, build, announce).arrays
    listings = [Listing(*(arrays[f"{split}_{part}"] for part in Listing._fields)) for split in _SPLITS]
    return file_dataset(info, copy, listings)


def _copy_split(
    info: DatasetInfo, columns: Columns, folder: Path, paths: Sequence[Path], announce: Announce
) -> Listing:
    images: list[ListedImage] = []
    for path, part in zip(paths, in_parallel(partial(_copy, info, columns, folder), paths), strict=True):
        images += part
        announce(f"{info.name}: copied {len(images):,} images ({path.name})")
    if "" in (image.name for image in images) or len({(image.name, image.label) for image in images}) < len(images):
        announce(
            f"{info.name}: {paths[0].parent}: images from {paths[0].name} on have no names that tell them apart: their "
            "order follows from that of the rows, so another export gives other batches"
        )
        images = [image._replace(name=str(row)) for row, image in enumerate(images)]
    return listed(images)


def _copy(info: DatasetInfo, columns: Columns, folder: Path, path: Path) -> list[ListedImage]:
    """Copy the images of a Parquet file, one after the other, into one file."""
    target = folder / f"{path.stem}.images"
    images: list[ListedImage] = []
    with target.open("xb") as file:
        for rows in batches(path, columns, info.num_classes, _BATCH):
            for row in rows:
                span = (file.tell(), len(row.image), row.number)
                images.append(ListedImage(image_name(row.name), row.label, target.name, span))
                file.write(row.image)
    return images
