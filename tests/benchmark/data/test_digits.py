import numpy as np

from benchmark.data import describe, load


def test_digits_are_the_official_ones_and_as_described(tmp_path):
    digits, info = load("digits", None, tmp_path), describe("digits")
    assert digits.official
    assert digits.train.images.shape == (info.num_train, info.image_size, info.image_size, 3)
    assert digits.test.images.shape == (info.num_test, info.image_size, info.image_size, 3)
    assert set(digits.train.labels) == set(digits.test.labels) == set(range(info.num_classes))
    assert list(tmp_path.iterdir()) == []


def test_every_digit_of_scikit_learn_is_in_one_split(tmp_path):
    from sklearn.datasets import load_digits

    digits, bunch = load("digits", None, tmp_path), load_digits()
    images = np.concatenate([digits.train.images, digits.test.images])
    labels = np.concatenate([digits.train.labels, digits.test.labels])
    assert (images == images[..., :1]).all()
    ours = sorted((image[..., 0].tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
    grey = (bunch.images * 15).astype(np.uint8)
    assert ours == sorted((image.tobytes(), int(label)) for image, label in zip(grey, bunch.target, strict=True))
