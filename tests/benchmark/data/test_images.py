import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional

from benchmark.data.images import DRAWS, Crops, crop_box, decode, training_pixels
from benchmark.data.images import test_pixels as central_pixels
from benchmark.errors import UserError

NORMAL = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}
SCALE = (0.08, 1.0)


def make(size=24, scale=SCALE, resize=32, flip=0.5):
    return Crops(size, scale, resize, flip, **NORMAL)


def draws(count=1, seed=0):
    return np.random.default_rng(seed).random((count, DRAWS)).tolist()


def random_image(width, height, mode="RGB"):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(("width", "height"), [(40, 30), (30, 40), (33, 33), (10, 300), (300, 10), (1, 1), (500, 375)])
@pytest.mark.parametrize("scale", [SCALE, (0.9, 1.0), (1.0, 1.0)])
def test_boxes_lie_in_the_image(width, height, scale):
    for numbers in [*draws(200), [0.0] * DRAWS, [math.nextafter(1, 0)] * DRAWS]:
        left, top, right, bottom = crop_box(width, height, scale, numbers)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_boxes_have_the_area_and_aspect_asked_for():
    scale, side = (0.2, 0.5), 1_000
    boxes = np.array([crop_box(side, side, scale, numbers) for numbers in draws(4_000)])
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    share, aspect = width * height / side**2, np.log(width / height)
    assert share.min() > 0.199
    assert share.max() < 0.501
    assert np.abs(aspect).max() < math.log(4 / 3) + 0.003
    # Every box fits at the first try, so both are even: compare mean and spread, within 5 standard errors.
    for values, low, high in ((share, *scale), (aspect, -math.log(4 / 3), math.log(4 / 3))):
        deviation = (high - low) / math.sqrt(12)
        assert abs(values.mean() - (low + high) / 2) < 5 * deviation / math.sqrt(4_000)
        assert abs(values.std() / deviation - 1) < 0.05


def test_boxes_lie_evenly_where_there_is_room():
    boxes = np.array([crop_box(60, 80, (0.1, 0.3), numbers) for numbers in draws(4_000)])
    for start, stop, side in ((boxes[:, 0], boxes[:, 2], 60), (boxes[:, 1], boxes[:, 3], 80)):
        place = start / (side - (stop - start))
        assert (start == 0).any()
        assert (stop == side).any()
        assert abs(place.mean() - 0.5) < 5 / math.sqrt(12 * 4_000)


def test_boxes_are_distributed_as_those_of_torchvision():
    image = random_image(500, 375)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = [transforms.RandomResizedCrop.get_params(image, [*SCALE], [3 / 4, 4 / 3]) for _ in range(3_000)]
    top, left, height, width = np.array(theirs).T
    expected = np.stack([left, top, left + width, top + height])
    ours = np.array([crop_box(500, 375, SCALE, numbers) for numbers in draws(3_000)]).T
    for ours_of, theirs_of in zip(ours, expected, strict=True):
        error = math.sqrt((ours_of.var() + theirs_of.var()) / 3_000)
        assert abs(ours_of.mean() - theirs_of.mean()) < 5 * error
        assert abs(ours_of.std() / theirs_of.std() - 1) < 0.1


@pytest.mark.parametrize(("width", "height"), [(1_000, 90), (90, 1_000), (301, 100), (100, 301)])
def test_where_nothing_fits_the_centre_is_that_of_torchvision(width, height):
    image = random_image(width, height)
    top, left, tall, wide = transforms.RandomResizedCrop.get_params(image, [1.0, 1.0], [3 / 4, 4 / 3])
    assert crop_box(width, height, (1.0, 1.0), draws()[0]) == (left, top, left + wide, top + tall)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_training_pixels_are_the_resized_part_of_the_image(flip):
    image, numbers = random_image(70, 50), draws()[0]
    left, top, right, bottom = crop_box(70, 50, SCALE, numbers)
    part = functional.resized_crop(image, top, left, bottom - top, right - left, [24, 24])
    expected = functional.hflip(part) if flip else part
    np.testing.assert_array_equal(training_pixels(image, make(flip=flip), numbers), np.asarray(expected))


SIZES = [(500, 375), (375, 500), (300, 300), (32, 90), (90, 33), (31, 31), (7, 12), (640, 33), (33, 32)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("crop", "resize"), [(24, 32), (32, 32), (23, 32)])
def test_test_pixels_are_exactly_those_of_torchvision(size, crop, resize):
    image = random_image(*size)
    expected = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])(image)
    np.testing.assert_array_equal(central_pixels(image, make(size=crop, resize=resize)), np.asarray(expected))


@pytest.mark.parametrize(
    ("mode", "form"), [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("1", "PNG")]
)
def test_every_mode_becomes_rgb(mode, form):
    image = random_image(20, 10, mode)
    buffer = io.BytesIO()
    image.save(buffer, form)
    result = decode("x", buffer.getvalue())
    assert (result.mode, result.size) == ("RGB", (20, 10))
    expected = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_cannot_be_decoded_is_named(content):
    if content is None:
        buffer = io.BytesIO()
        random_image(50, 50).save(buffer, "JPEG")
        content = buffer.getvalue()[:600]
    with pytest.raises(UserError, match=r"^a/b\.JPEG: the image cannot be decoded \(.+\)$"):
        decode("a/b.JPEG", content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": (0.0, 1.0)}, "crop_scale"),
        ({"scale": (0.5, 0.4)}, "crop_scale"),
        ({"size": 33}, "resize 32 is too small to cut 33 pixels out"),
    ],
)
def test_values_that_do_not_fit_are_errors(change, message):
    with pytest.raises(UserError, match=message):
        make(**change)
