"""The batch stream: the batches of an epoch are a function of data, augmentation, batch size, seed and epoch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.data.augment import Augmentation, augment, normalise
from benchmark.data.dataset import Split
from benchmark.data.strong_view import StrongDraws, draw_strong_views, strong_view
from benchmark.errors import UserError

_RESIZED_AT_ONCE = 500
_HALF = 0.501
_PIXELS_AT_ONCE = 2**19  # of strong views: 512 images of CIFAR, so that several batches share the launches


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
        strong: float32 (B, C, H, W), the strong view of the same images, as `images`; None where it was not asked for.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    strong: Tensor | None = None


class Draws(NamedTuple):
    """The random numbers of one epoch, in the order of its samples.

    Attributes:
        permutation: int64 (N,), rows of the split.
        offsets: int64 (N, 2), as in `augment`.
        flips: bool (N,).
    """

    permutation: Tensor
    offsets: Tensor
    flips: Tensor


def upload(split: Split, device: torch.device | str) -> DeviceSplit:
    """Copy a split to the device as uint8; several streams can share the result."""
    return DeviceSplit(torch.tensor(split.images).to(device), torch.tensor(split.labels).to(device))


def resized(split: Split, size: int) -> Split:
    """Resize the images to squares of ``size`` pixels: bilinear with antialiasing, rounded, halves up.

    This runs on the CPU, so that all devices see the same pixels.
    """
    if split.images.shape[1:3] == (size, size):
        return split
    chunks = (split.images[start : start + _RESIZED_AT_ONCE] for start in range(0, len(split), _RESIZED_AT_ONCE))
    return Split(np.concatenate([_resize(torch.tensor(chunk), size).numpy() for chunk in chunks]), split.labels)


def _resize(images: Tensor, size: int) -> Tensor:
    planes = images.permute(0, 3, 1, 2).float()
    scaled = functional.interpolate(planes, (size, size), mode="bilinear", align_corners=False, antialias=True)
    # Exact halves are common in small images. The margin rounds all of them up, whatever the processor's last bit is.
    return (scaled + _HALF).floor().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class BaseStream:
    """The sizes of a stream of batches, on images in memory or in files.

    Args:
        available: samples of the split.
        batch_size: samples a batch; the last batch of an epoch holds the rest. A rest of one sample joins the batch
            before it, since batch normalisation cannot normalise a single value.
        seed: of the run.
        device: receives the batches.
        train_limit: number of samples to keep, from the first in canonical order; None keeps all.

    Attributes:
        num_samples: samples of an epoch.

    Raises:
        UserError: ``train_limit`` is out of range.
    """

    def __init__(
        self, available: int, batch_size: int, seed: int, device: torch.device | str, train_limit: int | None
    ) -> None:
        self.num_samples = available if train_limit is None else train_limit
        if not 1 <= self.num_samples <= available:
            raise UserError(f"train_limit must be from 1 to {available}, not {train_limit}")
        self._batch_size = batch_size
        self._seed = seed
        self._device = torch.device(device)

    def __len__(self) -> int:
        """Batches an epoch."""
        joined = self.num_samples > 1 and self.num_samples % self._batch_size == 1
        return math.ceil(self.num_samples / self._batch_size) - joined

    def _sizes(self) -> list[int]:
        """Samples of each batch."""
        others = [self._batch_size] * (len(self) - 1)
        return [*others, self.num_samples - sum(others)]

    def _generator(self, epoch: int, purpose: str = "batch stream") -> torch.Generator:
        """Random numbers of an epoch, counted from 1."""
        digest = hashlib.sha256(f"{purpose} {self._seed} {epoch}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


class Stream(BaseStream):
    """Shuffled, augmented batches of one split.

    The global random state is neither read nor changed, and random numbers are drawn on the CPU, so that every device
    sees the same batches.

    Args:
        split: the images, on ``device``.
        augmentation: of the images.
        batch_size: as in `BaseStream`.
        seed: as in `BaseStream`.
        device: where the batches are made.
        train_limit: as in `BaseStream`.

    Raises:
        UserError: ``train_limit`` is out of range.
    """

    def __init__(
        self,
        split: DeviceSplit,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        train_limit: int | None = None,
    ) -> None:
        super().__init__(len(split), batch_size, seed, device, train_limit)
        self._data = DeviceSplit(split.images[: self.num_samples], split.labels[: self.num_samples])
        self._augmentation = augmentation

    @property
    def labels(self) -> Tensor:
        """Labels of all samples by index: int64 (num_samples,)."""
        return self._data.labels

    def epoch(self, epoch: int, *, strong: bool = False) -> Iterator[Sample]:
        """Yield all samples once, in the order and with the crops and flips of the epoch.

        Args:
            epoch: counted from 1.
            strong: whether samples have a strong view too; all else is the same with and without it.
        """
        draws = Draws(*(send(values, self._device) for values in self.draws(epoch)))
        views = self._strong_views(epoch, draws.permutation) if strong else repeat(None, len(self))
        sizes = self._sizes()
        for batch in zip(views, *(torch.split(values, sizes) for values in draws), strict=True):
            view, indices, offsets, flips = batch
            images = augment(self._data.images[indices], offsets, flips, self._augmentation)
            yield Sample(images, self._data.labels[indices], indices, view)

    def _strong_views(self, epoch: int, order: Tensor) -> Iterator[Tensor]:
        """The strong views of each batch; those of several small batches are made together."""
        draws = (order, *(send(values, self._device) for values in self.strong_draws(epoch)))
        sizes, (height, width) = self._sizes(), self._data.images.shape[1:3]
        count = max(1, _PIXELS_AT_ONCE // (self._batch_size * height * width))
        groups = [sizes[start : start + count] for start in range(0, len(sizes), count)]
        totals = [sum(group) for group in groups]
        for group, indices, *part in zip(groups, *(torch.split(values, totals) for values in draws), strict=True):
            images = strong_view(self._data.images[indices], StrongDraws(*part), self._augmentation)
            yield from torch.split(images, group)

    def draws(self, epoch: int) -> Draws:
        """The random numbers of an epoch, counted from 1; drawn on the CPU."""
        generator = self._generator(epoch)
        count, sides = self.num_samples, 2 * self._augmentation.crop_padding + 1
        return Draws(
            permutation=torch.randperm(count, generator=generator),
            offsets=torch.randint(sides, (count, 2), generator=generator),
            flips=torch.rand(count, generator=generator) < self._augmentation.flip,
        )

    def strong_draws(self, epoch: int) -> StrongDraws:
        """The random numbers of the strong views of an epoch, in the order of its samples; drawn on the CPU.

        They come from a generator that draws nothing else.
        """
        height, width = self._data.images.shape[1:3]
        generator = self._generator(epoch, "strong view")
        return draw_strong_views(self.num_samples, height, width, self._augmentation, generator)


def evaluation_batches(
    data: DeviceSplit, augmentation: Augmentation, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all images in canonical order, only normalised, with their labels; the last batch may be smaller."""
    for images, targets in zip(torch.split(data.images, batch_size), torch.split(data.labels, batch_size), strict=True):
        yield normalise(images, augmentation.mean, augmentation.std), targets


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device without waiting for the copy."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
