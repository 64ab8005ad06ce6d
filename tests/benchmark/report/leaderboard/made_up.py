"""Records as if a suite's runs had been trained, with numbers that a test chooses."""

from __future__ import annotations

from typing import Any

from benchmark.runs.job import Job
from benchmark.runs.record import Record
from tests.benchmark import made_up

PROVENANCE = {
    "processor": "P",
    "device": "cpu",
    "threads": 1,
    "revision": "0a1b2c3",
    "dirty": False,
    "finished": "2025-01-02T03:04:05Z",
    "data": {"fingerprint": "f00d"},
}


def done(job: Job, top1: float, *, topk: float = 90.0, seconds: float | None = 2.0, **given: Any) -> Record:
    """A finished run's record; its best epoch is a point better than its last."""
    last = {"epoch": 6, "top1": top1, "topk": topk, "loss": 2 - top1 / 100}
    parts = {
        "metrics": {"params": 1000, "last": last, "best": {**last, "top1": top1 + 1}},
        "curves": {"test": {"epoch": [3, 6], "top1": [50.0, top1], "topk": [80.0, topk], "loss": [2.5, 1.3]}},
        "cost": {"step_seconds": seconds, "extra_parameters": 7},
        "provenance": PROVENANCE,
    }
    return made_up.record(job, **(parts | given))


def broken(job: Job, status: str, reason: str) -> Record:
    """The record of a run that has no number."""
    return made_up.record(job, status, failure={"reason": reason}, provenance={})
