"""The batch stream: every epoch's batches as a function of data, batch size, seed and epoch alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.data.augment import Augmentation, augment, normalise
from benchmark.data.dataset import Split
from benchmark.errors import UserError

_RESIZED_AT_ONCE = 500
_HALF = 0.501


@dataclass(frozen=True, eq=False)
class DeviceSplit:
    """A split on the device; several streams may share one.

    Attributes:
        images: uint8 (N, H, W, C).
        labels: int64 (N,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Sample(NamedTuple):
    """One batch.

    Attributes:
        images: float32 (B, C, H, W), augmented and normalised, channels-last memory.
        targets: int64 (B,), labels.
        indices: int64 (B,), rows of the split in canonical order.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


class _Draws(NamedTuple):
    """The random numbers of one epoch, in the order of its samples."""

    permutation: Tensor
    offsets: Tensor
    flips: Tensor


def upload(split: Split, device: torch.device | str) -> DeviceSplit:
    """Copies a split to the device as uint8, once for all streams that are to read it."""
    return DeviceSplit(torch.tensor(split.images).to(device), torch.tensor(split.labels).to(device))


def resized(split: Split, size: int) -> Split:
    """A split whose images are resized to squares of ``size`` pixels: bilinear with antialiasing, rounded, halves up.

    Done on the CPU whatever the device, so that all devices see the same pixels.
    """
    if split.images.shape[1:3] == (size, size):
        return split
    chunks = (split.images[start : start + _RESIZED_AT_ONCE] for start in range(0, len(split), _RESIZED_AT_ONCE))
    return Split(np.concatenate([_resize(torch.tensor(chunk), size).numpy() for chunk in chunks]), split.labels)


def _resize(images: Tensor, size: int) -> Tensor:
    planes = images.permute(0, 3, 1, 2).float()
    scaled = functional.interpolate(planes, (size, size), mode="bilinear", align_corners=False, antialias=True)
    # Halves are common where pixels are few: all go up, whatever a processor's last bit says.
    return (scaled + _HALF).floor().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class Stream:
    """Shuffled, augmented batches of one split.

    Nothing else influences them: the global random state is neither read nor changed, and random numbers are drawn on
    the CPU, so that every device sees the same batches.
    """

    def __init__(
        self,
        split: Split | DeviceSplit,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        train_limit: int | None = None,
    ) -> None:
        """Uploads the split unless it has been.

        Args:
            split: the images; a `DeviceSplit` must lie on ``device``.
            augmentation: what is done to them.
            batch_size: samples a batch; the last one of an epoch holds the rest.
            seed: of the run.
            device: where the batches are made.
            train_limit: keep the first so many rows of the canonical order; None keeps all.

        Raises:
            UserError: ``train_limit`` or ``batch_size`` is out of range.
        """
        limit = check_sizes(len(split), train_limit, batch_size)
        data = split if isinstance(split, DeviceSplit) else upload(split, device)
        self.num_samples = limit
        self._data = DeviceSplit(data.images[:limit], data.labels[:limit])
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._seed = seed
        self._device = torch.device(device)

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(self.num_samples / self._batch_size)

    @property
    def labels(self) -> Tensor:
        """Labels of all its samples by index: int64 (num_samples,)."""
        return self._data.labels

    def epoch(self, epoch: int) -> Iterator[Sample]:
        """All samples once, in an order and with crops and flips of this epoch's own.

        Args:
            epoch: counted from 1.
        """
        draws = _Draws(*(send(values, self._device) for values in self._draw(epoch)))
        for batch in zip(*(torch.split(values, self._batch_size) for values in draws), strict=True):
            indices, offsets, flips = batch
            images = augment(self._data.images[indices], offsets, flips, self._augmentation)
            yield Sample(images, self._data.labels[indices], indices)

    def _draw(self, epoch: int) -> _Draws:
        generator = torch.Generator().manual_seed(epoch_seed(self._seed, epoch))
        count, sides = self.num_samples, 2 * self._augmentation.crop_padding + 1
        return _Draws(
            permutation=torch.randperm(count, generator=generator),
            offsets=torch.randint(sides, (count, 2), generator=generator),
            flips=torch.rand(count, generator=generator) < self._augmentation.flip,
        )


def evaluation_batches(
    data: DeviceSplit, augmentation: Augmentation, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images in canonical order, normalised only, with their labels; the last batch may be smaller."""
    for images, targets in zip(torch.split(data.images, batch_size), torch.split(data.labels, batch_size), strict=True):
        yield normalise(images, augmentation.mean, augmentation.std), targets


def check_sizes(available: int, train_limit: int | None, batch_size: int) -> int:
    """How many samples a stream has.

    Raises:
        UserError: ``train_limit`` or ``batch_size`` is out of range.
    """
    limit = available if train_limit is None else train_limit
    if not 1 <= limit <= available:
        raise UserError(f"train_limit must be from 1 to {available}, not {limit}")
    if batch_size < 1:
        raise UserError(f"batch_size must be 1 or more, not {batch_size}")
    return limit


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of an epoch's random numbers, given the run's seed and the epoch counted from 1."""
    digest = hashlib.sha256(f"batch stream {seed} {epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def send(values: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on the device, without waiting for the copy."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
