"""The data pipeline of published code: PIL images, one at a time, in the worker processes of a DataLoader."""

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

from benchmark.bench import random_data
from benchmark.data.dataset import Split
from benchmark.devices import cores
from benchmark.runs.recipe import Recipe

WORKERS = 8
"""Most worker processes of a loader, as published code asks for; a machine with fewer cores gets one per core."""
_PADDING = {"zero": "constant", "reflect": "reflect"}


class Images(Dataset[tuple[Any, ...]]):
    """Image, label, index and, for contrastive distillation, the indices of the image and its negatives.

    Args:
        split: the images.
        transform: applied to each PIL image.
        negatives: number of samples of other classes drawn per image.
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
        # Published code draws from the global generator, which the DataLoader seeds in every worker.
        drawn = np.random.choice(others, self._negatives, replace=self._negatives > len(others))  # noqa: NPY002
        return image, target, index, np.hstack([np.asarray([index]), drawn])


def training_split(recipe: Recipe) -> Split:
    """The recipe's training images."""
    train = random_data.dataset(recipe.dataset).train
    return Split(train.images[: recipe.train_limit], train.labels[: recipe.train_limit])


def batches(recipe: Recipe, split: Split, negatives: int, device: torch.device) -> Iterator[list[Tensor]]:
    """Endless epochs of shuffled, augmented batches: images, targets, indices and, with negatives, their indices."""
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
        # Linux's default, lost in a spawned process: forked workers share the memory of the data set.
        multiprocessing_context="fork" if sys.platform == "linux" else None,
    )
    while True:
        yield from loader
