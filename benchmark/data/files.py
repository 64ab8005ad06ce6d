"""Finding a data set's files in the user's folder: Parquet as Hugging Face writes it, or torchvision's own files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path

import numpy as np

from benchmark.data.cache import one_line
from benchmark.data.dataset import Announce, DatasetInfo, Found, Split
from benchmark.data.parquet import Columns, read_split
from benchmark.errors import UserError

DATA_VARIABLE = "KD_DATA"
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


@dataclass(frozen=True)
class ImageFiles:
    """How a data set's files are called.

    Attributes:
        info: names the data set, its image size and its classes.
        torchvision_class: class of ``torchvision.datasets``.
        torchvision_folder: the folder which that class unpacks into its root.
        label_columns: Parquet columns that may hold the labels, the first found is used.
        image_columns: Parquet columns that may hold the encoded images, likewise.
        read: reads the ``train`` or ``test`` split of torchvision's files below a folder and raises RuntimeError where
            they are altered; by default through the class, as both CIFARs are read.
        unread: names of torchvision's files that are never read.
    """

    info: DatasetInfo
    torchvision_class: str
    torchvision_folder: str
    label_columns: tuple[str, ...]
    image_columns: tuple[str, ...] = ("image", "img")
    read: Callable[[Path, str], Split] | None = None
    unread: tuple[str, ...] = ()


def find(files: ImageFiles, data_dir: Path | None, cache_dir: Path, announce: Announce) -> Found:
    """Locates the data set: Parquet first, then torchvision's files, else torchvision downloads them.

    Args:
        files: how they are called.
        data_dir: where to look and to download to; None means ``$KD_DATA``, else ``cache_dir/downloads``.
        cache_dir: the benchmark's own folder.
        announce: called with a line about each longer step.

    Raises:
        UserError: the data folder does not exist, a split is missing or incomplete, or the download failed.
    """
    root = data_root(data_dir, cache_dir)
    return _local(files, root, announce) or _downloaded(files, root, announce)


def data_root(data_dir: Path | None, cache_dir: Path) -> Path:
    """The folder that holds the user's data, or is to hold downloads.

    Raises:
        UserError: the user names one that does not exist.
    """
    named = data_dir or (Path(value) if (value := os.environ.get(DATA_VARIABLE)) else None)
    if named is None:
        return cache_dir / "downloads"
    if not named.is_dir():
        raise UserError(
            f"data in {named}: there is no such folder: name one that holds them with --data or ${DATA_VARIABLE}, or "
            "create it"
        )
    return named


def use(data_dir: Path | None) -> None:
    """Make the user's data folder known to this process and all that it starts.

    Args:
        data_dir: where data sets lie; None for what the environment says.
    """
    if data_dir is not None:
        os.environ[DATA_VARIABLE] = str(data_dir.resolve())


def _local(files: ImageFiles, root: Path, announce: Announce) -> Found | None:
    for folder in (root / files.info.name, root):
        if any(_shards(folder, split) for split in ("train", "test")):
            return _parquet(files, folder, announce)
    for folder in (root, root / files.info.name):
        if (folder / files.torchvision_folder).is_dir():
            return _torchvision(files, folder, announce)
    return None


def _shards(folder: Path, split: str) -> list[Path]:
    return sorted(folder.glob(f"{split}[-.]*parquet"))


def _parquet(files: ImageFiles, folder: Path, announce: Announce) -> Found:
    shards = {split: _shards(folder, split) for split in ("train", "test")}
    for split, paths in shards.items():
        if not paths:
            raise UserError(f"{folder}: the {split} split is missing: add {split}-*.parquet")
        check_complete(paths)
    columns = Columns(files.image_columns, files.label_columns)

    def read() -> tuple[Split, Split]:
        one = partial(read_split, columns=columns, info=files.info, announce=announce)
        return one(shards["train"]), one(shards["test"])

    return Found(read, folder, {path.name: path for paths in shards.values() for path in paths})


def check_complete(paths: Sequence[Path]) -> None:
    """Sees that no file of an export in several parts is missing.

    Raises:
        UserError: one is, or parts of several exports are mixed.
    """
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


def _torchvision(files: ImageFiles, folder: Path, announce: Announce) -> Found:
    unpacked = folder / files.torchvision_folder

    def read() -> tuple[Split, Split]:
        announce(f"{files.info.name}: reading {unpacked}")
        return _read_torchvision(files, folder, "train"), _read_torchvision(files, folder, "test")

    present = (path for path in unpacked.iterdir() if path.is_file() and path.name not in files.unread)
    return Found(read, unpacked, {path.name: path for path in present})


def _read_torchvision(files: ImageFiles, folder: Path, split: str) -> Split:
    read = files.read or partial(_read_class, files)
    try:
        return read(folder, split)
    except (RuntimeError, OSError) as error:
        unpacked = folder / files.torchvision_folder
        raise UserError(
            f"{unpacked}: incomplete or altered ({one_line(error)}): delete the folder and it is downloaded again"
        ) from error


def _read_class(files: ImageFiles, folder: Path, split: str) -> Split:
    from torchvision import datasets

    # It compares checksums before it unpickles anything.
    data = getattr(datasets, files.torchvision_class)(folder, train=split == "train", download=False)
    return Split(np.asarray(data.data, dtype=np.uint8), np.asarray(data.targets, dtype=np.int64))


def _downloaded(files: ImageFiles, root: Path, announce: Announce) -> Found:
    from filelock import FileLock

    name = files.info.name
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}-download.lock"):
            found = _local(files, root, announce)
            if found is not None:  # another process has downloaded it in the meantime
                return found
            announce(f"{name}: not found in {root}, downloading it there")
            _download_whole(files, root)
    except (RuntimeError, OSError, HTTPException) as error:
        raise UserError(
            f"cannot download {name} ({one_line(error)}): put train-*.parquet and test-*.parquet into DIR/{name}/, or "
            f"torchvision's {files.torchvision_folder}/ into DIR, and give DIR as --data DIR or ${DATA_VARIABLE}"
        ) from error
    return _torchvision(files, root, announce)


def _download_whole(files: ImageFiles, root: Path) -> None:
    # Unpacked aside and moved, so that nobody ever finds half of it.
    aside = root / f".{files.info.name}-download"
    _download(files, aside)
    (aside / files.torchvision_folder).replace(root / files.torchvision_folder)
    shutil.rmtree(aside, ignore_errors=True)


def _download(files: ImageFiles, folder: Path) -> None:
    from torchvision import datasets

    getattr(datasets, files.torchvision_class)(folder, download=True)
