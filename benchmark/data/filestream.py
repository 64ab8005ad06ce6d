"""The batch stream of images that stay in their files until they are needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.data.augment import normalise
from benchmark.data.dataset import EncodedSplit
from benchmark.data.decoders import Decoders, DecodeTask
from benchmark.data.images import DRAWS, Crops
from benchmark.data.stream import Sample, check_sizes, epoch_seed, send


class _Draws(NamedTuple):
    """The random numbers of one epoch, in the order of its samples."""

    permutation: Tensor
    crops: Tensor


class FileStream:
    """Shuffled training crops of one split; what `Stream` is for images on the device.

    The batches are a function of the arguments and the epoch: not of the number of decoders, of where the images lie
    or of the global random state.
    """

    def __init__(
        self,
        split: EncodedSplit,
        crops: Crops,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        decoders: Decoders,
        train_limit: int | None = None,
    ) -> None:
        """Reads no image yet.

        Args:
            split: the images.
            crops: what is done to them.
            batch_size: samples a batch; the last one of an epoch holds the rest.
            seed: of the run.
            device: where the batches go.
            decoders: make them.
            train_limit: keep the first so many rows of the canonical order; None keeps all.

        Raises:
            UserError: ``train_limit`` or ``batch_size`` is out of range.
        """
        self.num_samples = check_sizes(len(split), train_limit, batch_size)
        self._split = split.part(0, self.num_samples)
        self._crops = crops
        self._batch_size = batch_size
        self._seed = seed
        self._device = torch.device(device)
        self._decoders = decoders
        self._labels = torch.tensor(self._split.labels).to(self._device)

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(self.num_samples / self._batch_size)

    @property
    def labels(self) -> Tensor:
        """Labels of all its samples by index: int64 (num_samples,)."""
        return self._labels

    def epoch(self, epoch: int) -> Iterator[Sample]:
        """All samples once, in an order and with crops and flips of this epoch's own.

        Args:
            epoch: counted from 1.

        Raises:
            UserError: an image cannot be read or decoded.
        """
        draws, split, crops = self._draw(epoch), self._split, self._crops
        parts = zip(*(torch.split(values, self._batch_size) for values in draws), strict=True)
        # Tasks that knew this stream would close a ring with the decoders, whose processes would then end slowly.
        tasks = (DecodeTask(split.places(rows.numpy()), crops, numbers.numpy()) for rows, numbers in parts)
        order = torch.split(send(draws.permutation, self._device), self._batch_size)
        for indices, images in zip(order, _ahead(self._decoders.run(tasks), self._device), strict=True):
            yield Sample(normalise(images, crops.mean, crops.std), self._labels[indices], indices)

    def _draw(self, epoch: int) -> _Draws:
        generator = torch.Generator().manual_seed(epoch_seed(self._seed, epoch))
        return _Draws(
            permutation=torch.randperm(self.num_samples, generator=generator),
            crops=torch.rand((self.num_samples, DRAWS), generator=generator),
        )


def file_evaluation_batches(
    split: EncodedSplit, crops: Crops, batch_size: int, device: torch.device, decoders: Decoders
) -> Iterator[tuple[Tensor, Tensor]]:
    """The centres of all images in canonical order, normalised, with their labels; the last batch may be smaller.

    Raises:
        UserError: an image cannot be read or decoded.
    """
    rows = torch.split(torch.arange(len(split)), batch_size)
    tasks = (DecodeTask(split.places(part.numpy()), crops, None) for part in rows)
    labels = torch.split(torch.tensor(split.labels).to(device), batch_size)
    for targets, images in zip(labels, _ahead(decoders.run(tasks), device), strict=True):
        yield normalise(images, crops.mean, crops.std), targets


def _ahead(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Each batch on the device, sent there while the one before it is in use."""
    copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    waiting: tuple[Tensor, torch.cuda.Event | None] | None = None
    for batch in batches:
        coming = _copy(batch, device, copies)
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = coming
    if waiting is not None:
        yield _arrived(*waiting)


def _copy(
    batch: Tensor, device: torch.device, copies: torch.cuda.Stream | None
) -> tuple[Tensor, torch.cuda.Event | None]:
    if copies is None:
        return batch.to(device), None
    with torch.cuda.stream(copies):
        return batch.to(device, non_blocking=True), copies.record_event()


def _arrived(batch: Tensor, copied: torch.cuda.Event | None) -> Tensor:
    if copied is not None:
        current = torch.cuda.current_stream(batch.device)
        current.wait_event(copied)
        batch.record_stream(current)  # so that the allocator does not hand its memory to the next copy too early
    return batch
