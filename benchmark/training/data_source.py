"""The data sets of one process, on its device: each is loaded and uploaded once for all cohorts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from benchmark.data import Dataset, FileDataset, load
from benchmark.data.augment import Augmentation
from benchmark.data.batch_stream import DeviceSplit, Stream, evaluation_batches, resized, upload
from benchmark.data.dataset import EncodedSplit
from benchmark.data.decoders import Decoders
from benchmark.data.filestream import FileStream, file_evaluation_batches
from benchmark.data.images import Crops
from benchmark.data.parallel import cpus
from benchmark.errors import UserError
from benchmark.runs.recipe import Recipe

EVALUATION_BATCH: Mapping[str, int] = MappingProxyType({"cpu": 500, "cuda": 1_000})
FILE_EVALUATION_BATCH: Mapping[str, int] = MappingProxyType({"cpu": 200, "cuda": 250})
"""Images per test batch by device type: large enough that a GPU takes longer to compute one than to launch it."""
_log = logging.getLogger(__name__)


class DataSource:
    """Makes the training and test batches of recipes.

    Args:
        device: of the batches.
        data_dir: folder of data sets; None for ``$KD_DATA`` or a download.
        cache_dir: folder of decoded data.
        announce: receives a message before slow work, such as decoding a data set for the first time.
        decoders: number of processes that decode images from files; None for this process's share of the CPU cores.
        processes: number of training processes that share the CPU cores.
    """

    def __init__(
        self,
        device: torch.device,
        data_dir: Path | None,
        cache_dir: Path,
        announce: Callable[[str], None] = _log.info,
        decoders: int | None = None,
        processes: int = 1,
    ) -> None:
        self.device = device
        self._data_dir = data_dir
        self._cache_dir = cache_dir
        self._announce = announce
        self._num_decoders = decoders
        self._processes = processes
        self._datasets: dict[str, Dataset | FileDataset] = {}
        self._splits: dict[tuple[str, str, int | None], DeviceSplit] = {}

    def stream(self, recipe: Recipe, seed: int) -> Stream | FileStream:
        """The training batches of a recipe and a seed.

        Raises:
            UserError: the data are missing, or the recipe does not fit them.
        """
        dataset, size, limit = self._dataset(recipe.dataset), recipe.batch_size, recipe.train_limit
        if isinstance(dataset, FileDataset):
            split = dataset.train.part(*_training_rows(recipe, len(dataset.train)))
            return FileStream(split, _crops(recipe), size, seed, self.device, self._decoders, limit)
        augmentation, data = _augmentation(recipe), self._split(dataset, "train", recipe.resize)
        return Stream(_part(data, *_training_rows(recipe, len(data))), augmentation, size, seed, self.device, limit)

    def test_batches(self, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
        """All test images, or the held-out training images if the recipe has a holdout, normalised, with their labels.

        Raises:
            UserError: the data are missing, or the recipe does not fit them.
        """
        part = "train" if recipe.holdout else "test"
        return self._images(recipe, part, *_test_rows(recipe, len(getattr(self._dataset(recipe.dataset), part))))

    def training_images(self, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
        """The training images of a recipe in the order of the data set, without augmentation, with their labels.

        Raises:
            UserError: the data are missing, or the recipe does not fit them.
        """
        dataset = self._dataset(recipe.dataset)
        count = recipe.train_limit or _training_rows(recipe, len(dataset.train))[1]
        return self._images(recipe, "train", 0, count)

    def facts(self, recipe: Recipe) -> dict[str, Any]:
        """Name and fingerprint of the data, for the record."""
        dataset = self._dataset(recipe.dataset)
        return {"name": dataset.name, "fingerprint": dataset.fingerprint, "official": dataset.official}

    def _images(self, recipe: Recipe, part: str, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images of a split in the order of the data set, normalised, with their labels."""
        dataset = self._dataset(recipe.dataset)
        if isinstance(dataset, FileDataset):
            split: EncodedSplit = getattr(dataset, part)
            size = FILE_EVALUATION_BATCH[self.device.type]
            return file_evaluation_batches(split.part(start, stop), _crops(recipe), size, self.device, self._decoders)
        augmentation, data = _augmentation(recipe), self._split(dataset, part, recipe.resize)
        return evaluation_batches(_part(data, start, stop), augmentation, EVALUATION_BATCH[self.device.type])

    @cached_property
    def _decoders(self) -> Decoders:
        cuda, count = self.device.type == "cuda", self._num_decoders
        if count is None:
            # On a CPU, decoding and training share the cores.
            count = max(1, cpus() // (self._processes * (1 if cuda else 2)))
        return Decoders(count, pin=cuda)

    def _dataset(self, name: str) -> Dataset | FileDataset:
        if name not in self._datasets:
            self._datasets[name] = load(name, self._data_dir, self._cache_dir, self._announce)
        return self._datasets[name]

    def _split(self, dataset: Dataset, part: str, size: int | None) -> DeviceSplit:
        key = dataset.name, part, size
        if key not in self._splits:
            split = getattr(dataset, part)
            self._splits[key] = upload(split if size is None else resized(split, size), self.device)
        return self._splits[key]


def _training_rows(recipe: Recipe, count: int) -> tuple[int, int]:
    if recipe.holdout >= count:
        raise UserError(f"holdout must be below {count}, the number of training images, not {recipe.holdout}")
    return 0, count - recipe.holdout


def _test_rows(recipe: Recipe, count: int) -> tuple[int, int]:
    return (_training_rows(recipe, count)[1] if recipe.holdout else 0), count


def _part(data: DeviceSplit, start: int, stop: int) -> DeviceSplit:
    return DeviceSplit(data.images[start:stop], data.labels[start:stop])


def _augmentation(recipe: Recipe) -> Augmentation:
    if recipe.crop != "pad":
        raise UserError(
            f"recipe {recipe.name}: crop={recipe.crop} needs images of different sizes, those of {recipe.dataset} "
            "have one size: set crop=pad"
        )
    return Augmentation(recipe.crop_padding, recipe.pad_mode, recipe.flip, recipe.mean, recipe.std)


def _crops(recipe: Recipe) -> Crops:
    if recipe.crop != "resized" or recipe.crop_padding:
        raise UserError(
            f"recipe {recipe.name}: the images of {recipe.dataset} have many sizes: set crop=resized and crop_padding=0"
        )
    size, scale, resize = recipe.crop_size, recipe.crop_scale, recipe.resize
    if size is None or scale is None or resize is None:
        raise UserError(f"recipe {recipe.name}: crop=resized needs crop_size, crop_scale and resize, none of them null")
    return Crops(size, (scale[0], scale[1]), resize, recipe.flip, recipe.mean, recipe.std)
