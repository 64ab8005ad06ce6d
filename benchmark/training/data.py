"""The data sets of one process, on its device: each loaded and uploaded once, whatever cohorts it trains."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.data import Dataset, load
from benchmark.data.augment import Augmentation
from benchmark.data.stream import DeviceSplit, Stream, evaluation_batches, upload
from benchmark.jobs import Recipe

EVALUATION_BATCH = 500
_log = logging.getLogger(__name__)


class Source:
    """Batches for recipes.

    Args:
        device: where they are made.
        data_dir: where data sets lie; None for ``$KD_DATA`` or a download.
        cache_dir: where decoded data are kept.
        announce: told what takes time, such as decoding a data set for the first time.
    """

    def __init__(
        self,
        device: torch.device,
        data_dir: Path | None,
        cache_dir: Path,
        announce: Callable[[str], None] = _log.info,
    ) -> None:
        self.device = device
        self._data_dir = data_dir
        self._cache_dir = cache_dir
        self._announce = announce
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[tuple[str, str], DeviceSplit] = {}

    def stream(self, recipe: Recipe, seed: int) -> Stream:
        """The training batches of a recipe and a seed."""
        split = self._split(recipe.dataset, "train")
        return Stream(split, _augmentation(recipe), recipe.batch_size, seed, self.device, recipe.train_limit)

    def test_batches(self, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
        """All test images, normalised, with their labels."""
        return evaluation_batches(self._split(recipe.dataset, "test"), _augmentation(recipe), EVALUATION_BATCH)

    def num_classes(self, recipe: Recipe) -> int:
        """Classes of the recipe's data set."""
        return self._dataset(recipe.dataset).num_classes

    def facts(self, recipe: Recipe) -> dict[str, Any]:
        """Which data these are, for the record."""
        dataset = self._dataset(recipe.dataset)
        return {"name": dataset.name, "fingerprint": dataset.fingerprint, "official": dataset.official}

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            self._datasets[name] = load(name, self._data_dir, self._cache_dir, self._announce)
        return self._datasets[name]

    def _split(self, name: str, part: str) -> DeviceSplit:
        if (name, part) not in self._splits:
            self._splits[name, part] = upload(getattr(self._dataset(name), part), self.device)
        return self._splits[name, part]


def _augmentation(recipe: Recipe) -> Augmentation:
    return Augmentation(recipe.crop_padding, recipe.pad_mode, recipe.flip, recipe.mean, recipe.std)
