"""Measures how long steps take, on random images: the process behind `benchmark.calibration`.

``python -m benchmark.training.speeds`` reads a pickled `Order` and writes a line of JSON for each step it measured.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmark import costs
from benchmark.calibration import Order, Task
from benchmark.costs import Step
from benchmark.jobs import Job, Run
from benchmark.training import trainees
from benchmark.training.capture import CudaDevice
from benchmark.training.lanes import use, wait
from benchmark.training.precision import set_matmul_precision
from benchmark.training.samples import pair_of, random_batch
from benchmark.training.steps import WARMUP_STEPS
from benchmark.training.views import Teacher, View
from benchmark.training.weights import new_network

Action = Callable[[View], None]
WARM_UP, TIMED = 2, 10
"""Steps ahead of those that are timed, and how many are, unless a second is over before."""


def carry_out(order: Order) -> Iterator[dict[str, Any]]:
    """Measure until all is done or the time is up; each result names a step and its seconds, or a fault."""
    use(order.device, order.threads)
    device = torch.device(order.device)
    deadline = time.monotonic() + order.seconds
    for task in order.tasks:
        if time.monotonic() > deadline:
            return
        try:
            for step, seconds in measured(task, device).items():
                yield {"step": step._asdict(), "seconds": seconds}
        except Exception as error:  # noqa: BLE001 - whatever a method or a device raises, the others can be measured
            yield {"fault": f"{type(error).__name__}: {error}".splitlines()[0]}


def measured(task: Task, device: torch.device) -> dict[Step, float]:
    """Seconds of a job's training step and, where it has no teacher, of its network's forward pass.

    Args:
        task: the job, and the share of its batch to use.
        device: where.
    """
    job = replace(task.job, stages=()) if isinstance(task.job, Run) else task.job  # nothing is trained before it
    recipe, own = job.recipe, costs.step_of(job)
    set_matmul_precision(recipe.precision)
    images = max(2, round(recipe.batch_size * task.share))
    batch = random_batch(job, images, device)
    teacher = Teacher(new_network(job.teacher_job, device), recipe.precision) if job.teacher_job else None
    member = trainees.member(job, device, _no_weights)
    member.equip(pair_of(job, member.network.shapes() if member.network else None, teacher))
    member.begin_epoch()

    def view() -> View:
        seen = View(batch.images, teacher)
        for mode in member.teacher_modes if teacher else ():
            seen.teacher(train_mode=mode)
        return seen

    def step(seen: View) -> None:
        member.step(batch, seen)

    scale = recipe.batch_size / images
    found = {own: scale * _seconds(step, view, [member.generator], device)}
    if teacher is None and member.network is not None:
        eyes = Teacher(member.network, recipe.precision)

        def look(seen: View) -> None:
            eyes.look(seen.at(own.in_size), train_mode=False)

        found[own._replace(work=costs.LOOK)] = scale * _seconds(look, view, [], device)
    return found


def _seconds(
    action: Action,
    view: Callable[[], View],
    generators: Sequence[torch.Generator],
    device: torch.device,
) -> float:
    """The least of a few: whatever else the machine does only adds.

    One thread on a CPU is timed by the processor that it had: on a busy machine that is less than the time that passed,
    and what it would take on a free one.
    """
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    if device.type == "cuda":
        action = _recorded(action, view, generators)
    seconds: list[float] = []
    begun = time.perf_counter()
    while len(seconds) < WARM_UP + TIMED and (len(seconds) < 2 or time.perf_counter() - begun < 1):
        seen = view()
        wait(device)
        start = clock()
        action(seen)
        wait(device)
        seconds.append(clock() - start)
    return min(seconds[WARM_UP:] or seconds[1:])


def _recorded(action: Action, view: Callable[[], View], generators: Sequence[torch.Generator]) -> Action:
    """What the loop does on a GPU: launches recorded and replayed as one, where that is possible."""
    for _ in range(WARMUP_STEPS):
        action(view())
    fresh = view()  # nothing is derived from its teacher yet, so that this is recorded, too
    try:
        replay = CudaDevice(torch.device("cuda")).capture(lambda: action(fresh), generators)
    except Exception:  # noqa: BLE001 - whatever cannot be recorded is launched
        return action
    return lambda _: replay()


def _no_weights(job: Job) -> Any:
    raise ValueError(f"the weights of {job} are not there yet")


if __name__ == "__main__":
    for result in carry_out(pickle.load(sys.stdin.buffer)):  # noqa: S301
        print(json.dumps(result), flush=True)  # noqa: T201
