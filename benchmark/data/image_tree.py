"""Folder trees of images with one folder a class, as torchvision's ``ImageFolder`` reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.data.dataset import DatasetInfo, FileDataset
from benchmark.data.listing import Listing, file_dataset, image_name
from benchmark.errors import UserError, one_line

_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")


class TreeImage(NamedTuple):
    """An image file of a tree.

    Attributes:
        path: below the folder of the tree.
        label: position of its class among the sorted classes.
    """

    path: str
    label: int


def tree_dataset(info: DatasetInfo, folder: Path, splits: tuple[str, str]) -> FileDataset:
    """A data set whose images stay in a tree. The folders are listed; no image is read.

    Args:
        info: facts about the data set.
        folder: holds the folders of both splits.
        splits: names of these folders, training first.

    Raises:
        UserError: a folder is missing, or there are too few or too many classes.
    """
    return file_dataset(info, folder, [_listing(images) for images in tree_images(info, folder, splits)])


def tree_images(info: DatasetInfo, folder: Path, splits: tuple[str, str]) -> tuple[list[TreeImage], list[TreeImage]]:
    """The images of both splits, sorted by path.

    Raises:
        UserError: a folder is missing, there are too few or too many classes, or a split has no images.
    """
    for split in splits:
        if not (folder / split).is_dir():
            raise UserError(f"{folder}: the folder {split}/ is missing beside the other split's: add it")
    classes = _class_folders(folder / splits[0])
    if len(classes) != info.num_classes:
        raise UserError(
            f"{folder / splits[0]}: {len(classes):,} class folders, there must be {info.num_classes:,}: a label is the "
            "position in the sorted list of all classes, so even an empty folder counts"
        )
    train, test = (_images_of(folder, split, classes) for split in splits)
    return train, test


def _listing(images: Sequence[TreeImage]) -> Listing:
    return Listing(
        np.asarray([os.fsencode(image_name(image.path)) for image in images]),
        np.asarray([image.label for image in images], dtype=np.int64),
        np.asarray([os.fsencode(image.path) for image in images]),
        np.broadcast_to(np.asarray([0, -1, -1], dtype=np.int64), (len(images), 3)),
    )


def _class_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({one_line(error)})") from error


def _images_of(folder: Path, split: str, classes: Sequence[str]) -> list[TreeImage]:
    labels = {name: label for label, name in enumerate(classes)}
    images: list[TreeImage] = []
    for name in _class_folders(folder / split):
        if name not in labels:
            raise UserError(f"{folder / split / name}: the training images have no class of this name")
        images += [TreeImage(f"{split}/{name}/{file}", labels[name]) for file in _image_files(folder / split / name)]
    if not images:
        raise UserError(f"{folder / split}: no images: put one folder a class there, with files {', '.join(_SUFFIXES)}")
    return images


def _image_files(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            images = [entry for entry in entries if entry.name.lower().endswith(_SUFFIXES)]
            odd = next((entry for entry in images if not entry.is_file()), None)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({one_line(error)})") from error
    if odd is not None:  # reading a pipe would block
        raise UserError(f"{folder / odd.name}: it has the name of an image and is not a file: remove it")
    return sorted(entry.name for entry in images)
