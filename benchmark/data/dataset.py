"""What a data set is: two splits of images in canonical order, and their fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Announce = Callable[[str], None]
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set without loading it.

    Attributes:
        name: registry name.
        num_train: training images of the official data.
        num_test: test images of the official data.
        num_classes: number of classes.
        image_size: side of the square images in pixels, as networks see them where the images' own sizes differ.
    """

    name: str
    num_train: int
    num_test: int
    num_classes: int
    image_size: int


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


class Place(NamedTuple):
    """Where an encoded image is.

    Attributes:
        path: the file.
        start: of its first byte.
        length: bytes.
        name: what to call it in an error.
    """

    path: str
    start: int
    length: int
    name: str


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """Encoded images of any size with labels, left in their files.

    Attributes:
        labels: int64 (N,).
        files: bytes (N,), paths below ``root``.
        spans: int64 (N, 3): first byte, number of bytes, and row of the Parquet file they came from or -1.
        root: folder of the files.
        origin: folder of what the files were made from, if they were; their paths below it are the same.
    """

    labels: npt.NDArray[np.int64]
    files: npt.NDArray[np.bytes_]
    spans: npt.NDArray[np.int64]
    root: Path
    origin: Path

    def __len__(self) -> int:
        return len(self.labels)

    def places(self, rows: npt.NDArray[np.int64]) -> list[Place]:
        """Where the images of some rows are."""
        return [self._place(os.fsdecode(self.files[row]), *self.spans[row].tolist()) for row in rows]

    def part(self, start: int, stop: int) -> EncodedSplit:
        """Some rows that follow one another."""
        return replace(self, labels=self.labels[start:stop], files=self.files[start:stop], spans=self.spans[start:stop])

    def _place(self, file: str, start: int, length: int, row: int) -> Place:
        name = f"{self.origin / file}" if row < 0 else f"{self.origin / file}.parquet: row {row}"
        return Place(str(self.root / file), start, length, name)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of decoded images, both splits in canonical order.

    Attributes:
        name: registry name.
        train: training split.
        test: test split.
        num_classes: number of classes.
        fingerprint: SHA-256 of both splits, hexadecimal.
        official: whether these are the published data; None where the published fingerprint is not known, as long as
            the numbers of images are right.
        hold: keeps the copy in the cache that the splits are maps of.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    fingerprint: str
    official: bool | None
    hold: object = None


@dataclass(frozen=True, eq=False)
class FileDataset:
    """A data set of encoded images, too many to be held decoded; else as `Dataset`.

    Attributes:
        name: registry name.
        train: training split.
        test: test split.
        num_classes: number of classes.
        fingerprint: SHA-256 of the encoded bytes' and labels' hashes of both splits, hexadecimal.
        official: as of `Dataset`.
        hold: keeps the index in the cache, and the images copied beside it.
    """

    name: str
    train: EncodedSplit
    test: EncodedSplit
    num_classes: int
    fingerprint: str
    official: bool | None
    hold: object = None


@dataclass(frozen=True)
class Found:
    """Where a data set's images are.

    Attributes:
        read: reads the training and the test split, rows in any order.
        place: the folder that holds them; None where reading is too cheap to be cached.
        files: all that ``read`` would read, by names that stay where the folder moves. What they hold names the decoded
            copy; of a data set of a plug-in, it is part of the ids that rest on it.
        choice: names what else decides what is read of the files; may be empty.
    """

    read: Callable[[], tuple[Split, Split]]
    place: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    choice: str = ""


class Listing(NamedTuple):
    """Encoded images in any order.

    Attributes:
        keys: bytes (N,), hashes of bytes and label.
        labels: int64 (N,).
        files: as in `EncodedSplit`.
        spans: as in `EncodedSplit`.
    """

    keys: npt.NDArray[np.bytes_]
    labels: npt.NDArray[np.int64]
    files: npt.NDArray[np.bytes_]
    spans: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoundFiles:
    """Where a data set's encoded images are.

    Attributes:
        list: lists the training and the test images; may copy them into the folder it is given.
        key: names the state of the files that it would list.
        origin: the user's folder.
        copied: whether ``list`` copies.
    """

    list: Callable[[Path], tuple[Listing, Listing]]
    key: str
    origin: Path
    copied: bool


@dataclass(frozen=True)
class Source:
    """A data set's entry in the registry.

    Attributes:
        info: what is known without loading.
        official: fingerprint of the published data; None where it is not known.
        find: locates the data, given the user's data folder, the cache folder and where to report progress.
        location: which files ``find`` looks for, for people.
    """

    info: DatasetInfo
    official: str | None
    find: Callable[[Path | None, Path, Announce], Found | FoundFiles]
    location: str = ""

    def judge(self, fingerprint: str, num_train: int, num_test: int) -> bool | None:
        """Whether data are the published ones: True, False, or None where that is not known."""
        if self.official is not None:
            return fingerprint == self.official
        return None if (num_train, num_test) == (self.info.num_train, self.info.num_test) else False


def canonical(split: Split, salt: bytes = b"") -> Split:
    """The same rows sorted by the hash of pixels and label, whatever order they came in.

    Rows that tie are equal in pixels and label, so the result is unique.

    Args:
        split: rows in any order.
        salt: hashed too; the canonical order is that of no salt, others are as good as random beside it.
    """
    rows = zip(split.images, split.labels, strict=True)
    order = np.argsort(as_keys([row_key(salt + image.tobytes(), int(label)) for image, label in rows]), kind="stable")
    return Split(split.images[order], split.labels[order])


def row_key(content: bytes, label: int) -> bytes:
    """Hash of an image's bytes, decoded or encoded, and its label: rows are sorted by it."""
    content += label.to_bytes(8, "little", signed=True)
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def as_keys(digests: Sequence[bytes]) -> npt.NDArray[np.bytes_]:
    """Hashes of rows as one array of bytes (N,)."""
    return np.frombuffer(b"".join(digests), dtype=f"S{_DIGEST_BYTES}")


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256 over shapes, pixels and labels of both splits, which must be in canonical order."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(tuple(map(int, split.images.shape))).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()
