"""Made up: jobs that are nothing but what a schedule needs to know of them, and records as if jobs had been done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.ids import digest
from benchmark.runs.job import Job
from benchmark.runs.names import parse_method
from benchmark.runs.record import ANALYSE, DONE, EVALUATE, PROBE, STAGE, TRAIN, Record
from benchmark.runs.record_file import parse


@dataclass(frozen=True, kw_only=True, eq=False)
class Task(Job):
    """A job that says what it costs, and which others it needs."""

    kind = "train"

    own: int = 0
    shared: int = 0
    after: tuple[Job, ...] = ()

    @property
    def needs(self):
        return self.after

    @property
    def spec(self):
        return {"network": self.network, "seed": self.seed}


EPOCH = {"epoch": 6, "top1": 97.0, "topk": 99.5, "loss": 0.1}
NUMBERS: Mapping[str, Mapping[str, float]] = {
    TRAIN: EPOCH,
    PROBE: EPOCH,
    EVALUATE: {name: EPOCH[name] for name in ("top1", "topk", "loss")},
    STAGE: {"epoch": 2, "loss": 0.75},
    ANALYSE: {},
}
COST = {"cohort_seconds": 20.0, "cohort_members": 3, "step_seconds": 2.0, "images": 3594, "extra_parameters": 7}
PROVENANCE = {"device": "cpu", "threads": 1}


def parts(kind: str, status: str = DONE, **given: Any) -> dict[str, Any]:
    """What a job of a kind leaves beside its spec; what is given goes into it, numbers among those of its kind."""
    metrics = given.pop("metrics", {})
    if status != DONE:
        return {"metrics": metrics, "failure": {"reason": "diverged"}, **given}
    epochs = ("last", "best") if kind in (TRAIN, PROBE) else ("last",)
    numbers = {epoch: {**NUMBERS[kind], **metrics.get(epoch, {})} for epoch in epochs}
    if kind == ANALYSE and not (numbers["last"] or "points" in given):
        numbers["last"]["kl_teacher"] = 0.5
    cost = {"cost": COST | given.pop("cost")} if "cost" in given else {}
    return {"metrics": {**metrics, **numbers}, **cost, **given}


def record(job: Job | None = None, status: str = DONE, **given: Any) -> Record:
    """The record of a job, or of a run of KD; what is given replaces parts or, in ``spec``, changes it."""
    return parse(json.dumps(raw_record(job, status, **given)).encode())


def raw_record(job: Job | None = None, status: str = DONE, **given: Any) -> dict[str, Any]:
    """The same as the JSON that it is read from."""
    spec = {**(job.spec if job else _spec()), **given.pop("spec", {})}
    provenance = given.pop("provenance", PROVENANCE)
    kind = str(spec["kind"])
    head = {"schema": 1, "id": digest(spec), "kind": kind, "status": status}
    made = head | parts(kind, status, **given) | {"spec": spec, "provenance": provenance}
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


@cache
def _spec() -> dict[str, Any]:
    resolver = ConfigResolver(load_profile("digits"), {})
    return resolver.run("C100", "wrn-16-2", parse_method("kd"), TeacherChoice("C100", "wrn-40-4"), 0).spec
