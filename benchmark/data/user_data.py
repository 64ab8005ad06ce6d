"""Users' own data sets: a folder of images, or Parquet files.

A file with one data set::

    from benchmark.data import image_folder

    SOURCES = (image_folder("leaves", num_train=1_200, num_test=300, num_classes=10, image_size=32),)

``--plugin leaves.py --data DIR --set dataset=leaves`` trains on ``DIR/leaves/train/CLASS/*.png``.

Small images are decoded once into squares of one size, which are kept in memory as CIFAR's are. Larger ones stay in
their files, at any size, and are decoded and cropped for each batch as ImageNet's are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.dataset import Announce, DatasetFiles, DatasetInfo, DatasetReader, FileDataset, Split
from benchmark.data.files import DATA_VARIABLE, data_root
from benchmark.data.image_tree import TreeImage, tree_dataset, tree_images
from benchmark.data.images import decode_all
from benchmark.data.parquet import Columns, decodable_shards, find_shards
from benchmark.data.unpack import unpacked_dataset
from benchmark.errors import UserError
from benchmark.files import LONGEST_WORD
from benchmark.ids import digest, short_id

LARGEST_IN_MEMORY = 64
"""Side in pixels up to which images are kept decoded in memory, unless the data set says otherwise."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TEST_NAMES = ("test", "val")
_SMALLEST = {"num_train": 2, "num_test": 1, "num_classes": 2, "image_size": 8}
_CHANNELS = 3

_Locate = Callable[[DatasetInfo, Path, Path, Announce], DatasetFiles | FileDataset]


def image_folder(
    name: str,
    *,
    num_train: int,
    num_test: int,
    num_classes: int,
    image_size: int,
    in_memory: bool | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DatasetReader:
    """A data set in ``train/CLASS/*.{jpg,png,webp}`` and ``test/CLASS/...`` (or ``val``).

    Both lie in the folder ``name`` below ``--data`` or ``$KD_DATA``. Labels are positions among the sorted names of the
    classes.

    Args:
        name: as recipes state it.
        num_train: training images.
        num_test: test images.
        num_classes: class folders.
        image_size: side of the squares in pixels that networks see.
        in_memory: True resizes the shorter side of each image to ``image_size``, keeps the centre, and holds all images
            in memory. False leaves them in their files; each batch shows random parts of images in training and
            their centres in tests. None is True up to `LARGEST_IN_MEMORY` pixels.
        mean: of each channel, for pixels scaled to 0..1; None for that of the training images in memory, and for
            ImageNet's where images stay in their files.
        std: likewise the standard deviation.

    Raises:
        UserError: a value is out of range.
    """
    info = _checked(DatasetInfo(name, num_train, num_test, num_classes, image_size), in_memory, mean, std)
    return _reader(info, _in_tree, {}, "train/CLASS/* and test/")


def parquet_files(  # noqa: PLR0913 - each is stated by name
    name: str,
    *,
    num_train: int,
    num_test: int,
    num_classes: int,
    image_size: int,
    image: Sequence[str] = ("image", "img"),
    label: Sequence[str] = ("label",),
    in_memory: bool | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DatasetReader:
    """A data set in ``train*.parquet`` and ``test*.parquet`` (or ``val*.parquet``); else as `image_folder`.

    Args:
        name: as recipes state it.
        num_train: training images.
        num_test: test images.
        num_classes: labels run from 0 to one less.
        image_size: as in `image_folder`.
        image: names that the column of encoded images may have.
        label: names that the column of integer labels may have.
        in_memory: as in `image_folder`; where it is False, the encoded images are copied into the cache once, since
            Parquet files cannot be read in random order.
        mean: as in `image_folder`.
        std: as in `image_folder`.

    Raises:
        UserError: a value is out of range.
    """
    info = _checked(DatasetInfo(name, num_train, num_test, num_classes, image_size), in_memory, mean, std)
    columns = Columns(tuple(image), tuple(label))
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


def _checked(info: DatasetInfo, in_memory: object, mean: object, std: object) -> DatasetInfo:
    """The facts with what the options say, all checked."""
    check_name(info.name)
    for key, smallest in _SMALLEST.items():
        value = getattr(info, key)
        if type(value) is not int or value < smallest:
            raise UserError(f"data set '{info.name}': {key} must be a whole number from {smallest}, not {value!r}")
    if in_memory not in (None, True, False):
        raise UserError(f"data set '{info.name}': in_memory must be True, False or None, not {in_memory!r}")
    if (mean is None) != (std is None):
        raise UserError(f"data set '{info.name}': state both mean and std, or neither")
    kept = info.image_size <= LARGEST_IN_MEMORY if in_memory is None else bool(in_memory)
    return replace(info, in_files=not kept, mean=_channels(info, "mean", mean), std=_channels(info, "std", std))


def _channels(info: DatasetInfo, key: str, values: Any) -> tuple[float, ...] | None:
    """A number for each channel, as given by the user."""
    if values is None:
        return None
    numbers = isinstance(values, list | tuple) and all(type(value) in (int, float) for value in values)
    if not numbers or len(values) != _CHANNELS or not all(0 <= value <= 1 for value in values):
        raise UserError(f"data set '{info.name}': {key} must be {_CHANNELS} numbers from 0 to 1, not {values!r}")
    if key == "std" and 0 in values:
        raise UserError(f"data set '{info.name}': std must be above 0, not {values!r}: give a constant channel 1")
    return tuple(map(float, values))


def _reader(info: DatasetInfo, locate: _Locate, options: Mapping[str, object], inside: str) -> DatasetReader:
    # Numbers, classes and columns are checked or used while images are decoded or copied: with others it is done again.
    choice = short_id(digest({"name": info.name, **{key: getattr(info, key) for key in _SMALLEST}, **options}))

    def find(data_dir: Path | None, cache_dir: Path, announce: Announce) -> DatasetFiles | FileDataset:
        folder = data_root(data_dir, cache_dir) / info.name
        if not folder.is_dir():
            raise UserError(
                f"data set '{info.name}': there is no folder {folder}: put it into DIR and give --data DIR or "
                f"${DATA_VARIABLE}"
            )
        copies = cache_dir / "data" / info.name / f"files-{short_id(digest([info.num_classes, options]))}"
        files = locate(info, folder, copies, announce)
        if isinstance(files, FileDataset):
            _check_counts(info, folder, len(files.train), len(files.test))
            return files

        def read() -> tuple[Split, Split]:
            train, test = files.read()
            _check_counts(info, folder, len(train), len(test))
            return train, test

        return replace(files, read=read, choice=choice)

    return DatasetReader(info, None, find, f"{info.name}/{inside}")


def _check_counts(info: DatasetInfo, folder: Path, num_train: int, num_test: int) -> None:
    for key, found in (("num_train", num_train), ("num_test", num_test)):
        if found != (count := getattr(info, key)):
            what = f"{found:,} images where the data set's file says {key}={count}"
            raise UserError(f"{folder}: {what}: correct it")


def _in_parquet(
    columns: Columns, info: DatasetInfo, folder: Path, copies: Path, announce: Announce
) -> DatasetFiles | FileDataset:
    shards = find_shards(folder, _TEST_NAMES)
    if shards is None:
        raise UserError(f"{folder}: the train split is missing: add train*.parquet")
    if info.in_files:
        return unpacked_dataset(info, columns, shards, copies, announce)
    return decodable_shards(info, columns, shards, fit=True)


def _in_tree(info: DatasetInfo, folder: Path, _copies: Path, _announce: Announce) -> DatasetFiles | FileDataset:
    test = next((name for name in _TEST_NAMES if (folder / name).is_dir()), _TEST_NAMES[0])
    if info.in_files:
        return tree_dataset(info, folder, ("train", test))
    splits = tree_images(info, folder, ("train", test))

    def decoded(images: Sequence[TreeImage]) -> Split:
        named = [(str(folder / image.path), folder / image.path) for image in images]
        pixels = decode_all(named, info.image_size, fit=True)
        return Split(pixels, np.asarray([image.label for image in images], dtype=np.int64))

    files = {image.path: folder / image.path for images in splits for image in images}
    return DatasetFiles(lambda: (decoded(splits[0]), decoded(splits[1])), folder, files)
