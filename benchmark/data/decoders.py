"""Processes that read and decode images while the device works."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.data.dataset import Place
from benchmark.data.images import Crops, decode, test_pixels, training_pixels
from benchmark.errors import UserError


class DecodeTask(NamedTuple):
    """One batch to be made.

    Attributes:
        places: of the encoded images.
        crops: what is done to them.
        draws: float32 (B, `images.DRAWS`), the random numbers of training crops; None for test images.
    """

    places: Sequence[Place]
    crops: Crops
    draws: npt.NDArray[np.float32] | None


class Decoders:
    """Processes that live as long as this object, and no longer than this process.

    They are spawned, not forked: a forked one would keep the locks and the pipes of this process open after its death.

    Args:
        count: processes; with 0 this one decodes as batches are asked for.
        pin: whether batches are put into memory from which a GPU copies by itself.
    """

    def __init__(self, count: int, *, pin: bool) -> None:
        self._queue = _Queue()
        self._turn = 0
        self._loader: DataLoader[Tensor | str] = DataLoader(
            _Decoder(),
            batch_size=None,
            sampler=self._queue,
            num_workers=count,
            multiprocessing_context="spawn" if count else None,
            persistent_workers=count > 0,
            worker_init_fn=_start,
            pin_memory=pin,
            generator=torch.Generator(),  # of its own, since the loader would draw from the global one
        )

    def run(self, tasks: Iterable[DecodeTask]) -> Iterator[Tensor]:
        """The images of each task in turn: uint8 (B, S, S, 3) on the host. It ends what an earlier call has begun.

        Raises:
            UserError: an image cannot be read or decoded.
        """
        self._turn += 1
        turn, self._queue.tasks = self._turn, tasks
        for images in self._loader:
            if isinstance(images, str):
                raise UserError(images)
            yield images
            if turn != self._turn:
                raise RuntimeError("these images were given up when others were asked for")


class _Queue:
    """What the loader samples: the tasks of the moment."""

    tasks: Iterable[DecodeTask] = ()

    def __iter__(self) -> Iterator[DecodeTask]:
        return iter(self.tasks)


class _Decoder(Dataset[Tensor | str]):
    """From a task to its images, or to what is wrong with them: an exception would bring a traceback in its text."""

    def __getitem__(self, task: DecodeTask) -> Tensor | str:
        size = task.crops.size
        batch = np.empty((len(task.places), size, size, 3), dtype=np.uint8)
        draws = None if task.draws is None else task.draws.tolist()
        try:
            for row, place in enumerate(task.places):
                image = decode(place.name, _read(place))
                batch[row] = (
                    test_pixels(image, task.crops) if draws is None else training_pixels(image, task.crops, draws[row])
                )
        except UserError as error:
            return str(error)
        return torch.from_numpy(batch)


def _read(place: Place) -> bytes:
    try:
        with open(place.path, "rb") as file:  # noqa: PTH123 - a path object takes longer to make than the file to open
            file.seek(place.start)
            content = file.read(place.length)
    except OSError as error:
        raise UserError(f"{place.name}: cannot be read ({error.strerror}): has it been moved?") from error
    if len(content) < place.length:
        raise UserError(f"{place.name}: shorter than when it was listed: delete data/ in the cache folder")
    return content


def _start(_number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks for images says when to stop
    warnings.simplefilter("ignore")  # of odd metadata in images that decode all the same
