import numpy as np
import pytest
import torch

from benchmark.data.augment import Augmentation, augment, crop_and_flip, normalise
from benchmark.errors import UserError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
NUMPY_MODE = {"zero": "constant", "reflect": "reflect"}


def make(padding=2, mode="zero", flip=0.5):
    return Augmentation(padding, mode, flip, MEAN, STD)


def random_images(count, height=8, width=8):
    return torch.randint(256, (count, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def all_draws(padding):
    """Every offset, plain and mirrored."""
    sides = torch.arange(2 * padding + 1)
    draws = torch.cartesian_prod(sides, sides, torch.arange(2))
    return draws[:, :2].contiguous(), draws[:, 2].bool()


def one_by_one(images, offsets, flips, augmentation):
    """The slow way, an image at a time in NumPy."""
    padding = augmentation.crop_padding
    results = []
    for image, (top, left), flip in zip(images.numpy(), offsets.tolist(), flips.tolist(), strict=True):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), NUMPY_MODE[augmentation.pad_mode])
        crop = padded[top : top + image.shape[0], left : left + image.shape[1]]
        results.append(crop[:, ::-1] if flip else crop)
    return np.stack(results)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize(("padding", "height", "width"), [(2, 8, 8), (4, 5, 9), (0, 6, 4), (3, 4, 7)])
def test_crops_equal_the_slow_way_at_every_offset(mode, padding, height, width):
    offsets, flips = all_draws(padding)
    images = random_images(len(flips), height, width)
    augmentation = make(padding, mode)
    expected = one_by_one(images, offsets, flips, augmentation)
    np.testing.assert_array_equal(crop_and_flip(images, offsets, flips, augmentation).numpy(), expected)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_augmented_batch_equals_the_slow_way(mode):
    offsets, flips = all_draws(2)
    images, augmentation = random_images(len(flips)), make(2, mode)
    result = augment(images, offsets, flips, augmentation)
    expected = (one_by_one(images, offsets, flips, augmentation) / 255 - MEAN) / STD
    np.testing.assert_allclose(result.numpy(), expected.transpose(0, 3, 1, 2), atol=2e-6)
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_no_augmentation_is_exactly_normalisation():
    images = random_images(5)
    offsets, flips = torch.zeros(5, 2, dtype=torch.int64), torch.zeros(5, dtype=torch.bool)
    result = augment(images, offsets, flips, make(padding=0, flip=0.0))
    assert torch.equal(result, normalise(images, MEAN, STD))
    assert torch.equal(crop_and_flip(images, offsets, flips, make(padding=0)), images)


def test_constants_made_in_inference_mode_serve_training_too():
    images = random_images(1)
    with torch.inference_mode():
        normalise(images, (0.11, 0.12, 0.13), STD)
    weight = torch.ones(1, requires_grad=True)
    (normalise(images, (0.11, 0.12, 0.13), STD) * weight).sum().backward()
    assert weight.grad is not None


def test_reflecting_more_than_the_image_is_an_error():
    with pytest.raises(UserError, match="crop_padding 8 cannot be reflected in images of 8 pixels"):
        augment(random_images(1), torch.tensor([[0, 0]]), torch.tensor([False]), make(8, "reflect"))
