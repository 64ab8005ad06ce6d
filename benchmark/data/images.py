"""Single images: decoding, random crops for training, central crops for tests. Does not import torch."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from benchmark.data.parallel import in_parallel
from benchmark.errors import UserError, one_line

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
"""Formats that are decoded, by Pillow's names. Some of its other formats start a program: EPS starts Ghostscript."""
MAX_SIDE = 30_000
"""Largest side of an image in pixels."""
MAX_PIXELS = 89_478_485
"""Largest number of pixels of an image: the limit of Pillow's warning. ImageNet's largest image has 60 million."""
MAX_ASPECT = 500
"""Largest ratio of the sides: an image resized to a shorter side of 256 pixels then has at most 33 million."""
_CHUNK = 100  # images that a thread decodes at once
_WHITE_16 = 2**16 - 1
_TRIES = 10
_ASPECT = (3 / 4, 4 / 3)
DRAWS = 2 * _TRIES + 3
"""Number of random numbers for one training image."""
# `decode` refuses the images that this warns of.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Crops:
    """The crops of images of many sizes, and their normalisation.

    Attributes:
        size: side of the square crops in pixels.
        scale: smallest and largest fraction of the image's area in a training crop.
        resize: shorter side in pixels to which a test image is resized before its centre is cropped.
        flip: probability that a training crop is mirrored.
        mean: of each channel, for pixels scaled to 0..1.
        std: of each channel, for pixels scaled to 0..1.

    Raises:
        UserError: ``resize`` is below ``size``.
    """

    size: int
    scale: tuple[float, float]
    resize: int
    flip: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.size > self.resize:
            raise UserError(
                f"resize {self.resize} is too small to cut {self.size} pixels out: resize must be crop_size or more"
            )


def decode(where: str, content: bytes) -> Image.Image:
    """Decode an image to RGB.

    Grey of 16 bits is scaled to 8. Transparency is dropped and the colour below it kept, as in torchvision's loader.

    Args:
        where: names the image in an error.
        content: the file's bytes, in one of `FORMATS`.

    Raises:
        UserError: it cannot be decoded, or is larger than `MAX_SIDE`, `MAX_PIXELS` or `MAX_ASPECT` allow.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(*image.size)
            image.load()
            return _rgb(image)
    except UnidentifiedImageError as error:
        raise UserError(f"{where}: the image cannot be decoded (it is none of {', '.join(FORMATS)})") from error
    except Exception as error:  # damaged bytes can raise any exception in a decoder
        raise UserError(f"{where}: the image cannot be decoded ({one_line(error)})") from error


def _check_size(width: int, height: int) -> None:
    """Check the size in an image's header, before memory is allocated for its pixels."""
    short, long = sorted((width, height))
    if short < 1 or long > MAX_SIDE or width * height > MAX_PIXELS or long > MAX_ASPECT * short:
        raise ValueError(
            f"it is {width:,} x {height:,} pixels large, the limits are {MAX_SIDE:,} a side, {MAX_PIXELS:,} in all, "
            f"and a longer side of {MAX_ASPECT} times the shorter"
        )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return _grey(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the direct conversion to RGB warns
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, or of 32 that hold 16, rounded to 8."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > _WHITE_16:
        raise ValueError(f"its grey values run from {values.min()} to {values.max()}, beyond 16 bits")
    # White is 65,535 = 257 * 255.
    rounded = (values.astype(np.uint32) + 128) // 257
    return Image.fromarray(rounded.astype(np.uint8))


def decode_all(images: Sequence[tuple[str, bytes | Path]], size: int, *, fit: bool) -> npt.NDArray[np.uint8]:
    """Decode images in parallel: uint8 (N, size, size, 3).

    Args:
        images: the name of each in an error, and its bytes or file.
        size: side in pixels that every image must have.
        fit: whether images of another size are brought to that one: the shorter side resized, the centre kept.

    Raises:
        UserError: an image cannot be read or decoded, or has another size.
    """
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    return np.concatenate(list(in_parallel(partial(_decode_chunk, size=size, fit=fit), chunks)))


def _decode_chunk(images: Sequence[tuple[str, bytes | Path]], size: int, *, fit: bool) -> npt.NDArray[np.uint8]:
    decoded = []
    for where, content in images:
        try:
            image = decode(where, content.read_bytes() if isinstance(content, Path) else content)
        except OSError as error:
            raise UserError(f"{where}: cannot be read ({one_line(error)})") from error
        if not fit and image.size != (size, size):
            raise UserError(f"{where}: the image is {image.width}x{image.height}, it must be {size}x{size}")
        decoded.append(central_pixels(image, size, size))
    return np.stack(decoded)


def training_pixels(image: Image.Image, crops: Crops, draws: Sequence[float]) -> npt.NDArray[np.uint8]:
    """A random crop of an image, resized to a square and perhaps mirrored.

    Args:
        image: RGB.
        crops: size, scale and flip.
        draws: `DRAWS` random numbers, uniform on [0, 1).

    Returns:
        uint8 (size, size, 3).
    """
    box = crop_box(*image.size, crops.scale, draws)
    pixels = np.asarray(image.crop(box).resize((crops.size, crops.size), Image.Resampling.BILINEAR))
    return pixels[:, ::-1] if draws[-1] < crops.flip else pixels


def central_pixels(image: Image.Image, resize: int, size: int) -> npt.NDArray[np.uint8]:
    """The centre of an image whose shorter side is resized to ``resize`` pixels: uint8 (size, size, 3)."""
    width, height = image.size
    short = min(width, height)
    sides = [resize if side == short else int(resize * side / short) for side in (width, height)]
    left, top = (round((side - size) / 2) for side in sides)
    resized = image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def crop_box(width: int, height: int, scale: tuple[float, float], draws: Sequence[float]) -> tuple[int, int, int, int]:
    """A random crop as in Szegedy et al. 2015 and torchvision's ``RandomResizedCrop``.

    The fraction of the area is uniform in ``scale``, the aspect ratio uniform on a log scale from 3/4 to 4/3. If ten
    tries do not fit into the image, the crop is the largest central one with an aspect ratio in that range.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        scale: smallest and largest fraction of the area.
        draws: two numbers for each try, then two for the position, and one that is not used here.

    Returns:
        Left, top, right and bottom in pixels.
    """
    low, high = map(math.log, _ASPECT)
    for share, ratio in zip(draws[0 : 2 * _TRIES : 2], draws[1 : 2 * _TRIES : 2], strict=True):
        area = width * height * (scale[0] + (scale[1] - scale[0]) * share)
        aspect = math.exp(low + (high - low) * ratio)
        inner_width, inner_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < inner_width <= width and 0 < inner_height <= height:
            left = int(draws[2 * _TRIES] * (width - inner_width + 1))
            top = int(draws[2 * _TRIES + 1] * (height - inner_height + 1))
            return left, top, left + inner_width, top + inner_height
    inner_width = min(width, round(height * _ASPECT[1]))
    inner_height = min(height, round(width / _ASPECT[0]))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    return left, top, left + inner_width, top + inner_height
