"""The strong view of training images: crop, flip, RandAugment and cutout of whole batches, on their device.

Operations and magnitudes are those of multi-level logit distillation (Jin et al. 2023): two operations, drawn with
replacement from 14 and each with a magnitude of its range, then cutout (DeVries and Taylor 2017) of a filled square.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.data.augment import Augmentation, constant, crop_and_flip, normalise
from benchmark.data.rand_augment import OPERATIONS, Operation, make_operation, operate

SLOTS = 2
"""Operations per image."""
_CUTOUT = 0.5  # largest side of the square, as a share of the image's width
_FILL = (125, 123, 114)  # about the mean of natural images


class StrongDraws(NamedTuple):
    """The random numbers of the strong views of N images.

    Attributes:
        offsets: int64 (N, 2), as in `augment`.
        flips: bool (N,).
        boxes: int32 (N, 4), as in `cut_out`.
        kinds: int64 (N, `SLOTS`). This one and the others are those of `Operation`, with the slot as second dimension.
        matrices: int32 (N, `SLOTS`, 2, 3).
        thresholds, masks, factors: (N, `SLOTS`).
    """

    offsets: Tensor
    flips: Tensor
    boxes: Tensor
    kinds: Tensor
    matrices: Tensor
    thresholds: Tensor
    masks: Tensor
    factors: Tensor

    def operation(self, slot: int) -> Operation:
        """The first operation of every image, or the second."""
        return Operation(*(values[:, slot] for values in self[3:]))


def strong_view(images: Tensor, draws: StrongDraws, augmentation: Augmentation) -> Tensor:
    """Crop, flip, change, cut out and normalise a batch.

    Args:
        images: uint8 (B, H, W, 3).
        draws: of these images.
        augmentation: of the weak view; its crops and flips are drawn anew.

    Returns:
        float32 (B, 3, H, W) in channels-last memory.

    Raises:
        UserError: the padding reflects more pixels than the image has.
    """
    images = crop_and_flip(images, draws.offsets, draws.flips, augmentation)
    for slot in range(SLOTS):
        images = operate(images, draws.operation(slot))
    return normalise(cut_out(images, draws.boxes), augmentation.mean, augmentation.std)


def draw_strong_views(
    count: int, height: int, width: int, augmentation: Augmentation, generator: torch.Generator
) -> StrongDraws:
    """Draw the numbers of ``count`` images on the CPU, so that every device makes the same views."""
    offsets = torch.randint(2 * augmentation.crop_padding + 1, (count, 2), generator=generator)
    flips = torch.rand(count, generator=generator) < augmentation.flip
    kinds = torch.randint(len(OPERATIONS), (count, SLOTS), generator=generator)
    shares = torch.rand((count, SLOTS), generator=generator, dtype=torch.float64)
    low, high = torch.tensor(list(OPERATIONS.values()), dtype=torch.float64)[kinds].unbind(-1)
    boxes = cutout_boxes(torch.rand((count, 3), generator=generator, dtype=torch.float64), height, width)
    return StrongDraws(offsets, flips, boxes, *make_operation(kinds, low + (high - low) * shares, height, width))


def cutout_boxes(numbers: Tensor, height: int, width: int) -> Tensor:
    """Squares whose centres lie in the image, each up to half of the image's width wide.

    Args:
        numbers: float64 (N, 3), uniform on [0, 1): the side and the centre's column and row.
        height: of the images in pixels.
        width: of the images in pixels.

    Returns:
        int32 (N, 4), first column and row, last column and row; the last ones may lie outside of the image by a pixel.
    """
    sizes = torch.tensor([width, height], dtype=torch.float64)
    sides, centres = _CUTOUT * width * numbers[:, :1], sizes * numbers[:, 1:]
    first = (centres - sides / 2).clamp(min=0).floor()
    return torch.cat((first, (first + sides).minimum(sizes).floor()), dim=1).int()


def cut_out(images: Tensor, boxes: Tensor) -> Tensor:
    """Fill a box of every image.

    Args:
        images: uint8 (B, H, W, 3).
        boxes: int32 (B, 4), as `cutout_boxes` returns.

    Returns:
        uint8 (B, H, W, 3).
    """
    left, top, right, bottom = boxes[..., None].unbind(1)
    rows, columns = (torch.arange(size, device=images.device) for size in images.shape[1:3])
    inside = ((columns >= left) & (columns <= right))[:, None, :] & ((rows >= top) & (rows <= bottom))[:, :, None]
    return torch.where(inside[..., None], constant(_FILL, torch.uint8, images.device), images)
