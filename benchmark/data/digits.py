"""The 1,797 handwritten digits that scikit-learn ships, 8x8 grey images: a small stand-in for every larger data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.data.dataset import Announce, DatasetInfo, Found, Source, Split, canonical

_WHITE = 15  # grey levels run from 0 to 16, so that white becomes 240
_SIDE = 8
_NUM_TEST = 600


@dataclass(frozen=True)
class _StandIn:
    """One split of the digits.

    Attributes:
        name: registry name.
        num_train: training images.
        image_size: side in pixels, a multiple of 8: every pixel is repeated.
        official: fingerprint.
    """

    name: str
    num_train: int
    image_size: int
    official: str

    @property
    def info(self) -> DatasetInfo:
        """What is known without loading."""
        return DatasetInfo(self.name, self.num_train, _NUM_TEST, num_classes=10, image_size=self.image_size)

    @property
    def salt(self) -> bytes:
        """Of the order whose first rows are the training and whose next ones are the test images."""
        return self.name.removeprefix("digits").encode()


_STAND_INS = (
    _StandIn("digits", 1_197, 8, "7de55d98a68481a3662c075fd62db12cd7c1f9660f0531213b678f646e6c0d55"),
    _StandIn("digits-for-cifar10", 1_197, 8, "574671ab47ba32ded47b9ee5a6ebc8a348c597a755e20785bda123eadac7e9a9"),
    # As in STL-10, fewer images to learn from than to be tested on, and larger ones than the networks take.
    _StandIn("digits-for-stl10", 300, 16, "4f1224bb132c0d8a6a63fed2d384a15dedc742e0c44ebc36d975ef0896dfb6af"),
    _StandIn("digits-for-imagenet", 1_197, 16, "41998c89b519a85fe2f794b3226058db81950c48b0b2e66518909640bf4d6c61"),
)


def _find(stand_in: _StandIn, _data_dir: Path | None, _cache_dir: Path, _announce: Announce) -> Found:
    return Found(read=partial(_read, stand_in))


def _read(stand_in: _StandIn) -> tuple[Split, Split]:
    pixels, labels = _sklearn_digits()
    grey = np.repeat((pixels * _WHITE).astype(np.uint8)[..., None], 3, axis=3)
    rows = canonical(Split(grey, labels.astype(np.int64)), stand_in.salt)
    factor = stand_in.image_size // _SIDE
    images = rows.images.repeat(factor, axis=1).repeat(factor, axis=2)
    train, test = slice(stand_in.num_train), slice(stand_in.num_train, stand_in.num_train + _NUM_TEST)
    return Split(images[train], rows.labels[train]), Split(images[test], rows.labels[test])


def _sklearn_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Images ``(1797, 8, 8)`` and labels of ``sklearn.datasets.load_digits``, without importing scikit-learn.

    Every training process would spend a second on that import, more than on the first epochs of a small network.
    """
    spec = find_spec("sklearn")
    assert spec is not None
    table = np.loadtxt(Path(str(spec.origin)).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :-1].reshape(-1, _SIDE, _SIDE), table[:, -1]


SOURCES = tuple(Source(item.info, item.official, find=partial(_find, item)) for item in _STAND_INS)
