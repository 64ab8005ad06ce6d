import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from benchmark.data import load
from benchmark.data.rand_augment import OPERATIONS, make_operation, operate

SIZES = [(8, 8), (32, 32), (9, 17), (40, 24)]


def affine(image, *matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


PILLOW = {
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "identity": lambda image, _: image,
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "colour": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "rotate": lambda image, degrees: image.rotate(degrees, Image.Resampling.NEAREST),
    "shear_x": lambda image, shear: affine(image, 1, shear, 0, 0, 1, 0),
    "shear_y": lambda image, shear: affine(image, 1, 0, 0, shear, 1, 0),
    "translate_x": lambda image, share: affine(image, 1, 0, share * image.width, 0, 1, 0),
    "translate_y": lambda image, share: affine(image, 1, 0, 0, 0, 1, share * image.height),
    "solarize": ImageOps.solarize,
}


def by_pillow(images, kinds, magnitudes):
    """An image at a time."""
    names = list(OPERATIONS)
    return np.stack(
        [
            np.asarray(PILLOW[names[kind]](Image.fromarray(image), magnitude))
            for image, kind, magnitude in zip(images, kinds.tolist(), magnitudes.tolist(), strict=True)
        ]
    )


def varied(count, height, width, seed=0):
    """Noise of all levels and of few, smooth blobs, one colour, and a few pixels that differ from it."""
    random = np.random.default_rng(seed)
    shape = (height, width, 3)
    makers = (
        lambda: random.integers(256, size=shape),
        lambda: random.integers(low := random.integers(200, size=3), low + random.integers(1, 57, size=3), size=shape),
        lambda: Image.fromarray(random.integers(256, size=(4, 4, 3), dtype=np.uint8)).resize((width, height)),
        lambda: np.full(shape, random.integers(256, size=3)),
        lambda: np.where(random.random(shape) < 0.97, *random.integers(256, size=(2, 3))),
    )
    return np.stack([makers[number % len(makers)]() for number in range(count)]).astype(np.uint8)


def operated(images, kinds, magnitudes):
    return operate(torch.tensor(images), make_operation(kinds, magnitudes, *images.shape[1:3])).numpy()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return load("digits", None, tmp_path_factory.mktemp("cache")).train.images


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_operation_equals_pillows_at_all_magnitudes(name, size):
    images, kinds = varied(125, *size), torch.full((125,), list(OPERATIONS).index(name))
    magnitudes = torch.linspace(*OPERATIONS[name], 125, dtype=torch.float64)
    np.testing.assert_array_equal(operated(images, kinds, magnitudes), by_pillow(images, kinds, magnitudes))


@pytest.mark.parametrize("name", OPERATIONS)
def test_all_but_the_identity_change_smooth_images(name):
    images, kinds = varied(500, 32, 32)[2::5], torch.full((100,), list(OPERATIONS).index(name))
    magnitudes = torch.linspace(*OPERATIONS[name], 100, dtype=torch.float64)
    changed = (operated(images, kinds, magnitudes) != images).any((1, 2, 3))
    assert changed.mean() > 0.5 if name != "identity" else not changed.any()


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_on_digits_equals_pillows(name, digits):
    kinds = torch.full((200,), list(OPERATIONS).index(name))
    magnitudes = torch.linspace(*OPERATIONS[name], 200, dtype=torch.float64)
    images = digits[:200]
    np.testing.assert_array_equal(operated(images, kinds, magnitudes), by_pillow(images, kinds, magnitudes))


def by_range(lowest, span):
    levels = lowest + np.arange(256) % (span + 1)
    return np.repeat(levels.reshape(16, 16, 1), 3, axis=2)


def test_autocontrast_rounds_as_pillow_does_at_every_contrast():
    images = np.stack([by_range((7 * span) % (256 - span), span) for span in range(256)]).astype(np.uint8)
    kinds, magnitudes = torch.zeros(256, dtype=torch.int64), torch.zeros(256, dtype=torch.float64)
    np.testing.assert_array_equal(operated(images, kinds, magnitudes), by_pillow(images, kinds, magnitudes))


def test_every_image_of_a_batch_gets_its_own_operation():
    random = torch.Generator().manual_seed(0)
    kinds = torch.arange(560) % len(OPERATIONS)
    low, high = torch.tensor(list(OPERATIONS.values()), dtype=torch.float64)[kinds].T
    magnitudes = low + (high - low) * torch.rand(560, generator=random, dtype=torch.float64)
    order = torch.randperm(560, generator=random)
    images, kinds, magnitudes = varied(560, 20, 18), kinds[order], magnitudes[order]
    np.testing.assert_array_equal(operated(images, kinds, magnitudes), by_pillow(images, kinds, magnitudes))


def test_images_are_left_as_they_are():
    images = torch.tensor(varied(14, 8, 8))
    before = images.clone()
    operate(images, make_operation(torch.arange(14), torch.full((14,), 5.0, dtype=torch.float64), 8, 8))
    assert torch.equal(images, before)
