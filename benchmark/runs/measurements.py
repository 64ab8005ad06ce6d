"""Jobs that measure a trained network: a linear probe on its features, and an analysis of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.runs.job import Job, Run, reference
from benchmark.runs.names import PairName


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe(Job):
    """A linear classifier trained on the features of a frozen network.

    Attributes:
        base: the run that leaves the network.
    """

    kind = "probe"
    leaves_weights = False

    base: Run

    @property
    def needs(self) -> tuple[Job, ...]:
        return (self.base,)

    @property
    def inputs(self) -> Mapping[str, Any]:
        return {"recipe": self.recipe.spec, "base": reference(self.base)}

    @property
    def folder(self) -> str:
        return self.base.folder

    @property
    def pair(self) -> PairName:
        return self.base.pair

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.recipe.stream, self.seed, self.network)

    @property
    def title(self) -> str:
        return f"{self.base.title}, probe on {self.recipe.dataset},"


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis(Job):
    """A measurement of a network's outputs on the test images, in float32.

    Attributes:
        measure: name of the measure, a file of ``benchmark/analysis``.
        revision: revision of the measure's code.
        subject: the job that leaves the network.
        teacher: the job that leaves the network it is compared with, or None.
    """

    kind = "analyse"
    leaves_weights = False

    measure: str
    revision: int
    subject: Job
    teacher: Job | None

    @property
    def needs(self) -> tuple[Job, ...]:
        return (self.subject, *([self.teacher] if self.teacher else []))

    @property
    def teacher_job(self) -> Job | None:
        return self.teacher or self.subject.teacher_job

    @property
    def inputs(self) -> Mapping[str, Any]:
        measure = {"name": self.measure, "revision": self.revision}
        return {"measure": measure, "subject": reference(self.subject), "teacher": reference(self.teacher)}

    @property
    def folder(self) -> str:
        return f"{self.subject.folder}@{self.measure}"

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.measure, self.seed, self.teacher.id if self.teacher else self.network)

    @property
    def title(self) -> str:
        return f"{self.subject.title}, {self.measure},"
