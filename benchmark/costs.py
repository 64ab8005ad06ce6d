"""What runs will take: from measured records where there are any, else from counted operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from types import MappingProxyType

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


def seconds(jobs: Sequence[Job], speed: Speed) -> float:
    """Counted seconds of a cohort: what each member takes, and the teacher's forward passes for the longest."""
    shared = [
        steps(job) * _forward(job, job.teacher_job, speed) for job in jobs if job.kind in _TAUGHT and job.teacher_job
    ]
    return sum(_OWN[job.kind](job, speed) for job in jobs) + max(shared, default=0.0)


def steps(job: Job) -> int:
    """Optimiser steps of a job that trains."""
    return job.recipe.epochs * -(-_samples(job) // job.recipe.batch_size)


def _train(job: Job, speed: Speed) -> float:
    return (steps(job) * (1 + BACKWARD) + _test_steps(job)) * _forward(job, job, speed)


def _stage(job: Job, speed: Speed) -> float:
    return steps(job) * (1 + BACKWARD) * _forward(job, job, speed)


def _probe(job: Job, speed: Speed) -> float:
    return (steps(job) + _test_steps(job)) * _forward(job, job, speed)


def _look(job: Job, speed: Speed) -> float:
    return _test_passes(job) * _forward(job, job, speed)


def _analyse(job: Job, speed: Speed) -> float:
    return _ANALYSIS_SECONDS * _test_passes(job) * job.recipe.batch_size / 1000 + _look(job, speed)


_ANALYSIS_SECONDS = 2.0  # a thousand images, roughly: clusters and t-SNE, the costliest
_OWN: Mapping[str, Callable[[Job, Speed], float]] = MappingProxyType(
    {"train": _train, "stage": _stage, "probe": _probe, "evaluate": _look, "analyse": _analyse}
)
_TAUGHT = frozenset({"train", "stage"})


def _test_steps(job: Job) -> float:
    """Forward passes of a training batch's size that all test evaluations take."""
    return -(-job.recipe.epochs // job.recipe.evaluate_every) * _test_passes(job)


def _test_passes(job: Job) -> float:
    return describe(job.recipe.dataset).num_test / job.recipe.batch_size


def _forward(job: Job, network: Job, speed: Speed) -> float:
    info = catalog.networks()[network.network]
    scale = (network.recipe.in_size / info.in_size) ** 2 * network.recipe.width**2
    return speed.launch / (1 + BACKWARD) + job.recipe.batch_size * info.macs * scale / speed.macs


def _samples(job: Job) -> int:
    recipe = job.recipe
    return min(recipe.train_limit or 10**12, describe(recipe.dataset).num_train - recipe.holdout)


def spoken(seconds: float) -> str:
    """A duration for people: ``40 s``, ``12 min``, ``3.5 h``, ``9 days``."""
    for limit, unit, name in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if name == 'h' else 0}f} {name}"
    return f"{seconds / 86400:.0f} days"
