"""Folder trees of images, one folder a class, as torchvision reads ImageNet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmark.data.cache import one_line
from benchmark.data.content import state_key
from benchmark.data.dataset import Announce, DatasetInfo, FoundFiles, Listing, row_key
from benchmark.data.index import Row, in_parallel, joined, listing
from benchmark.errors import UserError

_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
_CHUNK = 2_000  # images a task reads


class File(NamedTuple):
    """An image of a tree.

    Attributes:
        path: below the tree's folder.
        label: the position of its class among the sorted classes.
    """

    path: str
    label: int


def find_tree(info: DatasetInfo, folder: Path, splits: tuple[str, str], announce: Announce) -> FoundFiles:
    """A data set in the subfolders of a folder.

    An image that is changed in place, without a change to its folder, is only noticed if its size changes.

    Args:
        info: says how many classes there must be.
        folder: holds the folders of the splits.
        splits: their names, training first.
        announce: called with a line of progress now and then.

    Raises:
        UserError: a folder is missing or there are too few or too many classes.
    """
    classes = checked_classes(info, folder, splits)
    folders = [folder / split / name for split in splits for name in _classes(folder / split)]

    def list_both(_copies: Path) -> tuple[Listing, Listing]:
        one = partial(_list_split, info, folder, classes=classes, announce=announce)
        return one(splits[0]), one(splits[1])

    return FoundFiles(list_both, state_key([folder / split for split in splits] + folders), folder, copied=False)


def checked_classes(info: DatasetInfo, folder: Path, splits: tuple[str, str]) -> list[str]:
    """The sorted names of the classes.

    Raises:
        UserError: a folder is missing or there are too few or too many classes.
    """
    for split in splits:
        if not (folder / split).is_dir():
            raise UserError(f"{folder}: the folder {split}/ is missing beside the other split's: add it")
    classes = _classes(folder / splits[0])
    if len(classes) != info.num_classes:
        raise UserError(
            f"{folder / splits[0]}: {len(classes):,} class folders, there must be {info.num_classes:,}: a label is the "
            "position in the sorted list of all classes, so even an empty folder counts"
        )
    return classes


def _classes(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({one_line(error)})") from error


def _list_split(info: DatasetInfo, folder: Path, split: str, *, classes: Sequence[str], announce: Announce) -> Listing:
    files = images_of(folder, split, classes)
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    parts: list[Listing] = []
    for part in in_parallel(lambda chunk: listing([_row(folder, file) for file in chunk]), chunks):
        parts.append(part)
        announce(f"{info.name}: listed {sum(len(part.labels) for part in parts):,} of {len(files):,} images ({split})")
    return joined(parts)


def images_of(folder: Path, split: str, classes: Sequence[str]) -> list[File]:
    """The images of a split in any order.

    Raises:
        UserError: there are none, or some of no class of the training images.
    """
    labels = {name: label for label, name in enumerate(classes)}
    files: list[File] = []
    for name in _classes(folder / split):
        if name not in labels:
            raise UserError(f"{folder / split / name}: no class of the training images is called so")
        files += [File(path, labels[name]) for path in _images(folder, f"{split}/{name}")]
    if not files:
        raise UserError(f"{folder / split}: no images: put one folder a class there, with files {', '.join(_SUFFIXES)}")
    return files


def _images(folder: Path, inner: str) -> list[str]:
    try:
        with os.scandir(folder / inner) as entries:
            found = [entry for entry in entries if entry.name.lower().endswith(_SUFFIXES)]
            odd = next((entry for entry in found if not entry.is_file()), None)
    except OSError as error:
        raise UserError(f"{folder / inner}: cannot be read ({one_line(error)})") from error
    if odd is not None:  # a pipe would be waited for
        raise UserError(f"{folder / inner / odd.name}: it is called as an image is and is no file: remove it")
    return [f"{inner}/{entry.name}" for entry in found]


def _row(folder: Path, file: File) -> Row:
    try:
        content = (folder / file.path).read_bytes()
    except OSError as error:
        raise UserError(f"{folder / file.path}: cannot be read ({one_line(error)})") from error
    return row_key(content, file.label), file.label, file.path, 0, len(content), -1
