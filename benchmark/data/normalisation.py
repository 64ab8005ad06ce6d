"""Mean and standard deviation of the channels of a data set."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from benchmark.data.dataset import Split

_DECIMALS = 4
_CHUNK = 500  # images at once
_WHITE = 255


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel, for pixels scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def measured(split: Split) -> Normalisation:
    """Normalisation of a split, rounded to four decimals; a constant channel has a standard deviation of 1.

    The sums are exact integers, so all machines get the same result.
    """
    sums, squares = np.zeros((2, 3), dtype=np.int64)
    for start in range(0, len(split), _CHUNK):
        pixels = split.images[start : start + _CHUNK].reshape(-1, 3).astype(np.int64)
        sums += pixels.sum(axis=0)
        squares += (pixels * pixels).sum(axis=0)
    count = split.images.size // 3
    mean, std = [], []
    for total, square in zip(sums.tolist(), squares.tolist(), strict=True):
        mean.append(round(total / (_WHITE * count), _DECIMALS))
        std.append(round(math.sqrt(count * square - total * total) / (_WHITE * count), _DECIMALS) or 1.0)
    return Normalisation(tuple(mean), tuple(std))
