"""Pooling to a size against windows in NumPy, and functions that a teacher's cache knows again."""

import math

import numpy as np
import pytest
import torch

from methods.pooling import pooled, pooling


def naive_pooled(maps, size):
    def windows(length, count):
        return [slice(i * length // count, math.ceil((i + 1) * length / count)) for i in range(count)]

    rows, columns = windows(maps.shape[2], size[0]), windows(maps.shape[3], size[1])
    return np.stack([np.stack([maps[:, :, row, column].mean((2, 3)) for column in columns], 2) for row in rows], 2)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 2), (3, 4), (6, 5)])
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 2, 5, 7), (2, 1, 2, 2), (1, 3, 1, 1)])
def test_windows_are_those_of_adaptive_pooling_also_where_the_map_is_smaller(shape, size):
    maps = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(pooled(maps, size), naive_pooled(maps.numpy(), size), rtol=1e-12, atol=1e-12)


def test_a_map_of_that_size_stays_as_it_is():
    maps = torch.randn(2, 3, 4, 4)
    assert pooled(maps, (4, 4)) is maps


def test_one_size_has_one_function():
    maps = torch.randn(2, 3, 4, 4)
    assert pooling(2, 2) is pooling(2, 2)
    assert pooling(2, 2) is not pooling(2, 1)
    assert torch.equal(pooling(2, 1)(maps), pooled(maps, (2, 1)))
