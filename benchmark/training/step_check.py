"""Trains a few steps of a job twice, eagerly and by replays, to find state that a replay or checkpoint would lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmark.runs.job import Job, Run
from benchmark.training import job_kinds
from benchmark.training.capture import CAPTURE_DEVICES
from benchmark.training.failures import DivergedError
from benchmark.training.python_state import code_state, difference, python_state
from benchmark.training.replay import OperationLog
from benchmark.training.samples import random_batch, synthetic_pair
from benchmark.training.shared_state import SharedState
from benchmark.training.steps import CaptureError, EagerStep, GraphStep, Step
from benchmark.training.streams import ONE_STREAM
from benchmark.training.teacher import Teacher
from benchmark.training.trainable import Trainable
from methods import Batch

SIZES = (8, 8, 5)
"""Batch sizes of an epoch: as many as `WARMUP_STEPS`, the last one smaller."""
EPOCHS = 3
"""The first warms up, the second captures, the third replays at a lower learning rate."""
_CPU = torch.device("cpu")


class ContractError(Exception):
    """A method or network violates the contract; the message says how."""


@dataclass
class _Trial:
    """A member that trains some epochs.

    Attributes:
        after: called after every step.
        messages: that the step shows the user.
    """

    member: Trainable
    step: Step
    after: Callable[[], None] = lambda: None
    messages: list[str] = field(default_factory=list)

    def train(self, epochs: Sequence[Sequence[Batch]]) -> None:
        """Train all batches; stop if the loss diverges."""
        for batches in epochs:
            self.member.begin_epoch()
            for position, batch in enumerate(batches):
                self.step(batch, position, [self.member])
                self.after()
            try:
                self.member.end_epoch(sum(SIZES))
            except DivergedError:  # possible, since the learning rate is not chosen for random images
                return

    def result(self) -> dict[str, Tensor]:
        """The state dicts of the loss and the network after training."""
        found = {f"loss.{name}": tensor for name, tensor in self.member.loss.state_dict().items()}
        if self.member.network is not None:
            found |= {f"network.{name}": tensor for name, tensor in self.member.network.state_dict().items()}
        return found


def check_steps(job: Job, teacher: Teacher | None) -> str | None:
    """Check that replayed steps equal eager steps, and that a step keeps no state in Python.

    Args:
        job: a run or a pretraining stage; the jobs that it needs do not have to be trained.
        teacher: of the job, on the CPU.

    Returns:
        Why the steps cannot be captured as a CUDA graph, if so: they then run eagerly on a GPU.

    Raises:
        ContractError: a replay or a checkpoint would lose state; the message says which.
    """
    recipe = replace(job.recipe, epochs=EPOCHS, milestones=(EPOCHS - 1,))
    job = replace(job, recipe=recipe)
    if isinstance(job, Run):
        job = replace(job, stages=())  # starts from initial weights
    epochs = _batches(job)
    with _capturing_on_cpu():
        eager = _trial(job, teacher, capture=False)
        states = _PythonState(eager.member)
        eager.after = states.compare
        eager.train(epochs)
        replayed = _trial(job, teacher, capture=True)
        try:
            replayed.train(epochs)
        except CaptureError as error:
            return str(error)
    differing = (name for name, tensor in eager.result().items() if _differ(tensor, replayed.result()[name]))
    if (first := next(differing, None)) is not None:
        raise ContractError(
            f"a replay of its step gives other numbers than the step itself (first seen in {first}): state that "
            "changes from step to step must be a tensor that is updated in place"
        )
    return replayed.messages[0].partition(": ")[2] if replayed.messages else None


class _PythonState:
    """Compares a member's Python state after every step."""

    def __init__(self, member: Trainable) -> None:
        self._modules = {"network": member.network, "method": member.loss}
        self._before = self._read()

    def compare(self) -> None:
        """Raise ``ContractError`` if the state has changed since the last step."""
        after = self._read()
        check_unchanged(self._before, after)
        self._before = after

    def _read(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, module in self._modules.items():
            if module is not None:
                found |= {f"{name}.{path}": value for path, value in python_state(module).items()}
                found |= code_state(module)
        return found


def check_unchanged(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """Raise ``ContractError`` if the Python state differs after a step."""
    if found := difference(before, after):
        raise ContractError(
            f"attribute {found} in a step: neither a checkpoint nor a replayed step knows that. Keep it in a "
            "buffer (register_buffer) and update it in place"
        )


@contextmanager
def _capturing_on_cpu() -> Iterator[None]:
    """Let a CPU capture steps with an `OperationLog`."""
    CAPTURE_DEVICES["cpu"] = OperationLog
    try:
        yield
    finally:
        del CAPTURE_DEVICES["cpu"]


def _trial(job: Job, teacher: Teacher | None, *, capture: bool) -> _Trial:
    member = job_kinds.trainable(job, _CPU, _no_weights)
    pair = synthetic_pair(job, member.network.shapes() if member.network else None, teacher)
    member.setup(pair)
    state = SharedState(teacher, pair.labels if pair else torch.zeros(0), _refuse_change)
    eager, messages = EagerStep(state, ONE_STREAM, _unguarded), list[str]()
    return _Trial(member, GraphStep(eager, OperationLog(), messages.append, capture=capture), messages=messages)


def _batches(job: Job) -> list[list[Batch]]:
    """Batches of random images by epoch, with their progress in it."""
    steps = [step / len(SIZES) for step in range(len(SIZES))]
    return [
        [
            replace(random_batch(job, size, _CPU, seed=len(SIZES) * epoch + place), progress=torch.tensor(steps[place]))
            for place, size in enumerate(SIZES)
        ]
        for epoch in range(EPOCHS)
    ]


def _differ(one: Tensor, other: Tensor) -> bool:
    return not torch.equal(one.nan_to_num(), other.nan_to_num())


def _unguarded(job: Job) -> AbstractContextManager[None]:
    del job
    return nullcontext()


def _refuse_change() -> dict[str, Tensor]:
    raise ContractError("it changes the teacher's weights or statistics")


def _no_weights(job: Job) -> Path:
    raise ValueError(f"the weights of {job} are not there yet")
