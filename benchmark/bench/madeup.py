"""Images of random pixels in place of a data set: how long a step takes does not depend on what they show."""

from __future__ import annotations

from functools import cache

import numpy as np

from benchmark.data import Dataset, describe
from benchmark.data.dataset import Split
from benchmark.training.data_source import DataSource

__all__ = ["MadeUpSource", "dataset"]

_TEST_IMAGES = 100


@cache
def dataset(name: str) -> Dataset:
    """As many training images, of the same size and classes, as a data set has; few test images."""
    info = describe(name)
    train, test = (_split(count, info.image_size, info.num_classes) for count in (info.num_train, _TEST_IMAGES))
    return Dataset(name, train, test, info.num_classes, fingerprint="random pixels", official=False)


def _split(count: int, size: int, classes: int) -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return Split(pixels, np.arange(count, dtype=np.int64) % classes)


class MadeUpSource(DataSource):
    """Batches of random pixels, through the project's own stream."""

    def _dataset(self, name: str) -> Dataset:
        return dataset(name)
