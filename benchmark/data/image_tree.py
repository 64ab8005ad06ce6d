"""Folder trees of images with one folder a class, as torchvision's ``ImageFolder`` reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.data.dataset import DatasetInfo, FileDataset
from benchmark.data.listing import ListedImage, file_dataset, image_name, listed
from benchmark.errors import UserError

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
    whole = (0, -1, -1)
    listings = [
        listed([ListedImage(image_name(image.path), image.label, image.path, whole) for image in images])
        for images in tree_images(info, folder, splits)
    ]
    return file_dataset(info, folder, listings)


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


def _images_of(folder: Path, split: str, classes: Sequence[str]) -> list[TreeImage]:
    labels = {name: label for label, name in enumerate(classes)}
    images: list[TreeImage] = []
    for name in _class_folders(folder / split):
        if name not in labels:
            raise UserError(f"{folder / split / name}: the training images have no class of this name")
        images += [TreeImage(f"{split}/{name}/{file}", labels[name]) for file in image_files(folder / split / name)]
    if not images:
        raise UserError(f"{folder / split}: no images: put one folder a class there, with files {', '.join(_SUFFIXES)}")
    return images


def image_files(folder: Path) -> list[str]:
    """The names of the image files of a folder, sorted.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder: fetch the data set again")
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES))  # noqa: PTH208 - fast


def _class_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
