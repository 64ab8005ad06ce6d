"""The types of data sets, decoded or left in files; canonical order and fingerprint of decoded images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Announce = Callable[[str], None]
"""Called with one line about a longer step."""
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set that are known without loading it.

    Attributes:
        name: registry name.
        num_train: training images of the official data.
        num_test: test images of the official data.
        num_classes: number of classes.
        image_size: side of the square images in pixels; where images have many sizes, the side that networks see.
        in_files: whether images of any size stay in their files and are decoded for each batch.
        mean: of each channel of the training images, for pixels scaled to 0..1; None where it is measured or part of a
            recipe.
        std: likewise the standard deviation; None where ``mean`` is None.
    """

    name: str
    num_train: int
    num_test: int
    num_classes: int
    image_size: int
    in_files: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """Images with labels.

    Attributes:
        images: uint8 (N, H, W, 3), an array or a read-only memory map.
        labels: int64 (N,).
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


class ImageLocation(NamedTuple):
    """The bytes of an encoded image.

    Attributes:
        path: of the file.
        start: offset of the first byte.
        length: number of bytes; -1 for all up to the end of the file.
        name: names the image in an error.
    """

    path: str
    start: int
    length: int
    name: str


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """Encoded images of any size with labels, left in files.

    Attributes:
        labels: int64 (N,).
        files: bytes (N,), paths below ``folder``.
        spans: int64 (N, 3): offset and number of bytes in the file and row of the Parquet file that the image was
            copied from; (0, -1, -1) for an image that has a file of its own.
        folder: holds the files.
    """

    labels: npt.NDArray[np.int64]
    files: npt.NDArray[np.bytes_]
    spans: npt.NDArray[np.int64]
    folder: Path

    def __len__(self) -> int:
        return len(self.labels)

    def locations(self, rows: npt.NDArray[np.int64]) -> list[ImageLocation]:
        """Where the images of some rows are stored."""
        found = []
        for row in rows:
            path, (start, length, number) = str(self.folder / os.fsdecode(self.files[row])), self.spans[row].tolist()
            found.append(ImageLocation(path, start, length, path if number < 0 else f"{path}: row {number}"))
        return found

    def part(self, start: int, stop: int) -> EncodedSplit:
        """The rows from ``start`` to before ``stop``."""
        return replace(self, labels=self.labels[start:stop], files=self.files[start:stop], spans=self.spans[start:stop])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of decoded images, both splits in canonical order.

    Attributes:
        fingerprint: SHA-256 of both splits, hexadecimal.
        official: whether these are the published data; None where the numbers of images are right and no fingerprint
            of the published data is known.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    fingerprint: str
    official: bool | None


@dataclass(frozen=True, eq=False)
class FileDataset:
    """A data set whose images are too many to be held decoded; both splits in canonical order.

    Attributes:
        fingerprint: SHA-256 of the labels and names of all images and the sizes of some, as in ``listing``.
        official: False where the numbers of images are wrong, else None.
    """

    name: str
    train: EncodedSplit
    test: EncodedSplit
    num_classes: int
    fingerprint: str
    official: bool | None


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a data set that is decoded into memory.

    Attributes:
        read: decodes the training and the test split, rows in any order.
        folder: holds the files; None where reading is too cheap to be cached.
        files: all files that ``read`` reads, by names that do not change when the folder moves. Their content names the
            decoded copy in the cache, and is part of the ids of runs on a plug-in's data set.
        choice: names the options that decide how the files are read; may be empty.
    """

    read: Callable[[], tuple[Split, Split]]
    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    choice: str = ""


@dataclass(frozen=True)
class DatasetReader:
    """The registry's entry for a data set.

    Attributes:
        info: facts that are known without loading.
        official: fingerprint of the published data; None where it is not known.
        find: locates the data, given the user's data folder, the cache folder and where to report progress. A data set
            whose images stay in files is complete then.
        location: the files that ``find`` looks for, in words.
    """

    info: DatasetInfo
    official: str | None
    find: Callable[[Path | None, Path, Announce], DatasetFiles | FileDataset]
    location: str = ""

    def is_official(self, fingerprint: str, num_train: int, num_test: int) -> bool | None:
        """Whether data are the published ones; None where their numbers are right and no fingerprint is known."""
        if self.official is not None:
            return fingerprint == self.official
        return None if (num_train, num_test) == (self.info.num_train, self.info.num_test) else False


def canonical(split: Split, salt: bytes = b"") -> Split:
    """Sort the rows by a hash of pixels and label.

    The result does not depend on the order of the rows: rows with equal hashes are equal in pixels and label.

    Args:
        split: rows in any order.
        salt: hashed with each row. The canonical order has no salt; another salt gives an unrelated order.
    """
    rows = zip(split.images, split.labels.tolist(), strict=True)
    keys = row_keys(salt + image.tobytes() + label.to_bytes(8, "little", signed=True) for image, label in rows)
    order = np.argsort(keys, kind="stable")
    return Split(split.images[order], split.labels[order])


def row_keys(contents: Iterable[bytes]) -> npt.NDArray[np.bytes_]:
    """Hashes of rows, by which they are sorted: bytes (N,)."""
    hashes = (hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() for content in contents)
    return np.frombuffer(b"".join(hashes), dtype=f"S{_DIGEST_BYTES}")


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256 over shapes, pixels and labels of both splits, which must be in canonical order."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(tuple(map(int, split.images.shape))).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()
