"""Worker processes that read and decode images ahead of the training loop."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.data.dataset import ImageLocation
from benchmark.data.images import Crops, central_pixels, decode, training_pixels
from benchmark.errors import UserError


class DecodeTask(NamedTuple):
    """A batch to decode.

    Attributes:
        locations: of the encoded images.
        crops: how they are cropped and resized.
        draws: float32 (B, `images.DRAWS`), the random numbers of training crops; None for test images.
    """

    locations: Sequence[ImageLocation]
    crops: Crops
    draws: npt.NDArray[np.float32] | None


class Decoders:
    """Worker processes that end with this object or with this process.

    They are spawned: a forked one would keep the locks and the pipes of this process open after its death.

    Args:
        count: number of workers; with 0 this process decodes each batch when it is needed.
        pin: whether batches are put into pinned memory.
    """

    def __init__(self, count: int, *, pin: bool) -> None:
        self._queue = _Queue()
        self._loader: DataLoader[Tensor | str] = DataLoader(
            _Decoder(),
            batch_size=None,
            sampler=self._queue,
            num_workers=count,
            multiprocessing_context="spawn" if count else None,
            persistent_workers=count > 0,
            worker_init_fn=_start,
            pin_memory=pin,
            generator=torch.Generator(),  # without one, the loader draws from the global generator
        )

    def run(self, tasks: Iterable[DecodeTask]) -> Iterator[Tensor]:
        """Yield the images of each task, uint8 (B, S, S, 3) on the host. A further call ends an earlier one.

        Raises:
            UserError: an image cannot be read or decoded.
        """
        self._queue.tasks = tasks
        for images in self._loader:
            if isinstance(images, str):
                raise UserError(images)
            yield images


class _Queue:
    """The sampler of the loader: the current tasks."""

    tasks: Iterable[DecodeTask] = ()

    def __iter__(self) -> Iterator[DecodeTask]:
        return iter(self.tasks)


class _Decoder(Dataset[Tensor | str]):
    """Maps a task to its images, or to an error message: the loader would add a traceback to an exception's text."""

    def __getitem__(self, task: DecodeTask) -> Tensor | str:
        crops = task.crops
        batch = np.empty((len(task.locations), crops.size, crops.size, 3), dtype=np.uint8)
        draws = None if task.draws is None else task.draws.tolist()
        try:
            # Two crops of one image, for two views, follow each other: it is decoded once.
            for location, places in groupby(enumerate(task.locations), key=itemgetter(1)):
                image = decode(location.name, _read(location))
                for row, _ in places:
                    if draws is None:
                        batch[row] = central_pixels(image, crops.resize, crops.size)
                    else:
                        batch[row] = training_pixels(image, crops, draws[row])
        except UserError as error:
            return str(error)
        return torch.from_numpy(batch)


def _read(location: ImageLocation) -> bytes:
    try:
        with open(location.path, "rb") as file:  # noqa: PTH123 - making a path object takes longer than opening a file
            file.seek(location.start)
            content = file.read(location.length)
    except OSError as error:
        raise UserError(f"{location.name}: cannot be read ({error.strerror}): has it been moved?") from error
    if len(content) < location.length:
        raise UserError(f"{location.name}: the file is too short: delete data/ in the cache folder")
    return content


def _start(_number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends its workers
    warnings.simplefilter("ignore")  # about odd metadata in images that can be decoded
