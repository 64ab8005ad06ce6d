"""The batch stream of images that are read from files and decoded for each batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.data.augment import Augmentation, normalise
from benchmark.data.batch_stream import BaseStream, Sample, send
from benchmark.data.dataset import EncodedSplit
from benchmark.data.decoders import Decoders, DecodeTask
from benchmark.data.images import DRAWS, Crops
from benchmark.data.strong_view import StrongDraws, draw_strong_views, strong_view


class FileDraws(NamedTuple):
    """The random numbers of one epoch, in the order of its samples.

    Attributes:
        permutation: int64 (N,), rows of the split.
        crops: float32 (N, `DRAWS`).
    """

    permutation: Tensor
    crops: Tensor


class FileStrongDraws(NamedTuple):
    """The random numbers of the strong views of one epoch, in the order of its samples.

    Attributes:
        crops: float32 (N, `DRAWS`).
        views: what is done to the crops; it neither moves nor mirrors them.
    """

    crops: Tensor
    views: StrongDraws


class FileStream(BaseStream):
    """Shuffled training crops of one split: the counterpart of `Stream` for images in files.

    The batches do not depend on the number of decoders, on the place of the files or on the global random state.

    Args:
        split: the images.
        crops: how they are cropped and resized.
        batch_size: as in `BaseStream`.
        seed: as in `BaseStream`.
        device: as in `BaseStream`.
        decoders: read and decode the images.
        train_limit: as in `BaseStream`.

    Attributes:
        labels: labels of all samples by index: int64 (num_samples,).

    Raises:
        UserError: ``train_limit`` or ``batch_size`` is out of range.
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
        super().__init__(len(split), batch_size, seed, device, train_limit)
        self._split = split.part(0, self.num_samples)
        self._crops = crops
        self._decoders = decoders
        self._unchanged = Augmentation(0, "zero", 0.0, crops.mean, crops.std)  # the decoders crop and flip
        self.labels = torch.tensor(self._split.labels).to(self._device)

    def epoch(self, epoch: int, *, strong: bool = False) -> Iterator[Sample]:
        """Yield all samples once, in the order and with the crops and flips of the epoch.

        Args:
            epoch: counted from 1.
            strong: whether samples have a strong view too; all else is the same with and without it.

        Raises:
            UserError: an image cannot be read or decoded.
        """
        if strong:
            yield from self._both_views(epoch)
            return
        draws, crops = self.draws(epoch), self._crops
        for indices, images in self._decoded(draws.permutation, draws.crops[:, None]):
            yield Sample(normalise(images, crops.mean, crops.std), self.labels[indices], indices)

    def _both_views(self, epoch: int) -> Iterator[Sample]:
        draws, strong, crops = self.draws(epoch), self.strong_draws(epoch), self._crops
        views = zip(*(torch.split(send(values, self._device), self._sizes()) for values in strong.views), strict=True)
        both = torch.stack((draws.crops, strong.crops), dim=1)
        for (indices, images), view in zip(self._decoded(draws.permutation, both), views, strict=True):
            weak, other = images.view(-1, 2, *images.shape[1:]).unbind(1)
            yield Sample(
                normalise(weak, crops.mean, crops.std),
                self.labels[indices],
                indices,
                strong_view(other, StrongDraws(*view), self._unchanged),
            )

    def _decoded(self, order: Tensor, numbers: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows (B,) and crops (B * V, S, S, 3) of each batch on the device; views of an image follow each other.

        Args:
            order: int64 (N,), rows of the split.
            numbers: float32 (N, V, `DRAWS`), of each crop.
        """
        split, crops, sizes = self._split, self._crops, self._sizes()
        repeated = order[:, None].expand(numbers.shape[:2])
        parts = zip(torch.split(repeated, sizes), torch.split(numbers, sizes), strict=True)
        # The generator does not refer to this stream: a reference cycle with the decoders would delay their end.
        tasks = (
            DecodeTask(split.locations(rows.flatten().numpy()), crops, part.flatten(0, 1).numpy())
            for rows, part in parts
        )
        indices = torch.split(send(order, self._device), sizes)
        return zip(indices, _ahead(self._decoders.run(tasks), self._device), strict=True)

    def draws(self, epoch: int) -> FileDraws:
        """The random numbers of an epoch, counted from 1; drawn on the CPU."""
        generator = self._generator(epoch)
        return FileDraws(
            permutation=torch.randperm(self.num_samples, generator=generator),
            crops=torch.rand((self.num_samples, DRAWS), generator=generator),
        )

    def strong_draws(self, epoch: int) -> FileStrongDraws:
        """The random numbers of the strong views of an epoch; drawn on the CPU.

        They come from a generator that draws nothing else.
        """
        generator, size = self._generator(epoch, "strong view"), self._crops.size
        return FileStrongDraws(
            crops=torch.rand((self.num_samples, DRAWS), generator=generator),
            views=draw_strong_views(self.num_samples, size, size, self._unchanged, generator),
        )


def file_evaluation_batches(
    split: EncodedSplit, crops: Crops, batch_size: int, device: torch.device, decoders: Decoders
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the centres of all images in canonical order, normalised, with labels; the last batch may be smaller.

    Raises:
        UserError: an image cannot be read or decoded.
    """
    rows = torch.split(torch.arange(len(split)), batch_size)
    tasks = (DecodeTask(split.locations(part.numpy()), crops, None) for part in rows)
    labels = torch.split(torch.tensor(split.labels).to(device), batch_size)
    for targets, images in zip(labels, _ahead(decoders.run(tasks), device), strict=True):
        yield normalise(images, crops.mean, crops.std), targets


def _ahead(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield each batch on the device; it is copied there while the batch before it is in use."""
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
        batch.record_stream(current)  # else the allocator could give its memory to the next copy too early
    return batch
