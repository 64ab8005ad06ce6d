"""Padding, random crop, horizontal flip and normalisation of whole batches, on their device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from benchmark.errors import UserError

_WHITE = 255


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of images of one size.

    Attributes:
        crop_padding: pixels added on every side before a crop of the original size; 0 means no crop.
        pad_mode: ``zero`` (black pixels) or ``reflect`` (without repeating the border).
        flip: probability of a horizontal flip.
        mean: of each channel, for pixels scaled to 0..1.
        std: of each channel, for pixels scaled to 0..1.
    """

    crop_padding: int
    pad_mode: str
    flip: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


def augment(images: Tensor, offsets: Tensor, flips: Tensor, augmentation: Augmentation) -> Tensor:
    """Pad, crop, flip and normalise a batch.

    Args:
        images: uint8 (B, H, W, C).
        offsets: int64 (B, 2), top and left of each crop in its padded image, 0 to 2 * crop_padding.
        flips: bool (B,), which crops are mirrored.
        augmentation: padding, and mean and standard deviation.

    Returns:
        float32 (B, C, H, W) in channels-last memory.

    Raises:
        UserError: the padding reflects more pixels than the image has.
    """
    return normalise(crop_and_flip(images, offsets, flips, augmentation), augmentation.mean, augmentation.std)


def crop_and_flip(images: Tensor, offsets: Tensor, flips: Tensor, augmentation: Augmentation) -> Tensor:
    """The geometric part of `augment`, in one gather and without making the padded images.

    Returns:
        uint8 (B, H, W, C).

    Raises:
        UserError: the padding reflects more pixels than the image has.
    """
    if not (augmentation.crop_padding or augmentation.flip):
        return images
    batch, height, width, _ = images.shape
    origin = offsets - augmentation.crop_padding
    rows = torch.arange(height, device=images.device) + origin[:, :1]
    columns = torch.arange(width, device=images.device).expand(batch, width)
    columns = torch.where(flips[:, None], width - 1 - columns, columns) + origin[:, 1:]
    pad = _PAD_MODES[augmentation.pad_mode]
    rows, rows_outside = pad(rows, height, augmentation.crop_padding)
    columns, columns_outside = pad(columns, width, augmentation.crop_padding)
    cropped = pixels_at(images, rows[:, :, None], columns[:, None, :])
    if rows_outside is None or columns_outside is None:
        return cropped
    return cropped.masked_fill_((rows_outside[:, :, None] | columns_outside[:, None, :])[..., None], 0)


def pixels_at(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of a batch at other positions, in one gather.

    Args:
        images: uint8 (B, H, W, C).
        rows: integers that broadcast to (B, H, W), 0 to H - 1.
        columns: integers that broadcast to (B, H, W), 0 to W - 1.

    Returns:
        uint8 (B, H, W, C).
    """
    batch, height, width, channels = images.shape
    starts = torch.arange(0, batch * height, height, device=images.device)
    return images.reshape(-1, channels)[(starts[:, None, None] + rows) * width + columns]


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale pixels to 0..1, subtract the mean and divide by the standard deviation of each channel.

    Args:
        images: uint8 (B, H, W, C).
        mean: of each channel.
        std: of each channel.

    Returns:
        float32 (B, C, H, W) in channels-last memory.
    """
    scale, shift = _affine(mean, std, images.device)
    return (images * scale).add_(shift).permute(0, 3, 1, 2)


@cache
def constant(values: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Fixed integers on a device. They are sent once: sending them with every batch would make the host wait."""
    return torch.tensor(values, dtype=dtype).to(device)


@cache
def _affine(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    # Cached on the device, since sending them with every batch would make the host wait. Inference mode is off, since
    # later callers may need gradients.
    with torch.inference_mode(mode=False):
        deviation = torch.tensor(std, dtype=torch.float64)
        scale, shift = 1 / (_WHITE * deviation), -torch.tensor(mean, dtype=torch.float64) / deviation
        return scale.to(device, torch.float32), shift.to(device, torch.float32)


def _zero(position: Tensor, size: int, _padding: int) -> tuple[Tensor, Tensor | None]:
    inside = position.clamp(0, size - 1)
    return inside, inside != position


def _reflect(position: Tensor, size: int, padding: int) -> tuple[Tensor, Tensor | None]:
    if padding >= size:
        raise UserError(f"crop_padding {padding} cannot be reflected in images of {size} pixels: choose a smaller one")
    return (size - 1) - ((size - 1) - position.abs()).abs(), None


# Each maps positions in the padded image to pixels of the image, and marks the positions that are black.
_PAD_MODES: dict[str, Callable[[Tensor, int, int], tuple[Tensor, Tensor | None]]] = {"zero": _zero, "reflect": _reflect}
