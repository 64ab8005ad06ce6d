"""The project's cohort loop, timed batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import torch

from benchmark.bench import floor, memory, random_data, timing
from benchmark.runs.job import Run
from benchmark.runs.store import Store
from benchmark.training.cohort import CohortTraining
from benchmark.training.cuda_streams import configure_device
from benchmark.training.steps import WARMUP_STEPS
from benchmark.training.trainable import Trainable

_UNTIMED = {"cpu": 3, "cuda": 2 + WARMUP_STEPS}
"""Batches before the first timed one."""


class CohortBenchmark:
    """Runs of one teacher that train together.

    Args:
        runs: the members of the cohort.
        reference: the student without a teacher, trained in `steps` only.
        store: holds the weights of the teacher and the pretraining stages.
        device: ``cpu`` or ``cuda``.
        cuda_graphs: whether a GPU replays captured steps.
    """

    def __init__(self, runs: Sequence[Run], reference: Run, store: Store, device: str, cuda_graphs: bool) -> None:  # noqa: FBT001 - through `Remote`
        configure_device(device, torch.get_num_threads())  # as the workers of the command do
        self._device = torch.device(device)
        self._make = partial(self._training, [*runs, reference], store)
        self._cohort = self._make(cuda_graphs=cuda_graphs)

    def _training(self, jobs: Sequence[Run], store: Store, *, cuda_graphs: bool) -> CohortTraining:
        return CohortTraining(jobs, random_data.context(store, self._device, cuda_graphs=cuda_graphs))

    def batch_seconds(self, least: float) -> float:
        """Mean seconds of a batch through all runs, measured for at least ``least`` seconds."""
        with self._batches(self._cohort, self._cohort.members[:-1]) as train_batch:
            return timing.mean(train_batch, least, self._device)

    def step_seconds(self, batches: int) -> dict[str, float]:
        """Mean seconds by method of a step alone, without the teacher's pass; the reference is ``student``.

        The device is idle before and after a step, and no step is captured as a graph.
        """
        training = self._cohort if self._device.type == "cpu" else self._make(cuda_graphs=False)
        seconds = {member.job.title: 0.0 for member in training.members}

        def timed(member: Trainable, step: Callable[..., None], *arguments: Any) -> None:
            seconds[member.job.title] += timing.once(partial(step, *arguments), self._device)

        with self._batches(training, training.members) as train_batch:
            for member in training.members:
                member.step = partial(timed, member, member.step)  # type: ignore[method-assign]
            for _ in range(batches):
                train_batch()
            for member in training.members:
                del member.step  # the method of the class again
        return {title: total / batches for title, total in seconds.items()}

    def memory(self) -> dict[str, int]:
        """Peak bytes by kind."""
        return memory.peaks(self._device)

    def matrix_rate(self, precision: str) -> float:
        """Multiply-accumulates per second of a large matrix product."""
        return floor.matrix_rate(precision, self._device)

    @contextmanager
    def _batches(self, training: CohortTraining, members: Sequence[Trainable]) -> Iterator[Callable[[], None]]:
        """Train the untimed batches of an epoch; gives a function that trains the next one."""
        with closing(training.steps(1, list(members))) as steps:  # type: ignore[type-var]
            for _ in range(1 + _UNTIMED[self._device.type]):  # the generator yields before it trains a batch
                next(steps)
            yield lambda: next(steps)
