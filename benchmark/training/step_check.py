"""Trains a few steps of a job twice, launched and replayed, and tells what a replay or a checkpoint would lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmark.runs.job import Job, Run
from benchmark.training import job_kinds
from benchmark.training.capture import CAPTURING
from benchmark.training.failures import DivergedError
from benchmark.training.python_state import code_state, difference, python_state
from benchmark.training.replay import OperationLog
from benchmark.training.samples import pair_of, random_batch
from benchmark.training.shared import Shared
from benchmark.training.steps import CaptureError, DeviceStep, EagerStep, Step
from benchmark.training.streams import ONE_STREAM
from benchmark.training.teacher import Teacher
from benchmark.training.trainable import Trainable
from methods import Batch

SIZES = (8, 8, 5)
"""Images of the batches of an epoch, the last one smaller: as many as there are steps to warm up."""
EPOCHS = 3
"""Warmed up in the first, captured in the second, replayed at a lower rate in the third."""
_CPU = torch.device("cpu")


class BrokenError(Exception):
    """Something breaks the contract; the message says what."""


@dataclass
class _Attempt:
    """A member that trains some epochs.

    Attributes:
        member: fresh.
        step: that trains it.
        after: called after every step.
        said: what the step said.
    """

    member: Trainable
    step: Step
    after: Callable[[], None] = lambda: None
    said: list[str] = field(default_factory=list)

    def train(self, epochs: Sequence[Sequence[Batch]]) -> None:
        """Train all batches, unless the loss is no longer finite."""
        for batches in epochs:
            self.member.begin_epoch()
            for position, batch in enumerate(batches):
                self.step(batch, position, [self.member])
                self.after()
            try:
                self.member.end_epoch(sum(SIZES))
            except DivergedError:  # random images at a rate that is not made for them
                return

    def result(self) -> dict[str, Tensor]:
        """Everything that training has changed, by its name."""
        found = {f"loss.{name}": tensor for name, tensor in self.member.loss.state_dict().items()}
        if self.member.network is not None:
            found |= {f"network.{name}": tensor for name, tensor in self.member.network.state_dict().items()}
        return found


def check_steps(job: Job, teacher: Teacher | None) -> str | None:
    """See that a replay of a job's steps does what the steps do, and that they keep nothing in Python.

    Args:
        job: a run or a first stage; what it needs does not have to be there.
        teacher: of the job, on the CPU.

    Returns:
        Why its steps cannot be replayed, if they cannot: then they are launched one by one on a GPU.

    Raises:
        BrokenError: a replay or a checkpoint would lose something; the message says what.
    """
    recipe = replace(job.recipe, epochs=EPOCHS, milestones=(EPOCHS - 1,))
    job = replace(job, recipe=recipe)
    if isinstance(job, Run):
        job = replace(job, stages=())  # nothing is trained before it
    epochs = _batches(job)
    with _captured_here():
        eager = _attempt(job, teacher, capture=False)
        states = _States(eager.member)
        eager.after = states.compare
        eager.train(epochs)
        replayed = _attempt(job, teacher, capture=True)
        try:
            replayed.train(epochs)
        except CaptureError as error:
            return str(error)
    other = next((name for name, tensor in eager.result().items() if _unlike(tensor, replayed.result()[name])), None)
    if other is not None:
        raise BrokenError(
            f"a replay of its step gives other numbers than the step itself (first seen in {other}): what changes from "
            "step to step has to be a tensor that is written into"
        )
    return replayed.said[0].partition(": ")[2] if replayed.said else None


class _States:
    """What a member keeps in Python, compared after every step."""

    def __init__(self, member: Trainable) -> None:
        self._modules = {"network": member.network, "method": member.loss}
        self._before = self._read()

    def compare(self) -> None:
        """Raise ``BrokenError`` where something has changed."""
        after = self._read()
        see_equal(self._before, after)
        self._before = after

    def _read(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, module in self._modules.items():
            if module is not None:
                found |= {f"{name}.{path}": value for path, value in python_state(module).items()}
                found |= code_state(module)
        return found


def see_equal(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """Raise ``BrokenError`` where what is kept in Python differs after a step."""
    if found := difference(before, after):
        raise BrokenError(
            f"attribute {found} in a step: neither a checkpoint nor a replayed step knows that. Keep it in a "
            "buffer (register_buffer) and write into it"
        )


@contextmanager
def _captured_here() -> Iterator[None]:
    """Let a CPU capture steps, by a log of its operations."""
    CAPTURING["cpu"] = OperationLog
    try:
        yield
    finally:
        del CAPTURING["cpu"]


def _attempt(job: Job, teacher: Teacher | None, *, capture: bool) -> _Attempt:
    member = job_kinds.trainable(job, _CPU, _no_weights)
    pair = pair_of(job, member.network.shapes() if member.network else None, teacher)
    member.setup(pair)
    shared = Shared(teacher, pair.labels if pair else torch.zeros(0), _unchanged)
    eager, said = EagerStep(shared, ONE_STREAM, _unguarded), list[str]()
    return _Attempt(member, DeviceStep(eager, OperationLog(), said.append, capture=capture), said=said)


def _batches(job: Job) -> list[list[Batch]]:
    """Batches of random images by epochs, each at a progress of its own."""
    steps = [step / len(SIZES) for step in range(len(SIZES))]
    return [
        [
            replace(random_batch(job, size, _CPU, seed=len(SIZES) * epoch + place), progress=torch.tensor(steps[place]))
            for place, size in enumerate(SIZES)
        ]
        for epoch in range(EPOCHS)
    ]


def _unlike(one: Tensor, other: Tensor) -> bool:
    return not torch.equal(one.nan_to_num(), other.nan_to_num())


def _unguarded(job: Job) -> AbstractContextManager[None]:
    del job
    return nullcontext()


def _unchanged() -> dict[str, Tensor]:
    raise BrokenError("it changes the teacher's weights or statistics")


def _no_weights(job: Job) -> Path:
    raise ValueError(f"the weights of {job} are not there yet")
