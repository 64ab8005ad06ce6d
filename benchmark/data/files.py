"""Published data sets in the user's folder: Parquet as Hugging Face writes it, or torchvision's own files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path

import numpy as np

from benchmark.data.dataset import Announce, DatasetFiles, DatasetInfo, DatasetReader, Split
from benchmark.data.parquet import Columns, decodable_shards, find_shards
from benchmark.errors import UserError, one_line

DATA_VARIABLE = "KD_DATA"
_COLUMNS = Columns(image=("image", "img"), label=("label", "fine_label"))


@dataclass(frozen=True)
class PublishedFiles:
    """Names in the published forms of a data set.

    Attributes:
        info: facts about the data set; its name in capitals is that of the class of ``torchvision.datasets``.
        torchvision_folder: the folder that this class unpacks into its root.
        official: fingerprint of the published data, if it is known.
        read: reads the ``train`` or ``test`` split of torchvision's files below a folder and raises RuntimeError where
            they are altered; by default through the class, as for both CIFARs.
        unread: names of torchvision's files that are not read.
    """

    info: DatasetInfo
    torchvision_folder: str
    official: str | None = None
    read: Callable[[Path, str], Split] | None = None
    unread: tuple[str, ...] = ()

    def reader(self) -> DatasetReader:
        """The entry for the registry, which takes Parquet, else torchvision's files, else downloads the latter."""
        location = f"{self.info.name}/*.parquet or {self.torchvision_folder}/, else downloaded"
        return DatasetReader(self.info, self.official, self._find, location)

    def _find(self, data_dir: Path | None, cache_dir: Path, announce: Announce) -> DatasetFiles:
        root = data_root(data_dir, cache_dir)
        return find_local(self, root) or _downloaded(self, root, announce)


def data_root(data_dir: Path | None, cache_dir: Path) -> Path:
    """The folder that holds the user's data, or receives downloads.

    Raises:
        UserError: the user names a folder that does not exist.
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
    """Set ``$KD_DATA`` for this process and the processes it starts.

    Args:
        data_dir: holds the user's data; None keeps the environment as it is.
    """
    if data_dir is not None:
        os.environ[DATA_VARIABLE] = str(data_dir.resolve())


def find_local(files: PublishedFiles, root: Path) -> DatasetFiles | None:
    """The data set where ``root`` or its folder ``root/NAME`` holds it; None otherwise.

    Raises:
        UserError: a split is missing or incomplete.
    """
    inner = root / files.info.name
    for folder in (inner, root):
        if shards := find_shards(folder, ("test",)):
            return decodable_shards(files.info, _COLUMNS, shards)
    for folder in (root, inner):
        if (folder / files.torchvision_folder).is_dir():
            return _torchvision(files, folder)
    return None


def _torchvision(files: PublishedFiles, folder: Path) -> DatasetFiles:
    unpacked = folder / files.torchvision_folder

    read = partial(_read_torchvision, files, folder)
    present = (path for path in unpacked.iterdir() if path.is_file() and path.name not in files.unread)
    return DatasetFiles(lambda: (read("train"), read("test")), unpacked, {path.name: path for path in present})


def _read_torchvision(files: PublishedFiles, folder: Path, split: str) -> Split:
    try:
        return files.read(folder, split) if files.read else _read_cifar(files, folder, split)
    except (RuntimeError, OSError) as error:
        unpacked = folder / files.torchvision_folder
        raise UserError(
            f"{unpacked}: incomplete or altered ({one_line(error)}): delete the folder and it is downloaded again"
        ) from error


def _read_cifar(files: PublishedFiles, folder: Path, split: str) -> Split:
    from torchvision import datasets

    # It compares checksums before it unpickles anything.
    data = getattr(datasets, files.info.name.upper())(folder, train=split == "train", download=False)
    return Split(np.asarray(data.data, dtype=np.uint8), np.asarray(data.targets, dtype=np.int64))


def _downloaded(files: PublishedFiles, root: Path, announce: Announce) -> DatasetFiles:
    from filelock import FileLock

    name = files.info.name
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}-download.lock"):
            if found := find_local(files, root):  # another process has downloaded it in the meantime
                return found
            announce(f"{name}: not found in {root}, downloading it there")
            # Unpacked beside its place and then moved, so that an interrupted download is never taken for the data.
            scratch = root / f".{name}-download"
            download(files, scratch)
            (scratch / files.torchvision_folder).replace(root / files.torchvision_folder)
            shutil.rmtree(scratch, ignore_errors=True)
    except (RuntimeError, OSError, HTTPException) as error:
        raise UserError(
            f"cannot download {name} ({one_line(error)}): put train-*.parquet and test-*.parquet into DIR/{name}/, or "
            f"torchvision's {files.torchvision_folder}/ into DIR, and give DIR as --data DIR or ${DATA_VARIABLE}"
        ) from error
    return _torchvision(files, root)


def download(files: PublishedFiles, folder: Path) -> None:
    """Let torchvision download and unpack its files into a folder."""
    from torchvision import datasets

    getattr(datasets, files.info.name.upper())(folder, download=True)
