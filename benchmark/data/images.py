"""Single images: decoding, a random part for training, the centre for tests. Without torch, which is slow to load."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmark.data.cache import one_line
from benchmark.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
"""What is decoded, as Pillow calls it. Of its other formats some start a program: EPS starts Ghostscript."""
MAX_SIDE = 30_000
"""Pixels of an image's longer side."""
MAX_PIXELS = 89_478_485
"""Pixels of an image: where Pillow begins to warn. The largest of ImageNet has about 60 million."""
MAX_ASPECT = 500
"""Longer side by the shorter: resizing to a shorter side of 256 pixels then makes 33 million of them at most."""
_WHITE_16 = 2**16 - 1
_TRIES = 10
_ASPECT = (3 / 4, 4 / 3)
DRAWS = 2 * _TRIES + 3
"""Random numbers that one training image takes."""


@dataclass(frozen=True)
class Crops:
    """What happens to images of many sizes before a network sees them.

    Attributes:
        size: side of the square that comes out, in pixels.
        scale: least and greatest share of the image's area that a training crop shows.
        resize: shorter side to which a test image is brought before its centre is cut out, in pixels.
        flip: probability that a training crop is mirrored.
        mean: of each channel, for pixels from 0 to 1.
        std: of each channel, for pixels from 0 to 1.

    Raises:
        UserError: values do not fit together.
    """

    size: int
    scale: tuple[float, float]
    resize: int
    flip: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise UserError(f"crop_scale must be two rising shares from 0 to 1, not {list(self.scale)}")
        if not 1 <= self.size <= self.resize:
            raise UserError(
                f"resize {self.resize} is too small to cut {self.size} pixels out: resize must be crop_size or more"
            )


def decode(where: str, content: bytes) -> Image.Image:
    """An encoded image as RGB, whatever it was.

    Grey of 16 bits is scaled to 8. Transparency is dropped and the colour below it kept, as torchvision's loader does.

    Args:
        where: what to call it in an error.
        content: the file's bytes, in one of `FORMATS`.

    Raises:
        UserError: it cannot be decoded, or is larger than `MAX_SIDE`, `MAX_PIXELS` or `MAX_ASPECT` allow.
    """
    pillow = _pillow()
    try:
        with pillow.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(*image.size)
            image.load()
            return _rgb(image)
    except pillow.UnidentifiedImageError as error:
        raise UserError(f"{where}: the image cannot be decoded (it is none of {', '.join(FORMATS)})") from error
    except Exception as error:  # damaged bytes raise whatever a decoder's author did not think of
        raise UserError(f"{where}: the image cannot be decoded ({one_line(error)})") from error


@cache
def _pillow() -> ModuleType:
    from PIL import Image

    # `decode` refuses what this warns of.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return Image


def _check_size(width: int, height: int) -> None:
    """Check the size that an image's header states, before memory is taken for its pixels."""
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
        raise ValueError("its pixels are floating-point numbers, for which nothing says what white is")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours, without a warning
    return image.convert("RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, or of 32 that hold 16, rounded to 8."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > _WHITE_16:
        raise ValueError(f"its grey values run from {values.min()} to {values.max()}, beyond 16 bits")
    # White is 65,535 = 257 * 255.
    rounded = (values.astype(np.uint32) + 128) // 257
    grey: Image.Image = _pillow().fromarray(rounded.astype(np.uint8))
    return grey


def training_pixels(image: Image.Image, crops: Crops, draws: Sequence[float]) -> npt.NDArray[np.uint8]:
    """A random part of an image, resized to a square and maybe mirrored.

    Args:
        image: RGB.
        crops: what is to be done.
        draws: `DRAWS` numbers, even from 0 to below 1; nothing else is random.

    Returns:
        uint8 (size, size, 3).
    """
    from PIL import Image

    box = crop_box(*image.size, crops.scale, draws)
    pixels = np.asarray(image.crop(box).resize((crops.size, crops.size), Image.Resampling.BILINEAR))
    return pixels[:, ::-1] if draws[-1] < crops.flip else pixels


def test_pixels(image: Image.Image, crops: Crops) -> npt.NDArray[np.uint8]:
    """The centre of an image whose shorter side is brought to ``crops.resize`` pixels: uint8 (size, size, 3)."""
    return central_pixels(image, crops.resize, crops.size)


def central_pixels(image: Image.Image, resize: int, size: int) -> npt.NDArray[np.uint8]:
    """The centre of an image whose shorter side is brought to ``resize`` pixels: uint8 (size, size, 3)."""
    from PIL import Image

    width, height = image.size
    short = min(width, height)
    sides = [resize if side == short else int(resize * side / short) for side in (width, height)]
    left, top = (round((side - size) / 2) for side in sides)
    resized = image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def crop_box(width: int, height: int, scale: tuple[float, float], draws: Sequence[float]) -> tuple[int, int, int, int]:
    """A part of an image, its share of the area even in ``scale`` and its aspect even on a log scale from 3/4 to 4/3.

    Where ten tries do not fit, the largest central part with an aspect in that range (Szegedy et al. 2015, as common
    implementations have it).

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        scale: least and greatest share.
        draws: two numbers a try, then two for the place.

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
