"""Handwritten digits from scikit-learn, 1,797 grey images of 8x8 pixels: stand-ins for the larger data sets."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.data.dataset import DatasetFiles, DatasetInfo, DatasetReader, Split, canonical

_WHITE = 15  # grey levels run from 0 to 16, so that white becomes 240
_SIDE = 8

# Name, training images, side in pixels (a multiple of 8: pixels are repeated), fingerprint.
_STAND_INS = (
    ("digits", 1_197, 8, "7de55d98a68481a3662c075fd62db12cd7c1f9660f0531213b678f646e6c0d55"),
    ("digits-for-cifar10", 1_197, 8, "574671ab47ba32ded47b9ee5a6ebc8a348c597a755e20785bda123eadac7e9a9"),
    # As in STL-10, there are fewer training than test images, and they are larger than the networks' input.
    ("digits-for-stl10", 300, 16, "4f1224bb132c0d8a6a63fed2d384a15dedc742e0c44ebc36d975ef0896dfb6af"),
    ("digits-for-imagenet", 1_197, 16, "41998c89b519a85fe2f794b3226058db81950c48b0b2e66518909640bf4d6c61"),
)
_NUM_TEST = 600


def _read(info: DatasetInfo) -> tuple[Split, Split]:
    pixels, labels = _sklearn_digits()
    grey = np.repeat((pixels * _WHITE).astype(np.uint8)[..., None], 3, axis=3)
    # Each stand-in has an order of its own, in which the training images come first and the test images next.
    salt = info.name.removeprefix("digits").encode()
    rows = canonical(Split(grey, labels.astype(np.int64)), salt)
    factor = info.image_size // _SIDE
    images = rows.images.repeat(factor, axis=1).repeat(factor, axis=2)
    train, test = slice(info.num_train), slice(info.num_train, info.num_train + info.num_test)
    return Split(images[train], rows.labels[train]), Split(images[test], rows.labels[test])


def _sklearn_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Images ``(1797, 8, 8)`` and labels of ``sklearn.datasets.load_digits``, without importing scikit-learn.

    Every training process would spend a second on that import, more than on the first epochs of a small network.
    """
    spec = find_spec("sklearn")
    assert spec is not None
    table = np.loadtxt(Path(str(spec.origin)).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :-1].reshape(-1, _SIDE, _SIDE), table[:, -1]


def _reader(name: str, num_train: int, image_size: int, official: str) -> DatasetReader:
    info = DatasetInfo(name, num_train, _NUM_TEST, num_classes=10, image_size=image_size)
    files = DatasetFiles(read=partial(_read, info))
    return DatasetReader(info, official, lambda *_: files, "part of scikit-learn")


SOURCES = tuple(_reader(*row) for row in _STAND_INS)
