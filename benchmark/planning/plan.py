"""What a plan is: the jobs that tables need, what of them is there, and the cohorts that the rest is done in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark.planning.estimates import Estimates, format_duration
from benchmark.runs.job import Job, Run
from benchmark.runs.names import CellKey
from benchmark.runs.record import NOT_APPLICABLE, Provenance, Record
from benchmark.tables.reader import Table

CACHED, MISSING, RETRAIN = "cached", "missing", "retrain"
Price = Callable[[Sequence[Job]], float]
"""Seconds of a cohort of these jobs: what each takes, and once what they share."""
NOUNS = {"train": "run", "stage": "first stage", "evaluate": "evaluation", "probe": "probe", "analyse": "analysis"}
"""What jobs are called, by their kind."""


@dataclass(frozen=True)
class Cohort:
    """Jobs that share what they are done on (one stream of batches, one teacher), done together in one process.

    Attributes:
        runs: the members, all of one kind and seed.
        seconds: the estimated time.
    """

    runs: tuple[Job, ...]
    seconds: float = 0.0

    @cached_property
    def needs(self) -> frozenset[Job]:
        """What must be finished before this cohort starts."""
        return frozenset(need for job in self.runs for need in job.needs)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(job.id for job in self.runs)

    @property
    def teacher(self) -> Job | None:
        """What left the weights of the teacher that the members share, if they have one."""
        return self.runs[0].teacher_job

    def without(self, jobs: Iterable[Job]) -> Cohort:
        """The cohort less some of its members."""
        left = {*self.runs} - {*jobs}
        return Cohort(tuple(job for job in self.runs if job in left), self.seconds)

    def __str__(self) -> str:
        first = self.runs[0]
        teacher = self.teacher.network if self.teacher else "no teacher"
        students = ", ".join(dict.fromkeys(job.network for job in self.runs))
        return f"{teacher} -> {students}, seed {first.seed}, {counted(len(self.runs), NOUNS[first.kind])}"


@dataclass(frozen=True)
class Plan:
    """What tables need and what of it is there.

    Attributes:
        tables: the tables, as selected.
        jobs: every needed job, what others need first.
        cells: for each cell's key its jobs, one a seed; none where they are not decided yet.
        records: the records found, by job id.
        states: by job id, ``cached``, ``failed``, ``not_applicable``, ``missing``, or ``retrain``: its record is to be
            replaced.
        cohorts: what has to be done.
        remarks: what a person should know, such as a teacher whose weights are not here.
        choices: what tuned methods chose, as sentences.
        estimates: of the time that cohorts take; None where nobody asks for it.
    """

    tables: tuple[Table, ...]
    jobs: tuple[Job, ...]
    cells: Mapping[CellKey, tuple[Job, ...]]
    records: Mapping[str, Record]
    states: Mapping[str, str]
    cohorts: tuple[Cohort, ...]
    remarks: tuple[str, ...]
    choices: tuple[str, ...]
    estimates: Estimates | None = None

    @cached_property
    def records_by_cell(self) -> dict[CellKey, list[Record | None]]:
        """By a cell's key, one record or None for each of its jobs; of a job in vain, the record that says why."""
        return {cell: [self._record(job) for job in jobs] for cell, jobs in self.cells.items()}

    def _record(self, job: Job) -> Record | None:
        """A job's record; where it needs what does not apply, such as a first stage, the record of that."""
        needed = (self._record(need) for need in job.needs)
        not_applicable = (record for record in needed if record is not None and record.status == NOT_APPLICABLE)
        return self.records.get(job.id) or next(not_applicable, None)

    @property
    def replaced(self) -> dict[str, Provenance]:
        """By job id, where the records come from that are to be replaced."""
        ids = (job.id for job in self.jobs if self.states[job.id] == RETRAIN)
        return {job_id: self.records[job_id].provenance for job_id in ids}

    @property
    def missing(self) -> int:
        """How many jobs have to be done."""
        return sum(len(cohort.runs) for cohort in self.cohorts)

    def about(self, seconds: float) -> str:
        """An estimated time for people, as in "about 3 min" or, from counted operations, "roughly 3 min"."""
        rough = self.estimates is not None and self.estimates.rough
        return f"{'roughly' if rough else 'about'} {format_duration(seconds)}"

    def count_missing(self) -> str:
        """What has to be done, as in "12 runs, 1 analysis"."""
        return ", ".join(count_jobs(job for cohort in self.cohorts for job in cohort.runs))

    def summary(self) -> list[str]:
        """How many cells and jobs there are, in all and by recipe, and how many of them are here."""
        states = list(self.states.values())
        found = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        total = f"{len(self.cells)} cells, {len(self.jobs)} jobs ({', '.join(count_jobs(self.jobs))}): {found}"
        groups: dict[str, list[Job]] = {}
        for job in self.jobs:
            groups.setdefault(job.recipe.name, []).append(job)
        return [total, *(f"  {recipe}: {', '.join(count_jobs(jobs))}" for recipe, jobs in groups.items())]

    def to_json(self) -> dict[str, Any]:
        """The plan for machines."""
        names: dict[str, list[str]] = {job.id: [] for job in self.jobs}
        for cell, jobs in self.cells.items():
            for job in jobs:
                names[job.id].append(cell)
        runs = [
            {
                "id": job.id,
                "kind": job.kind,
                "table_cells": names[job.id],
                "dataset": job.recipe.dataset,
                "teacher": job.teacher_job.network if job.teacher_job else None,
                "student": job.network,
                "method": job.title.rstrip(","),
                "seed": job.seed,
                "state": self.states[job.id],
            }
            for job in self.jobs
        ]
        cohorts = [
            {
                "runs": [job.id for job in cohort.runs],
                "teacher": cohort.teacher.network if cohort.teacher else None,
                "estimated_seconds": round(cohort.seconds, 1),
            }
            for cohort in self.cohorts
        ]
        return {"runs": runs, "cohorts": cohorts}


def count_jobs(jobs: Iterable[Job]) -> list[str]:
    """Jobs by their kind; a run between networks that its method cannot pair is none."""
    found = list(jobs)
    not_applicable = [job for job in found if isinstance(job, Run) and not job.applies]
    kinds = Counter(job.kind for job in found if job not in not_applicable)
    counts = [counted(count, NOUNS[kind]) for kind, count in kinds.items()]
    return [*counts, *([f"{len(not_applicable)} not applicable"] if not_applicable else [])]


def counted(count: int, noun: str) -> str:
    """As in "1 run", "2 analyses"."""
    plural = noun[:-2] + "es" if noun.endswith("is") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
