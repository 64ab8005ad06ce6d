"""What a data set is: two splits of images in canonical order, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
        image_size: side of the square images in pixels.
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


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, both splits in canonical order.

    Attributes:
        name: registry name.
        train: training split.
        test: test split.
        num_classes: number of classes.
        fingerprint: SHA-256 of both splits, hexadecimal.
        official: whether the fingerprint is that of the published data.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    fingerprint: str
    official: bool


@dataclass(frozen=True)
class Found:
    """Where a data set's images are.

    Attributes:
        read: reads the training and the test split, rows in any order.
        key: names the state of the files that ``read`` would read; None where reading is too cheap to be cached.
    """

    read: Callable[[], tuple[Split, Split]]
    key: str | None = None


@dataclass(frozen=True)
class Source:
    """A data set's entry in the registry.

    Attributes:
        info: what is known without loading.
        official: fingerprint of the published data.
        find: locates the data, given the user's data folder, the cache folder and where to report progress.
    """

    info: DatasetInfo
    official: str
    find: Callable[[Path | None, Path, Announce], Found]


def canonical(split: Split) -> Split:
    """The same rows sorted by the hash of pixels and label, whatever order they came in.

    Rows that tie are equal in pixels and label, so the result is unique.
    """
    labels = split.labels.astype("<i8")
    digests = b"".join(
        hashlib.blake2b(image.tobytes() + label.tobytes(), digest_size=_DIGEST_BYTES).digest()
        for image, label in zip(split.images, labels, strict=True)
    )
    order = np.argsort(np.frombuffer(digests, dtype=f"S{_DIGEST_BYTES}"), kind="stable")
    return Split(split.images[order], split.labels[order])


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256 over shapes, pixels and labels of both splits, which must be in canonical order."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(tuple(map(int, split.images.shape))).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return digest.hexdigest()
