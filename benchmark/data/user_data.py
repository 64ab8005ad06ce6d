"""Users' own data sets: a folder of images, or Parquet files, decoded into the cache as the small published sets are.

A file with one data set::

    from benchmark.data import image_folder

    SOURCES = (image_folder("leaves", num_train=1_200, num_test=300, num_classes=10, image_size=32),)

``--plugin leaves.py --data DIR --set dataset=leaves`` trains on ``DIR/leaves/train/CLASS/*.png``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmark.data.dataset import Announce, DatasetFiles, DatasetInfo, DatasetReader, Split
from benchmark.data.files import DATA_VARIABLE, data_root
from benchmark.data.image_tree import TreeImage, tree_images
from benchmark.data.images import decode_all
from benchmark.data.parquet import Columns, decodable_shards, find_shards
from benchmark.errors import UserError
from benchmark.files import LONGEST_WORD
from benchmark.ids import digest, short_id

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TEST_NAMES = ("test", "val")
_SMALLEST = {"num_train": 2, "num_test": 1, "num_classes": 2, "image_size": 8}

_Locate = Callable[[DatasetInfo, Path], DatasetFiles]


def image_folder(name: str, *, num_train: int, num_test: int, num_classes: int, image_size: int) -> DatasetReader:
    """A data set in ``train/CLASS/*.{jpg,png,webp}`` and ``test/CLASS/...`` (or ``val``).

    Both lie in the folder ``name`` below ``--data`` or ``$KD_DATA``. Labels are positions among the sorted names of the
    classes. The shorter side of an image is resized to ``image_size``, and its centre kept.

    Args:
        name: as recipes state it.
        num_train: training images.
        num_test: test images.
        num_classes: class folders.
        image_size: side of the decoded images in pixels.

    Raises:
        UserError: a value is out of range.
    """
    info = DatasetInfo(name, num_train, num_test, num_classes, image_size)
    return _reader(info, _in_tree, {}, "train/CLASS/* and test/")


def parquet_files(
    name: str,
    *,
    num_train: int,
    num_test: int,
    num_classes: int,
    image_size: int,
    image: Sequence[str] = ("image", "img"),
    label: Sequence[str] = ("label",),
) -> DatasetReader:
    """A data set in ``train*.parquet`` and ``test*.parquet`` (or ``val*.parquet``); else as `image_folder`.

    Args:
        name: as recipes state it.
        num_train: training images.
        num_test: test images.
        num_classes: labels run from 0 to one less.
        image_size: side of the decoded images in pixels.
        image: names that the column of encoded images may have.
        label: names that the column of integer labels may have.

    Raises:
        UserError: a value is out of range.
    """
    info, columns = DatasetInfo(name, num_train, num_test, num_classes, image_size), Columns(tuple(image), tuple(label))
    return _reader(info, partial(_in_parquet, columns), asdict(columns), "*.parquet")


def check_name(name: object) -> None:
    """Check the name of a data set, which becomes part of the names of folders.

    Raises:
        UserError: it has other characters, or too many.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_WORD:
        raise UserError(
            f"data set '{name}': a name is made of small letters, digits, - and _, at most {LONGEST_WORD} of them"
        )


def _reader(info: DatasetInfo, locate: _Locate, options: Mapping[str, object], inside: str) -> DatasetReader:
    check_name(info.name)
    for key, smallest in _SMALLEST.items():
        value = getattr(info, key)
        if type(value) is not int or value < smallest:
            raise UserError(f"data set '{info.name}': {key} must be a whole number from {smallest}, not {value!r}")

    def find(data_dir: Path | None, cache_dir: Path, _announce: Announce) -> DatasetFiles:
        folder = data_root(data_dir, cache_dir) / info.name
        if not folder.is_dir():
            raise UserError(
                f"data set '{info.name}': there is no folder {folder}: put it into DIR and give --data DIR or "
                f"${DATA_VARIABLE}"
            )
        files = locate(info, folder)

        def read() -> tuple[Split, Split]:
            train, test = files.read()
            for key, count, split in (("num_train", info.num_train, train), ("num_test", info.num_test, test)):
                if len(split) != count:
                    what = f"{len(split):,} images where the data set's file says {key}={count}"
                    raise UserError(f"{folder}: {what}: correct it")
            return train, test

        # Numbers, classes and columns are checked or used while decoding: with others it is decoded again.
        return replace(files, read=read, choice=short_id(digest({**asdict(info), **options})))

    return DatasetReader(info, None, find, f"{info.name}/{inside}")


def _in_parquet(columns: Columns, info: DatasetInfo, folder: Path) -> DatasetFiles:
    shards = find_shards(folder, _TEST_NAMES)
    if shards is None:
        raise UserError(f"{folder}: the train split is missing: add train*.parquet")
    return decodable_shards(info, columns, shards, fit=True)


def _in_tree(info: DatasetInfo, folder: Path) -> DatasetFiles:
    test = next((name for name in _TEST_NAMES if (folder / name).is_dir()), _TEST_NAMES[0])
    splits = tree_images(info, folder, ("train", test))

    def decoded(images: Sequence[TreeImage]) -> Split:
        named = [(str(folder / image.path), folder / image.path) for image in images]
        pixels = decode_all(named, info.image_size, fit=True)
        return Split(pixels, np.asarray([image.label for image in images], dtype=np.int64))

    files = {image.path: folder / image.path for images in splits for image in images}
    return DatasetFiles(lambda: (decoded(splits[0]), decoded(splits[1])), folder, files)
