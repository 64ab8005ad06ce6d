"""Data sets of one's own in a few lines: a folder of images, or Parquet, decoded into the cache as small images are.

A file that states one::

    from benchmark.data import image_folder

    SOURCES = (image_folder("leaves", num_train=1_200, num_test=300, num_classes=10, image_size=32),)

``--plugin leaves.py --data DIR --set dataset=leaves`` trains on ``DIR/leaves/train/CLASS/*.png``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmark.data.cache import one_line
from benchmark.data.dataset import Announce, DatasetInfo, Found, Source, Split
from benchmark.data.files import DATA_VARIABLE, check_complete, data_root
from benchmark.data.images import central_pixels, decode
from benchmark.data.index import in_parallel
from benchmark.data.parquet import Columns, read_split
from benchmark.data.tree import File, checked_classes, images_of
from benchmark.errors import UserError
from benchmark.files import LONGEST_WORD, expanded
from benchmark.ids import digest, short_id

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SMALLEST = 8
_CHUNK = 500  # images a task decodes


class _Listed(NamedTuple):
    """What lies in a folder.

    Attributes:
        files: of both splits, in an order of their own.
        read: decodes both splits.
        choice: what else decides what is read of the files.
    """

    files: Sequence[Path]
    read: Callable[[], tuple[Split, Split]]
    choice: Mapping[str, object]


_Reader = Callable[[DatasetInfo, Path, Announce], _Listed]


def image_folder(
    name: str, *, num_train: int, num_test: int, num_classes: int, image_size: int, folder: Path | str | None = None
) -> Source:
    """A data set in ``train/CLASS/*.{jpg,png,webp}`` and ``test/CLASS/...`` (or ``val``) below a folder.

    Labels are positions among the sorted names of the classes. The shorter side of an image is resized to
    ``image_size``, and its centre kept.

    Args:
        name: what recipes call it.
        num_train: training images.
        num_test: test images.
        num_classes: class folders.
        image_size: side in pixels of what is kept of an image.
        folder: where it lies; None for the folder ``name`` below ``--data`` or ``$KD_DATA``.

    Raises:
        UserError: a value makes no sense.
    """
    info = _checked(DatasetInfo(name, num_train, num_test, num_classes, image_size))
    return Source(info, None, partial(_find, info, folder, _tree), f"{folder or name}/train/CLASS/* and test/")


def parquet_files(
    name: str,
    *,
    num_train: int,
    num_test: int,
    num_classes: int,
    image_size: int,
    folder: Path | str | None = None,
    image: Sequence[str] = ("image", "img"),
    label: Sequence[str] = ("label",),
) -> Source:
    """A data set in ``train*.parquet`` and ``test*.parquet`` (or ``val*.parquet``) in a folder; else as `image_folder`.

    Args:
        name: what recipes call it.
        num_train: training images.
        num_test: test images.
        num_classes: labels run from 0 to one less.
        image_size: side in pixels of what is kept of an image.
        folder: where it lies; None for the folder ``name`` below ``--data`` or ``$KD_DATA``.
        image: what the column of encoded images may be called.
        label: what the column of integer labels may be called.

    Raises:
        UserError: a value makes no sense.
    """
    info = _checked(DatasetInfo(name, num_train, num_test, num_classes, image_size))
    reader = partial(_shards, Columns(tuple(image), tuple(label)))
    return Source(info, None, partial(_find, info, folder, reader), f"{folder or name}/*.parquet")


def check_name(name: object) -> None:
    """Check the name of a data set: it becomes part of the names of folders.

    Raises:
        UserError: it holds other signs.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_WORD:
        raise UserError(
            f"data set '{name}': a name is made of small letters, digits, - and _, at most {LONGEST_WORD} of them"
        )


def _checked(info: DatasetInfo) -> DatasetInfo:
    check_name(info.name)
    least = {"num_train": 2, "num_test": 1, "num_classes": 2, "image_size": _SMALLEST}
    for key, smallest in least.items():
        value = getattr(info, key)
        if type(value) is not int or value < smallest:
            raise UserError(f"data set '{info.name}': {key} must be a whole number from {smallest}, not {value!r}")
    return info


def _find(
    info: DatasetInfo,
    folder: Path | str | None,
    reader: _Reader,
    data_dir: Path | None,
    cache_dir: Path,
    announce: Announce,
) -> Found:
    place = expanded(folder) if folder else data_root(data_dir, cache_dir) / info.name
    if not place.is_dir():
        advice = "mend the folder in its file" if folder else f"put it into DIR and give --data DIR or ${DATA_VARIABLE}"
        raise UserError(f"data set '{info.name}': there is no folder {place}: {advice}")
    listed = reader(info, place, announce)

    def read() -> tuple[Split, Split]:
        train, test = listed.read()
        for key, split in (("num_train", train), ("num_test", test)):
            if len(split) != getattr(info, key):
                raise UserError(
                    f"{place}: {len(split):,} images where the data set's file says {key}={getattr(info, key)}: mend it"
                )
        return train, test

    # What was decoded by other sizes, classes or columns was checked against those: it is decoded again.
    choice = short_id(digest({**asdict(info), **listed.choice}))
    files = {path.relative_to(place).as_posix(): path for path in listed.files}
    return Found(read, place, files, choice)


def _test_split(names: Sequence[str], there: Callable[[str], bool]) -> str:
    """What the test split is called here."""
    return next(filter(there, names), names[0])


def _tree(info: DatasetInfo, folder: Path, announce: Announce) -> _Listed:
    splits = "train", _test_split(("test", "val"), lambda name: (folder / name).is_dir())
    classes = checked_classes(info, folder, splits)
    files = {split: images_of(folder, split, classes) for split in splits}

    def read() -> tuple[Split, Split]:
        one = partial(_decoded, info, folder, announce)
        return one(files[splits[0]]), one(files[splits[1]])

    return _Listed([folder / file.path for split in splits for file in sorted(files[split])], read, {})


def _decoded(info: DatasetInfo, folder: Path, announce: Announce, files: Sequence[File]) -> Split:
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    parts: list[npt.NDArray[np.uint8]] = []
    for part in in_parallel(partial(_pixels, folder, info.image_size), chunks):
        parts.append(part)
        announce(f"{info.name}: decoded {sum(map(len, parts)):,} of {len(files):,} images in {folder}")
    return Split(np.concatenate(parts), np.asarray([file.label for file in files], dtype=np.int64))


def _pixels(folder: Path, size: int, files: Sequence[File]) -> npt.NDArray[np.uint8]:
    pixels = []
    for file in files:
        path = folder / file.path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({one_line(error)})") from error
        pixels.append(central_pixels(decode(str(path), content), size, size))
    return np.stack(pixels)


def _shards(columns: Columns, info: DatasetInfo, folder: Path, announce: Announce) -> _Listed:
    test = _test_split(("test", "val"), lambda name: any(folder.glob(f"{name}*.parquet")))
    shards = {split: sorted(folder.glob(f"{split}*.parquet")) for split in ("train", test)}
    for split, paths in shards.items():
        if not paths:
            raise UserError(f"{folder}: the {split} split is missing: add {split}-*.parquet")
        check_complete(paths)

    def read() -> tuple[Split, Split]:
        train, test = (read_split(paths, columns, info, announce, fit=True) for paths in shards.values())
        return train, test

    return _Listed([path for paths in shards.values() for path in paths], read, asdict(columns))
