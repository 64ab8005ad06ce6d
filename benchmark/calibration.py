"""How fast this machine is: measured where a plan is worth it, and kept beside the checkpoints for the next plan.

What is measured are steps of real networks on random images: each network of the plan alone, then each method on one of
its pairs, those first that weigh the most, in as many processes side by side as will train. Planning never imports
torch: the processes that measure are others (`benchmark.training.speeds`).
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark import costs, devices
from benchmark.catalog import ROOT
from benchmark.costs import Prices, Step
from benchmark.errors import UserError
from benchmark.jobs import Job, Run
from benchmark.objectives import Objective
from benchmark.store import write_atomically

WORTH_SECONDS = 60.0
"""Of work at prices that are not known: less is not worth a measurement."""
LIMIT_SECONDS = 20.0
"""What is measured takes no longer than about this, besides the start of the processes."""

_STEP_SECONDS = 0.5  # counted: where a step would take longer, a part of the batch is measured
_START_SECONDS = 5.0  # roughly, of a process that imports torch
_TASK_SECONDS = 0.25  # roughly
_PATIENCE = 60.0  # beyond the limit, with a slow start and the step that was begun last


@dataclass(frozen=True)
class Task:
    """What a process measures.

    Attributes:
        job: whose training step is measured; without a teacher, the network's forward pass in evaluation mode, too.
        share: of the batch that is passed; the rest takes as long again.
    """

    job: Job
    share: float


@dataclass(frozen=True)
class Order:
    """What a process is asked for.

    Attributes:
        tasks: the most important first.
        device: where.
        threads: of a process on a CPU.
        seconds: after which no other task is begun.
    """

    tasks: Sequence[Task]
    device: str
    threads: int
    seconds: float


def speed(device: str, threads: int) -> costs.Speed:
    """What is assumed of this machine before anything is measured, and how its records are told from others'."""
    machine = {"processor": devices.processor(), "device": devices.name(device), "threads": threads}
    return replace(costs.SPEEDS[device.partition(":")[0]], machine=machine)


@dataclass(frozen=True)
class Calibration:
    """Prices of this machine that are measured once.

    Attributes:
        path: the file of what was measured.
        workers: the device of each process that will train.
        threads: of each on a CPU.
        say: told what takes time, and what failed.
    """

    path: Path
    workers: Sequence[str]
    threads: int
    say: Callable[[str], None]

    def __call__(self, jobs: Sequence[Job], prices: Prices) -> Prices:
        """Prices that know more of what these jobs take; measures what is worth it and was not tried before."""
        machines = self._read()
        known = machines.get(self._machine, {})
        prices = prices.besides({step: seconds for step, seconds in known.items() if seconds is not None})
        tasks = _tasks(jobs, prices, known.keys())
        if not tasks:
            return prices
        processes = len(self.workers)
        about = min(LIMIT_SECONDS, _TASK_SECONDS * len(tasks) / processes) + _START_SECONDS
        self.say(f"measuring how fast this machine is, once: about {costs.spoken(about)}")
        orders = [
            Order(tasks[place::processes], device, self.threads, LIMIT_SECONDS)
            for place, device in enumerate(self.workers)
        ]
        found, fault = measure(orders)
        if not found:
            self.say(f"it could not be measured ({fault}): times are guesses from counted operations")
            return prices
        # Beside results, what gave none is kept, too: the next plan does not try it again.
        tried: dict[Step, float | None] = dict.fromkeys(costs.step_of(task.job) for task in tasks)
        self._write({**machines, self._machine: {**known, **tried, **found}})
        return prices.besides(found)

    @property
    def _machine(self) -> str:
        """What the measured seconds hold for."""
        counts = Counter(map(devices.name, self.workers))
        workers = ", ".join(f"{count} x {name}" for name, count in counts.items())
        try:
            torch = version("torch")
        except PackageNotFoundError:
            torch = "none"
        return f"{devices.processor()}, {devices.cores()} cores: {workers}, {self.threads} threads, torch {torch}"

    def _read(self) -> dict[str, dict[Step, float | None]]:
        """What was tried, by machine; nothing where there is no file, or none that can be read."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: {Step(**row["step"]): row["seconds"] for row in rows} for name, rows in content.items()}
        return {}

    def _write(self, machines: Mapping[str, Mapping[Step, float | None]]) -> None:
        content = {
            name: [{"seconds": seconds, "step": step._asdict()} for step, seconds in tried.items()]
            for name, tried in machines.items()
        }
        with suppress(UserError):  # plans are made where nothing can be written, too
            write_atomically(self.path, json.dumps(content, indent=1).encode())


def measure(orders: Sequence[Order]) -> tuple[dict[Step, float], str]:
    """Seconds by step, measured by processes side by side, one an order; and what went wrong first, if anything."""
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(_carried_out, (order for order in orders if order.tasks)))
    lines = [line for output in outputs for line in output.splitlines()]
    rows = [row for line in lines if (row := _row(line)) is not None]
    found = {Step(**row["step"]): row["seconds"] for row in rows if "step" in row}
    faults = [row["fault"] for row in rows if "fault" in row] or lines[-1:]
    return found, faults[0] if faults else "no answer in time"


def _row(line: str) -> dict[str, Any] | None:
    """A result among what else a process may print."""
    with suppress(ValueError):
        found = json.loads(line)
        return found if isinstance(found, dict) else None
    return None


def _carried_out(order: Order) -> str:
    """What a process says that works on an order."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmark.training.speeds"],
            input=pickle.dumps(order),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": str(order.threads)},
            timeout=LIMIT_SECONDS + _PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace")
    return done.stdout.decode(errors="replace")


def _tasks(jobs: Iterable[Job], prices: Prices, tried: Collection[Step]) -> list[Task]:
    """What to measure: unknown networks alone, then unknown methods, each on the pair that weighs most."""
    due = list(filter(costs.applies, jobs))
    alone, taught = _alone(due), {costs.step_of(job): job for job in due if costs.taught_by(job)}
    unknown = {step: count * prices.seconds(step) for step, count in _demand(due) if not prices.knows(step)}
    heaviest = {step.anywhere: step for step in sorted(unknown, key=lambda step: unknown[step]) if step in taught}
    weights, worth = defaultdict[Step, float](float), 0.0
    for step, weight in unknown.items():
        network = step.network and (step not in taught or step.plain not in prices.measured)
        method = step in taught and step.anywhere not in prices.extras
        asked = {*([step.plain] if network else []), *([heaviest[step.anywhere]] if method else [])} - {*tried}
        worth += weight if asked else 0.0
        for each in asked:
            weights[each] += weight
    if worth < WORTH_SECONDS:
        return []
    order = sorted(weights, key=lambda step: (step in taught, -weights[step]))
    return [Task((alone | taught)[step], min(1.0, _STEP_SECONDS / prices.counted(step))) for step in order]


def _demand(jobs: Sequence[Job]) -> Iterable[tuple[Step, float]]:
    """Steps of each sort that these jobs take in their cohorts."""
    cohorts: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        cohorts.setdefault(job.company, []).append(job)
    total = defaultdict[Step, float](float)
    for cohort in cohorts.values():
        for step, count in costs.demand(cohort).items():
            total[step] += count
    return total.items()


def _alone(jobs: Sequence[Job]) -> dict[Step, Job]:
    """For each network that the jobs pass images through, a run that trains it alone."""
    found: dict[Step, Job] = {}
    for job in jobs:
        for step in costs.demand([job]):
            if step.network and step.plain not in found:
                recipe = replace(job.recipe, in_size=step.in_size, width=step.width)
                found[step.plain] = Run(recipe=recipe, network=step.network, objective=Objective(ce=1.0), teacher=None)
    return found
