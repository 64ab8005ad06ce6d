"""Trains a few steps of a job twice, eagerly and by replays, to find state that a replay or checkpoint would lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.runs.job import Job, Run
from benchmark.training import job_kinds
from benchmark.training.capture import CAPTURE_DEVICES
from benchmark.training.cuda_streams import ONE_STREAM
from benchmark.training.failures import DivergedError
from benchmark.training.isolation import SharedStateError
from benchmark.training.pairs import synthetic_pair
from benchmark.training.python_state import code_state, difference, python_state
from benchmark.training.replay import OperationLog, gradients_as_logged
from benchmark.training.samples import random_batch
from benchmark.training.shared_state import SharedState
from benchmark.training.steps import CaptureError, EagerStep, GraphStep
from benchmark.training.teacher import Teacher

SIZES = (8, 8, 5)
"""Batch sizes of an epoch: as many as `WARMUP_STEPS`, the last one smaller."""
EPOCHS = 3
"""The first warms up, the second captures, the third replays at a lower learning rate."""
_CPU = torch.device("cpu")


class ContractError(Exception):
    """A method or network violates the contract; the message says how."""


def check_steps(job: Job, teacher: Teacher | None) -> str | None:
    """Check that replayed steps equal eager steps, and that a step keeps no state in Python.

    Args:
        job: a run or a pretraining stage; the jobs that it needs do not have to be trained.
        teacher: of the job, on the CPU.

    Returns:
        Why the steps cannot be captured as a CUDA graph, if so: they then run eagerly on a GPU.

    Raises:
        ContractError: a replay or a checkpoint would lose state; the message says which.
        SharedStateError: the method or network changes the batch, the teacher or the labels.
    """
    recipe = replace(job.recipe, epochs=EPOCHS, milestones=(EPOCHS - 1,))
    job = replace(job, recipe=recipe)
    if isinstance(job, Run):
        job = replace(job, stages=())  # starts from initial weights
    with _capturing_on_cpu(), gradients_as_logged():
        eager, _ = _train(job, teacher, capture=False)
        try:
            replayed, messages = _train(job, teacher, capture=True)
        except CaptureError as error:
            return str(error)
    for name, tensor in eager.items():
        if not torch.equal(tensor.nan_to_num(), replayed[name].nan_to_num()):
            raise ContractError(
                f"a replay of its step gives other numbers than the step itself (first seen in {name}): state that "
                "changes from step to step must be a tensor that is updated in place"
            )
    return messages[0].partition(": ")[2] if messages else None


def _train(job: Job, teacher: Teacher | None, *, capture: bool) -> tuple[dict[str, Tensor], list[str]]:
    """Train a new member of the job for all epochs; return its tensors at the end, and the step's messages."""
    member = job_kinds.trainable(job, _CPU, _no_weights)
    pair = synthetic_pair(job, member.network, teacher.network if teacher else None)
    # A changed teacher is not restored, since the check ends there.
    state = SharedState(
        teacher, pair.labels if pair else torch.zeros(0), lambda: teacher.network.state_dict() if teacher else {}
    )
    member.setup(pair)
    if (changed := state.restore(compare_contents=True)) is not None:
        raise SharedStateError(f"it changes {changed}, which other runs share")
    messages, modules = list[str](), {"method": member.loss}
    if member.network is not None:
        modules["network"] = member.network
    step = GraphStep(
        EagerStep(state, ONE_STREAM, lambda _: nullcontext()), OperationLog(), messages.append, capture=capture
    )
    before = _state_in_python(modules)
    for epoch in range(EPOCHS):
        member.begin_epoch()
        for position, size in enumerate(SIZES):
            batch = random_batch(job, size, _CPU, len(SIZES) * epoch + position, member.views)
            step(replace(batch, progress=torch.tensor(position / len(SIZES))), position, [member])
            if not capture:
                check_unchanged(before, _state_in_python(modules))
        try:
            member.end_epoch(sum(SIZES))
        except DivergedError:  # possible, since the learning rate is not chosen for random images
            break
    tensors = {
        f"{name}.{path}": tensor for name, module in modules.items() for path, tensor in module.state_dict().items()
    }
    return tensors, messages


def _state_in_python(modules: Mapping[str, nn.Module]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, module in modules.items():
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


def _no_weights(job: Job) -> Path:
    raise ValueError(f"the weights of {job} are not there yet")
