"""The cohort loop as it is, its batches counted out one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from benchmark.bench import clock, floor, memory
from benchmark.bench.madeup import MadeUpSource
from benchmark.runs.job import Run
from benchmark.runs.store import FAILED, NOT_APPLICABLE, Store
from benchmark.training.cohort import CohortTraining
from benchmark.training.context import TrainContext
from benchmark.training.steps import WARMUP_STEPS
from benchmark.training.streams import configure_device
from benchmark.training.trainable import Trainable


class CohortBenchmark:
    """Runs that train together.

    Args:
        runs: whose steps are counted; all have the same teacher.
        reference: the plain student, stepped only where steps are timed one by one.
        store: where teacher and first stages lie.
        device: ``cpu`` or ``cuda``.
        cuda_graphs: whether a GPU replays recorded steps.
    """

    def __init__(self, runs: Sequence[Run], reference: Run, store: Store, device: str, cuda_graphs: bool) -> None:  # noqa: FBT001 - by pipe
        configure_device(device, torch.get_num_threads())  # as the command's workers do
        self._device = torch.device(device)
        self._jobs = [*runs, reference]
        self._context = context(store, MadeUpSource(self._device, None, store.checkpoints))
        self._training = CohortTraining(self._jobs, replace(self._context, cuda_graphs=cuda_graphs))

    def block(self, least: float) -> float:
        """Mean seconds of a batch through all members but the reference, after some that are not timed.

        Args:
            least: seconds to go on for.
        """
        with self._turning(self._training, self._training.members[:-1]) as turn:
            return clock.seconds(turn, least, self._device)

    def steps(self, turns: int) -> dict[str, float]:
        """Mean seconds of each member's own step by its method, the reference's too; nobody is charged for the teacher.

        The device is waited for around every step, none of which is recorded.
        """
        training = self._launched
        watches = {member.job.title: _Watch(member, self._device) for member in training.members}
        with self._turning(training, training.members) as turn:
            for watch in watches.values():
                watch.start()
            for _ in range(turns):
                turn()
        return {title: watch.stop() / turns for title, watch in watches.items()}

    def parts(self) -> dict[str, float]:
        """Seconds of a batch through all members but the reference, by the parts of a step, none of them recorded."""
        training = self._launched
        with self._turning(training, training.members[:-1]) as turn:
            return clock.parts(turn, 1, self._device)

    def memory(self) -> dict[str, int]:
        """Peaks in bytes, by kind."""
        return memory.peaks(self._device)

    def matrix_rate(self, precision: str) -> float:
        """Multiply-accumulates a second of this process."""
        return floor.matrix_rate(precision, self._device)

    @cached_property
    def _launched(self) -> CohortTraining:
        """The same training, its parts launched one by one: recorded, they cannot be told apart."""
        if self._device.type == "cpu":
            return self._training
        return CohortTraining(self._jobs, replace(self._context, cuda_graphs=False))

    @contextmanager
    def _turning(self, training: CohortTraining, members: Sequence[Trainable]) -> Iterator[Callable[[], None]]:
        """What trains one batch, after the first of an epoch."""
        with closing(training.steps(1, list(members))) as turns:  # type: ignore[type-var]
            for _ in range(1 + _UNTIMED[self._device.type]):  # the first turn comes before its batch
                next(turns)
            yield lambda: next(turns)


_UNTIMED = {"cpu": 3, "cuda": 2 + WARMUP_STEPS}


class _Watch:
    """Times a member's steps, whatever the device."""

    def __init__(self, member: Trainable, device: torch.device) -> None:
        self._member = member
        self._device = device
        self._seconds = 0.0

    def start(self) -> None:
        step = self._member.step

        def timed(*arguments: Any) -> None:
            self._seconds += clock.once(lambda: step(*arguments), self._device)

        self._member.step = timed  # type: ignore[assignment, method-assign]

    def stop(self) -> float:
        del self._member.step  # the class's own shows again
        return self._seconds


def context(store: Store, source: MadeUpSource) -> TrainContext:
    """Where jobs that fail raise instead of leaving quietly: a smaller cohort would look faster."""
    return TrainContext(
        store=store, source=source, checkpoint_seconds=float("inf"), estimated_seconds=1.0, notify=_loudly
    )


def _loudly(event: Mapping[str, Any]) -> None:
    if event["event"] in (FAILED, NOT_APPLICABLE):
        raise RuntimeError(event["message"])
