import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmark.data import describe, load

NAMES = ("digits", "digits-for-cifar10", "digits-for-stl10", "digits-for-imagenet")
SIZES = {
    "digits": (1_197, 8),
    "digits-for-cifar10": (1_197, 8),
    "digits-for-stl10": (300, 16),
    "digits-for-imagenet": (1_197, 16),
}


def rows(*splits):
    """What images at their first size and labels are, sorted."""
    parts = ((image[:: len(image) // 8, :: len(image) // 8, 0], label) for split in splits for image, label in split)
    return sorted((image.tobytes(), int(label)) for image, label in parts)


def pairs(split):
    return list(zip(split.images, split.labels, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_digits_are_the_official_ones_and_as_described(tmp_path, name):
    digits, info = load(name, None, tmp_path), describe(name)
    assert (info.num_train, info.image_size, info.num_test) == (*SIZES[name], 600)
    assert digits.official
    assert digits.train.images.shape == (info.num_train, info.image_size, info.image_size, 3)
    assert digits.test.images.shape == (info.num_test, info.image_size, info.image_size, 3)
    assert set(digits.train.labels) == set(digits.test.labels) == set(range(info.num_classes))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits-for-stl10"])
def test_every_digit_of_scikit_learn_is_in_one_split(tmp_path, name):
    digits, bunch = load(name, None, tmp_path), load_digits()
    assert (digits.train.images == digits.train.images[..., :1]).all()
    grey = (bunch.images * 15).astype(np.uint8)
    expected = sorted((image.tobytes(), int(label)) for image, label in zip(grey, bunch.target, strict=True))
    assert rows(pairs(digits.train), pairs(digits.test)) == expected
