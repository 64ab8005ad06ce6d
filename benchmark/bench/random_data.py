"""Random pixels and untrained teachers in place of real ones: the time of a step does not depend on either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.data import Dataset, describe
from benchmark.data.dataset import Split
from benchmark.runs.job import Job, Run
from benchmark.runs.store import FAILED, NOT_APPLICABLE, Store
from benchmark.training.cohort import CohortTraining
from benchmark.training.context import TrainContext
from benchmark.training.data_source import DataSource
from benchmark.training.weights import new_network, save_weights

_TEST_IMAGES = 100
_CALIBRATION_IMAGES = 64


@cache
def dataset(name: str) -> Dataset:
    """Random pixels with the training images, image size and classes of a data set, and 100 test images."""
    info = describe(name)
    train, test = (_split(count, info.image_size, info.num_classes) for count in (info.num_train, _TEST_IMAGES))
    return Dataset(name, train, test, info.num_classes, fingerprint="random pixels", official=False)


def _split(count: int, size: int, classes: int) -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return Split(pixels, np.arange(count, dtype=np.int64) % classes)


class RandomSource(DataSource):
    """Random pixels through the project's own stream."""

    def _dataset(self, name: str) -> Dataset:
        return dataset(name)


def context(store: Store, device: torch.device, *, cuda_graphs: bool = True) -> TrainContext:
    """Training on random pixels; a job that fails raises, since a smaller cohort would look faster."""
    source = RandomSource(device, None, store.checkpoints)
    return TrainContext(store, source, float("inf"), 1.0, _raise_failures, cuda_graphs=cuda_graphs)


def _raise_failures(event: Mapping[str, Any]) -> None:
    if event["event"] in (FAILED, NOT_APPLICABLE):
        raise RuntimeError(event["message"])


def save_needs(runs: Sequence[Run], store: Store) -> None:
    """Save untrained weights of the teacher and the pretraining stages that the runs need."""
    made = context(store, torch.device("cpu"))
    for teacher in {run.teacher for run in runs if run.teacher is not None}:
        _save_teacher(teacher, made)
    if stages := list({stage for run in runs for stage in run.stages}):
        for member in CohortTraining(stages, made).members:
            member.save_weights(store)


def _save_teacher(job: Job, made: TrainContext) -> None:
    network = new_network(job, made.source.device).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over batches: with the initial statistics deep networks overflow
    images, _ = next(iter(made.source.test_batches(job.recipe)))
    with torch.no_grad():
        network(images[:_CALIBRATION_IMAGES])
    save_weights(network, made.store.weights_path(job), job)
