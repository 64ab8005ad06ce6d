import io
import math
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, ImageFile
from torchvision import transforms
from torchvision.transforms import functional

from benchmark.data.images import DRAWS, FORMATS, Crops, central_pixels, crop_box, decode, training_pixels
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
    np.testing.assert_array_equal(central_pixels(image, resize, crop), np.asarray(expected))


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


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_decoded(form):
    image = random_image(20, 10)
    result = np.asarray(decode("x", encoded(image, form, **({"lossless": True} if form == "WEBP" else {}))))
    assert result.shape == (10, 20, 3)
    if form not in ("JPEG", "GIF"):
        np.testing.assert_array_equal(result, np.asarray(image))


def grey_16():
    """Every level of 8 bits as 16 bits hold it, and its neighbours that round to it."""
    levels = np.arange(256, dtype=np.int64)[:, None] * 257 + np.array([[-128, -1, 0, 1, 128]])
    return levels.clip(0, 65_535).astype(np.uint16)


WIDE_GREY = {
    "PNG": lambda values: encoded(Image.fromarray(values), "PNG"),
    "TIFF": lambda values: encoded(Image.fromarray(values), "TIFF"),
    "TIFF, big-endian": lambda values: encoded(Image.fromarray(values.astype(">u2")), "TIFF"),
    "TIFF of 32 bits": lambda values: encoded(Image.fromarray(values.astype(np.int32)), "TIFF"),
    "PGM": lambda values: b"P5 5 256 65535\n" + values.astype(">u2").tobytes(),
}


@pytest.mark.parametrize("form", WIDE_GREY)
def test_grey_of_16_bits_is_scaled_to_8(form):
    result = np.asarray(decode("x", WIDE_GREY[form](grey_16())))
    expected = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 5, 3))
    np.testing.assert_array_equal(result, expected)


UNKNOWN_WHITE = {
    "its grey values run from 0 to 70000, beyond 16 bits": np.array([[0, 70_000]], dtype=np.int32),
    "its grey values run from -1 to 5, beyond 16 bits": np.array([[-1, 5]], dtype=np.int32),
    "its pixels are floating-point numbers": np.array([[0.0, 1.0]], dtype=np.float32),
}


@pytest.mark.parametrize("says", UNKNOWN_WHITE)
def test_grey_whose_white_is_unknown_is_refused(says):
    with pytest.raises(UserError, match=rf"^a\.tif: the image cannot be decoded \({says}"):
        decode("a.tif", encoded(Image.fromarray(UNKNOWN_WHITE[says]), "TIFF"))


@pytest.mark.parametrize(("form", "transparency"), [("PNG", 3), ("PNG", bytes(range(256))), ("GIF", 3)])
def test_transparent_palettes_keep_their_colours_without_a_warning(form, transparency):
    image = random_image(20, 10).quantize(200)
    content = encoded(image, form, transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(np.asarray(decode("x", content)), np.asarray(image.convert("RGB")))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_image_starts_another_program(monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_args, **_options: started.append("Ghostscript"))
    with pytest.raises(UserError, match=r"^a\.png: the image cannot be decoded \(it is none of JPEG, PNG, .*TIFF\)$"):
        decode("a.png", EPS)
    assert not started


def png(width, height, rows):
    """A PNG file that states a size and holds the first rows of it, black."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(rows * (1 + width)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(40_000_000, 1), (30_001, 100), (20_000, 5_000), (10_000, 19), (19, 10_000)])
def test_images_beyond_the_limits_are_refused_by_their_headers(size, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    width, height = size
    with pytest.raises(UserError) as caught:
        decode("a.png", png(*size, rows=1))
    assert str(caught.value) == (
        f"a.png: the image cannot be decoded (it is {width:,} x {height:,} pixels large, the limits are 30,000 a side, "
        "89,478,485 in all, and a longer side of 500 times the shorter)"
    )


def test_far_more_pixels_than_the_limit_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"^a\.png: the image cannot be decoded \(.*\b400000000 pixels.*\)$"):
        decode("a.png", png(20_000, 20_000, rows=1))


@pytest.mark.parametrize("size", [(9_331, 6_530), (500, 1)])
def test_images_within_the_limits_are_decoded(size):
    assert decode("a.png", png(*size, rows=1)).size == size


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_images_are_one_line_or_an_image(form):
    content, random = encoded(random_image(20, 10), form), np.random.default_rng(0)
    for _ in range(200):
        spoilt = bytearray(content[: random.integers(1, len(content) + 1)])
        for place in random.integers(0, len(spoilt), 3):
            spoilt[place] = random.integers(0, 256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert decode("x", bytes(spoilt)).mode == "RGB"
            except UserError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_cannot_be_decoded_is_named(content):
    if content is None:
        buffer = io.BytesIO()
        random_image(50, 50).save(buffer, "JPEG")
        content = buffer.getvalue()[:600]
    with pytest.raises(UserError, match=r"^a/b\.JPEG: the image cannot be decoded \(.+\)$"):
        decode("a/b.JPEG", content)


def test_a_resize_below_the_crop_is_an_error():
    with pytest.raises(UserError, match="resize 32 is too small to cut 33 pixels out"):
        make(size=33)
