"""What runs will take: from measured records where there are any, else from counted operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmark import catalog
from benchmark.data import describe
from benchmark.jobs import Job
from benchmark.store import Record

BACKWARD = 2.0
"""Cost of a backward pass in forward passes."""


@dataclass(frozen=True)
class Speed:
    """How fast a machine trains, roughly.

    Attributes:
        macs: multiply-accumulates a second of one process.
        launch: seconds a network's forward and backward pass takes however small it is.
        cpu: whether it is a CPU's.
        correction: measured over counted seconds, from records.
    """

    macs: float
    launch: float
    cpu: bool
    correction: float = 1.0


SPEEDS = {
    "cpu": Speed(macs=2e11, launch=0.020, cpu=True),
    "cuda": Speed(macs=5e12, launch=0.006, cpu=False),
}
"""Before anything is measured: two recent CPU cores in bf16, one data-centre GPU in bf16."""


def calibrated(speed: Speed, measured: Iterable[tuple[Job, Record]]) -> Speed:
    """The speed corrected by what finished runs took on the same kind of device."""
    ratios = [
        record["cost"]["cohort_seconds"] / record["cost"]["cohort_counted_seconds"]
        for _, record in measured
        if (record.get("cost") or {}).get("cohort_counted_seconds")
        and (record["provenance"].get("device") == "cpu") == speed.cpu
    ]
    return replace(speed, correction=median(ratios)) if ratios else speed


def steps(job: Job) -> int:
    """Optimiser steps of a run."""
    return job.recipe.epochs * -(-_samples(job) // job.recipe.batch_size)


def seconds(runs: Sequence[Job], speed: Speed) -> float:
    """Counted seconds of a cohort: each member's training and test passes, and the teacher's for the longest."""
    own = sum((steps(job) * (1 + BACKWARD) + _test_steps(job)) * _forward(job, job, speed) for job in runs)
    shared = [steps(job) * _forward(job, job.teacher, speed) for job in runs if job.teacher]
    return own + max(shared, default=0.0)


def _test_steps(job: Job) -> float:
    """Forward passes of a training batch's size that all test evaluations take."""
    evaluations = -(-job.recipe.epochs // job.recipe.evaluate_every)
    return evaluations * describe(job.recipe.dataset).num_test / job.recipe.batch_size


def _forward(job: Job, network: Job, speed: Speed) -> float:
    info = catalog.networks()[network.network]
    scale = (network.recipe.in_size / info.in_size) ** 2 * network.recipe.width**2
    return speed.launch / (1 + BACKWARD) + job.recipe.batch_size * info.macs * scale / speed.macs


def _samples(job: Job) -> int:
    return min(job.recipe.train_limit or 10**12, describe(job.recipe.dataset).num_train)


def spoken(seconds: float) -> str:
    """A duration for people: ``40 s``, ``12 min``, ``3.5 h``, ``9 days``."""
    for limit, unit, name in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if name == 'h' else 0}f} {name}"
    return f"{seconds / 86400:.0f} days"
