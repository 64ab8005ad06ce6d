"""The operations of RandAugment (Cubuk et al. 2020) on whole batches: their results are Pillow's, pixel for pixel.

Every image takes the same four steps for an operation: pixels are moved, inverted and masked, looked up in a table, and
blended with another image. The numbers of an image leave those steps without effect that are not its operation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.data.augment import constant, pixels_at

OPERATIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "autocontrast": (0.0, 1.0),
        "equalize": (0.0, 1.0),
        "identity": (0.0, 1.0),
        "brightness": (0.05, 0.95),
        "colour": (0.05, 0.95),
        "contrast": (0.05, 0.95),
        "sharpness": (0.05, 0.95),
        "posterize": (4.0, 8.0),
        "rotate": (-30.0, 30.0),
        "shear_x": (-0.3, 0.3),
        "shear_y": (-0.3, 0.3),
        "translate_x": (-0.3, 0.3),
        "translate_y": (-0.3, 0.3),
        "solarize": (0.0, 256.0),
    }
)
"""Range of each operation's magnitude. The first three have no effect of it; then it is Pillow's factor, the bits that
remain, degrees, pixels sideways per pixel, a share of the side, and the first level that is inverted."""
_KINDS = {name: kind for kind, name in enumerate(OPERATIONS)}
_BLENDS = ("brightness", "colour", "contrast", "sharpness")
_LEVELS = 256
_WHITE = _LEVELS - 1
_FRACTION = 16  # bits behind the point of a coordinate in Pillow's affine maps
_ONE = 1 << _FRACTION
_GREY = (19_595, 38_470, 7_471)  # ITU-R 601-2 luma weights, times 2**16


class Operation(NamedTuple):
    """One operation for each of N images.

    Attributes:
        kinds: int64 (N,), positions in `OPERATIONS`.
        matrices: int32 (N, 2, 3), times (column, row, 1) of a pixel: column and row of the pixel to be put there, in
            units of 2**-16.
        thresholds: int32 (N,), levels from here on are inverted.
        masks: uint8 (N,), bits of a level that remain.
        factors: float32 (N,), share of the image in a blend.
    """

    kinds: Tensor
    matrices: Tensor
    thresholds: Tensor
    masks: Tensor
    factors: Tensor


def make_operation(kinds: Tensor, magnitudes: Tensor, height: int, width: int) -> Operation:
    """The numbers of operations on images of one size.

    Args:
        kinds: int64 (...), positions in `OPERATIONS`.
        magnitudes: float64 (...), in the ranges of `OPERATIONS`.
        height: of the images in pixels.
        width: of the images in pixels.

    Returns:
        The operation; its tensors begin with the dimensions of ``kinds``.
    """
    bits = _of("posterize", kinds, magnitudes, 8).int()
    blends = torch.isin(kinds, torch.tensor([_KINDS[name] for name in _BLENDS]))
    return Operation(
        kinds,
        _matrices(kinds, magnitudes, height, width),
        thresholds=_of("solarize", kinds, magnitudes, _LEVELS).ceil().int(),
        masks=(_LEVELS - (_LEVELS >> bits)).to(torch.uint8),
        factors=magnitudes.where(blends, 1.0).float(),
    )


def _of(name: str, kinds: Tensor, magnitudes: Tensor, neutral: float) -> Tensor:
    return magnitudes.where(kinds == _KINDS[name], neutral)


def _matrices(kinds: Tensor, magnitudes: Tensor, height: int, width: int) -> Tensor:
    """Rotation about the centre, shear and translation; at most one of them has an effect."""
    angles = _of("rotate", kinds, magnitudes, 0).deg2rad()
    cosine, sine = angles.cos(), angles.sin()
    middle_x, middle_y = width / 2, height / 2
    # Pillow rounds the numbers of a matrix to 2**-16, except for translations. Whole pixels are exact in both.
    moved_x = (_of("translate_x", kinds, magnitudes, 0) * width + 0.5).floor()
    moved_y = (_of("translate_y", kinds, magnitudes, 0) * height + 0.5).floor()
    # (column, row, 1) of the source, for pixels that are points.
    from_x = (cosine, -sine, middle_x - cosine * middle_x + sine * middle_y + moved_x)
    from_y = (sine, cosine, middle_y - sine * middle_x - cosine * middle_y + moved_y)
    maps = torch.stack([torch.stack(row, -1) for row in (from_x, from_y)], -2)
    maps[..., 0, 1] += _of("shear_x", kinds, magnitudes, 0)
    maps[..., 1, 0] += _of("shear_y", kinds, magnitudes, 0)
    maps[..., 2] += maps[..., :2].sum(-1) / 2  # the centre of a pixel is half a pixel away
    return (maps * _ONE + 0.5).floor().int()


def operate(images: Tensor, operation: Operation) -> Tensor:
    """Change every image by its operation.

    Args:
        images: uint8 (B, H, W, 3).
        operation: of each image.

    Returns:
        uint8 (B, H, W, 3).
    """
    moved = _moved(images, operation.matrices)
    thresholds, masks = (values[:, None, None, None] for values in (operation.thresholds, operation.masks))
    toned = moved.where(moved < thresholds, ~moved) & masks
    return _blended(_remapped(toned, operation.kinds), operation.kinds, operation.factors)


def _moved(images: Tensor, matrices: Tensor) -> Tensor:
    _, height, width, _ = images.shape
    columns = torch.arange(width, dtype=torch.int32, device=images.device)
    rows = torch.arange(height, dtype=torch.int32, device=images.device)[:, None]
    by_column, by_row, start = matrices[..., None, None].unbind(2)
    source = (by_column * columns + (by_row * rows + start)) >> _FRACTION
    from_columns, from_rows = source.unbind(1)
    columns, rows = from_columns.clamp(0, width - 1), from_rows.clamp(0, height - 1)
    outside = (columns != from_columns) | (rows != from_rows)
    return pixels_at(images, rows, columns).masked_fill_(outside[..., None], 0)


def _remapped(images: Tensor, kinds: Tensor) -> Tensor:
    """Autocontrast and equalize: new levels that depend on the histogram of each channel of an image."""
    batch, _, _, channels = images.shape
    planes = torch.arange(0, batch * channels * _LEVELS, _LEVELS, dtype=torch.int32, device=images.device)
    places = (images + planes.view(batch, 1, 1, channels)).view(-1)
    counts = torch.zeros(batch * channels * _LEVELS, dtype=torch.int32, device=images.device)
    counts.index_add_(0, places, torch.ones((), dtype=torch.int32, device=images.device).expand_as(places))
    lowest, highest = images.amin((1, 2)).int()[..., None], images.amax((1, 2)).int()[..., None]
    levels = torch.arange(_LEVELS, dtype=torch.int32, device=images.device)
    stretched, spread = _stretched(levels, lowest, highest), (kinds == _KINDS["autocontrast"])[:, None, None]
    table = stretched.where(spread & (highest > lowest), levels)
    equalized, steps = _equalized(counts.view(batch, channels, _LEVELS), highest)
    table = equalized.where((kinds == _KINDS["equalize"])[:, None, None] & (steps > 0), table)
    return table.to(torch.uint8).view(-1).index_select(0, places).view_as(images)


def _stretched(levels: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Levels (B, C, 256) that map the lowest one to 0 and the highest one to 255."""
    # In float64 and in Pillow's order, since levels often fall on whole numbers. A number divided by a tensor would be
    # multiplied by the reciprocal instead.
    spread = (highest - lowest).clamp(min=1).double()
    scale = torch.full_like(spread, _WHITE) / spread
    return (levels * scale - lowest * scale).clamp(0, _WHITE).int()


def _equalized(counts: Tensor, highest: Tensor) -> tuple[Tensor, Tensor]:
    """Levels (B, C, 256) that occur about equally often, and pixels a level (B, C, 1)."""
    below = counts.cumsum(-1, dtype=torch.int32)
    steps = (below[..., -1:] - counts.gather(-1, highest.long())) // _WHITE
    below = below - counts
    return ((below + steps // 2) // steps.clamp(min=1)).clamp(max=_WHITE), steps


def _blended(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Brightness, colour, contrast and sharpness: blends with black, grey, the mean grey and a smooth image."""
    pixels, kinds = images.short(), kinds[:, None, None, None]
    grey = _grey(images)
    count = grey[0].numel()
    mean = ((grey.sum((1, 2, 3), keepdim=True, dtype=torch.int32) + count // 2) // count).short()
    other = grey.where(kinds == _KINDS["colour"], mean * (kinds == _KINDS["contrast"]))
    other = _smooth(pixels).where(kinds == _KINDS["sharpness"], other)
    return ((pixels - other) * factors[:, None, None, None] + other).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """The luma of uint8 images (B, H, W, 3), rounded: int16 (B, H, W, 1)."""
    weighted = images * constant(_GREY, torch.int32, images.device)
    return ((weighted.sum(-1, keepdim=True, dtype=torch.int32) + 2**15) >> 16).short()


def _smooth(pixels: Tensor) -> Tensor:
    """Means of int16 pixels and their eight neighbours, with five times the pixel itself, rounded; borders are kept."""
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    boxes = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = pixels.clone()
    smooth[:, 1:-1, 1:-1] = boxes.add_(pixels[:, 1:-1, 1:-1], alpha=4).add_(6) // 13
    return smooth
