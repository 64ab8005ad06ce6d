"""Tables to jobs to cohorts: what is cached, what has to be trained, together with what, after what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark import costs
from benchmark.jobs import Job
from benchmark.objectives import STUDENT, parse_method
from benchmark.recipes import Book
from benchmark.store import FAILED, Record, Store
from benchmark.tables import TEACHER, Cell, Table

CACHED, MISSING = "cached", "missing"


@dataclass(frozen=True)
class Cohort:
    """Runs that share one stream of batches and one teacher, trained together in one process.

    Attributes:
        runs: the members, all of one seed.
        seconds: the estimated time, corrected by what finished runs took.
        counted_seconds: the same before the correction.
    """

    runs: tuple[Job, ...]
    seconds: float = 0.0
    counted_seconds: float = 0.0

    @property
    def teacher(self) -> Job | None:
        """The run that must be finished before this cohort starts."""
        return self.runs[0].teacher

    def __str__(self) -> str:
        teacher = self.teacher.network if self.teacher else "no teacher"
        students = ", ".join(dict.fromkeys(job.network for job in self.runs))
        runs = f"{len(self.runs)} run{'s' if len(self.runs) > 1 else ''}"
        return f"{teacher} -> {students}, seed {self.runs[0].seed}, {runs}"


@dataclass(frozen=True)
class Plan:
    """What tables need and what of it is there.

    Attributes:
        tables: the tables, as selected.
        jobs: every needed run, teachers first.
        cells: for each cell's name its runs, one a seed.
        records: the records found, by job id.
        states: ``cached``, ``failed`` or ``missing``, by job id.
        cohorts: what has to be trained.
        remarks: what a person should know, such as a teacher whose weights are not here.
    """

    tables: tuple[Table, ...]
    jobs: tuple[Job, ...]
    cells: Mapping[str, tuple[Job, ...]]
    records: Mapping[str, Record]
    states: Mapping[str, str]
    cohorts: tuple[Cohort, ...]
    remarks: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many runs have to be trained."""
        return sum(len(cohort.runs) for cohort in self.cohorts)

    @property
    def seconds(self) -> float:
        """Estimated seconds of one process after another."""
        return sum(cohort.seconds for cohort in self.cohorts)

    def to_json(self) -> dict[str, Any]:
        """The plan for machines."""
        names: dict[str, list[str]] = {job.id: [] for job in self.jobs}
        for cell, jobs in self.cells.items():
            for job in jobs:
                names[job.id].append(cell)
        runs = [
            {
                "id": job.id,
                "table_cells": names[job.id],
                "dataset": job.recipe.dataset,
                "teacher": job.teacher.network if job.teacher else None,
                "student": job.network,
                "method": job.method,
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


def make_plan(
    tables: Sequence[Table], book: Book, seeds: Sequence[int], store: Store, speed: costs.Speed, *, retry: bool = False
) -> Plan:
    """Expand tables into jobs, drop duplicates, look up what exists and put the rest into cohorts.

    Args:
        tables: as selected.
        book: recipes at the scale of the profile.
        seeds: of the students; a teacher is the one run of seed 0.
        store: where records lie.
        speed: of the machine that will train.
        retry: train failed runs again.
    """
    cells = {cell.name: _jobs(cell, table, book, seeds) for table in tables for cell in table.cells()}
    jobs = _unique(job for runs in cells.values() for job in runs)
    records = {job.id: record for job in jobs if (record := store.read(job)) is not None}
    states = {job.id: _state(records.get(job.id)) for job in jobs}
    wanted = [job for job in jobs if states[job.id] == MISSING or (retry and states[job.id] == FAILED)]
    stuck = {job.teacher: job for job in wanted if job.teacher and not retry and states[job.teacher.id] == FAILED}
    wanted = [job for job in wanted if job.teacher not in stuck]
    lost = _lost_teachers(wanted, states, store)
    states |= {job.id: MISSING for job in lost}
    measured = ((job, records[job.id]) for job in jobs if states[job.id] == CACHED)
    chosen = {*wanted, *lost}
    cohorts = _cohorts([job for job in jobs if job in chosen], costs.calibrated(speed, measured))
    remarks = (*map(_stuck_remark, stuck), *(_lost_remark(job, store) for job in lost))
    return Plan(tuple(tables), jobs, cells, records, states, cohorts, remarks)


def _stuck_remark(teacher: Job) -> str:
    return f"teacher {teacher.network} failed, so its students cannot be trained: --retry-failed trains it again"


def _lost_remark(teacher: Job, store: Store) -> str:
    return (
        f"teacher {teacher.network}: its record is here, its weights are not, and missing runs need them. It is "
        f"trained again; to avoid that, put its weights at {store.teacher_path(teacher)}"
    )


def _jobs(cell: Cell, table: Table, book: Book, seeds: Sequence[int]) -> tuple[Job, ...]:
    if cell.method == TEACHER:
        return (book.job(table.recipe, cell.teacher, parse_method(STUDENT), None, 0),)
    method = parse_method(cell.method)
    first = book.job(table.recipe, cell.student, method, cell.teacher, seeds[0])
    return tuple(replace(first, seed=seed) for seed in seeds)


def _unique(jobs: Iterable[Job]) -> tuple[Job, ...]:
    found: dict[str, Job] = {}
    for job in jobs:
        if job.teacher is not None:
            found.setdefault(job.teacher.id, job.teacher)
        found.setdefault(job.id, job)
    return tuple(found.values())


def _state(record: Record | None) -> str:
    if record is None:
        return MISSING
    return FAILED if record["status"] == FAILED else CACHED


def _lost_teachers(wanted: Sequence[Job], states: Mapping[str, str], store: Store) -> list[Job]:
    teachers = dict.fromkeys(job.teacher for job in wanted if job.teacher is not None)
    return [job for job in teachers if states[job.id] == CACHED and store.weights(job) is None]


def _cohorts(runs: Sequence[Job], speed: costs.Speed) -> tuple[Cohort, ...]:
    """Group by stream, seed and teacher; teachers first, since others wait for them, then the longest first."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in runs:
        # Without a teacher nothing but the stream is shared: a network at a time keeps processes evenly busy.
        partner = job.teacher.id if job.teacher else job.network
        groups.setdefault((job.recipe.stream, job.seed, partner), []).append(job)
    teachers = {job.teacher.id for job in runs if job.teacher}
    cohorts = [
        Cohort(tuple(members), costs.seconds(members, speed) * speed.correction, costs.seconds(members, speed))
        for members in groups.values()
    ]
    return tuple(sorted(cohorts, key=lambda cohort: (cohort.runs[0].id not in teachers, -cohort.seconds)))
