"""Cohorts: jobs that run together in one process, because they share a batch stream and a teacher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark.runs.job import Job, Run

Price = Callable[[Sequence[Job]], float]
"""Estimates the seconds of a cohort of these jobs."""
NOUNS = {"train": "run", "stage": "first stage", "evaluate": "evaluation", "probe": "probe", "analyse": "analysis"}
"""Nouns for kinds of jobs in messages."""


@dataclass(frozen=True)
class Cohort:
    """Jobs that share a batch stream and a teacher and run together in one process.

    Attributes:
        runs: the members, all of one kind and seed.
        seconds: estimated time.
    """

    runs: tuple[Job, ...]
    seconds: float = 0.0

    @cached_property
    def needs(self) -> frozenset[Job]:
        """The jobs that must be finished before this cohort starts."""
        return frozenset(need for job in self.runs for need in job.needs)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of the members."""
        return tuple(job.id for job in self.runs)

    @property
    def teacher(self) -> Job | None:
        """The job that leaves the weights of the members' teacher, or None."""
        return self.runs[0].teacher_job

    def without(self, jobs: Iterable[Job]) -> Cohort:
        """The cohort without some of its members."""
        left = {*self.runs} - {*jobs}
        return Cohort(tuple(job for job in self.runs if job in left), self.seconds)

    def __str__(self) -> str:
        first = self.runs[0]
        teacher = first.pair.teacher if self.teacher else "no teacher"
        students = ", ".join(dict.fromkeys(job.network for job in self.runs))
        return f"{teacher} -> {students}, seed {first.seed}, {counted(len(self.runs), NOUNS[first.kind])}"


def form_cohorts(jobs: Iterable[Job], estimated_seconds: Price) -> list[Cohort]:
    """Group jobs with equal `Job.cohort_key` into cohorts."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.cohort_key, []).append(job)
    return [Cohort(tuple(members), estimated_seconds(members)) for members in groups.values()]


def count_jobs(jobs: Iterable[Job]) -> list[str]:
    """Counts of jobs by kind, in words; runs whose method does not apply to their pair are counted apart."""
    found = list(jobs)
    not_applicable = [job for job in found if isinstance(job, Run) and not job.applies]
    kinds = Counter(job.kind for job in found if job not in not_applicable)
    counts = [counted(count, NOUNS[kind]) for kind, count in kinds.items()]
    return [*counts, *([f"{len(not_applicable)} not applicable"] if not_applicable else [])]


def counted(count: int, noun: str) -> str:
    """As in "1 run", "2 analyses"."""
    plural = noun[:-2] + "es" if noun.endswith("is") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
