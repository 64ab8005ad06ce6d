"""The data pipeline of published trainings: PIL images, one at a time, in the worker processes of a DataLoader."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmark.bench import madeup
from benchmark.data.dataset import Split
from benchmark.devices import cores
from benchmark.runs.recipe import Recipe

WORKERS = 8
"""At most so many worker processes, as the published trainings ask for; no more than there are cores."""
_PADDING = {"zero": "constant", "reflect": "reflect"}


class Images(Dataset[tuple[Any, ...]]):
    """Images with label and index, and the negatives of contrastive distillation if asked for.

    Args:
        split: the images.
        transform: of each PIL image.
        negatives: samples of other classes to draw for each image.
    """

    def __init__(self, split: Split, transform: transforms.Compose, negatives: int) -> None:
        self._split = split
        self._transform = transform
        self._negatives = negatives
        classes = np.unique(split.labels) if negatives else ()
        self._others: dict[int, npt.NDArray[np.int64]] = {
            int(label): np.flatnonzero(split.labels != label) for label in classes
        }

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        image = self._transform(Image.fromarray(self._split.images[index]))
        target = int(self._split.labels[index])
        if not self._negatives:
            return image, target, index
        others = self._others[target]
        # The global generator, as published: the DataLoader seeds it in every worker.
        drawn = np.random.choice(others, self._negatives, replace=self._negatives > len(others))  # noqa: NPY002
        return image, target, index, np.hstack([np.asarray([index]), drawn])


def training_split(recipe: Recipe) -> Split:
    """The recipe's training images."""
    train = madeup.dataset(recipe.dataset).train
    return Split(train.images[: recipe.train_limit], train.labels[: recipe.train_limit])


def batches(recipe: Recipe, split: Split, negatives: int, device: torch.device) -> Iterator[list[Tensor]]:
    """Epoch after epoch of shuffled, augmented batches: images, targets, indices and perhaps contrasted indices."""
    transform = transforms.Compose(
        [
            transforms.RandomCrop(
                split.images.shape[1], padding=recipe.crop_padding, padding_mode=_PADDING[recipe.pad_mode]
            ),
            transforms.RandomHorizontalFlip(recipe.flip),
            transforms.ToTensor(),
            transforms.Normalize(recipe.mean, recipe.std),
        ]
    )
    loader = DataLoader(
        Images(split, transform, negatives),
        batch_size=recipe.batch_size,
        shuffle=True,
        num_workers=min(WORKERS, cores()),
        pin_memory=device.type == "cuda",
        persistent_workers=True,
        # The system's default, which this process lost when it was spawned itself: workers share the data set's memory.
        multiprocessing_context="fork" if sys.platform == "linux" else None,
    )
    while True:
        yield from loader
