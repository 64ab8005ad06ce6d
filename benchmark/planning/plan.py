"""A plan: the jobs that tables need, which of them have records, and the cohorts in which the others run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmark.planning.cohorts import Cohort, count_jobs
from benchmark.planning.estimates import Estimates
from benchmark.runs.job import Job
from benchmark.runs.names import TEACHER, CellKey
from benchmark.runs.record import NOT_APPLICABLE, Provenance, Record
from benchmark.tables.table import Table

CACHED, MISSING, RETRAIN = "cached", "missing", "retrain"


@dataclass(frozen=True)
class Plan:
    """The jobs that tables need, their records, and the cohorts of the missing ones.

    Attributes:
        tables: the selected tables.
        jobs: all needed jobs, needs before the jobs that need them.
        cells: jobs by cell, one per seed; empty while a tuned method is not chosen yet.
        records: the records that exist, by job id.
        states: by job id, ``cached``, ``failed``, ``not_applicable``, ``missing``, or ``retrain`` (its record is
            replaced).
        cohorts: the jobs to run.
        remarks: messages for the user, such as a teacher whose weights are missing.
        choices: what tuned methods chose, as sentences.
        estimates: estimated seconds of cohorts; None if they were not requested.
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
        """Records by cell, one or None per job; for a job that does not apply, the record that says why."""
        return {cell: [self._record(job) for job in jobs] for cell, jobs in self.cells.items()}

    def view(self, table: Table, seeds: Sequence[int]) -> Plan:
        """This plan for one table over some of its seeds.

        A cell about the teacher has its one job for all seeds, and a figure shows the first seed alone.

        Args:
            table: its cells must be cells of this plan.
            seeds: some of the plan's seeds, in any order; of a figure, the first must be the plan's first.

        Raises:
            KeyError: the plan lacks a cell or a seed.
        """
        cells: dict[CellKey, tuple[Job, ...]] = {}
        for cell in table.cells:
            jobs = self.cells[cell.key]
            if jobs and cell.method != TEACHER:
                by_seed = {job.seed: job for job in jobs}
                jobs = tuple(by_seed[seed] for seed in seeds_of(table, seeds))
            cells[cell.key] = jobs
        return replace(self, tables=(table,), cells=cells)

    def _record(self, job: Job) -> Record | None:
        """A job's record; if one of its needs does not apply (such as a pretraining stage), that need's record."""
        needed = (self._record(need) for need in job.needs)
        not_applicable = (record for record in needed if record is not None and record.status == NOT_APPLICABLE)
        return self.records.get(job.id) or next(not_applicable, None)

    @property
    def replaced(self) -> dict[str, Provenance]:
        """Provenance of the records that are to be replaced, by job id."""
        ids = (job.id for job in self.jobs if self.states[job.id] == RETRAIN)
        return {job_id: self.records[job_id].provenance for job_id in ids}

    @property
    def missing(self) -> int:
        """Number of jobs to run."""
        return sum(len(cohort.runs) for cohort in self.cohorts)

    def about(self, seconds: float) -> str:
        """An estimated time in words: "about 3 min", or "roughly 3 min" from counted operations."""
        rough = self.estimates is not None and self.estimates.rough
        return f"{'roughly' if rough else 'about'} {format_duration(seconds)}"

    def count_missing(self) -> str:
        """The jobs to run in words, as in "12 runs, 1 analysis"."""
        return ", ".join(count_jobs(job for cohort in self.cohorts for job in cohort.runs))

    def summary(self) -> list[str]:
        """Lines that count cells and jobs, in all and by recipe, and how many have records."""
        states = list(self.states.values())
        found = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        total = f"{len(self.cells)} cells, {len(self.jobs)} jobs ({', '.join(count_jobs(self.jobs))}): {found}"
        groups: dict[str, list[Job]] = {}
        for job in self.jobs:
            groups.setdefault(job.recipe.name, []).append(job)
        return [total, *(f"  {recipe}: {', '.join(count_jobs(jobs))}" for recipe, jobs in groups.items())]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
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
                "teacher": job.pair.teacher if job.teacher_job else None,
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
                "teacher": cohort.runs[0].pair.teacher if cohort.teacher else None,
                "estimated_seconds": round(cohort.seconds, 1),
            }
            for cohort in self.cohorts
        ]
        return {"runs": runs, "cohorts": cohorts}


def seeds_of(table: Table, seeds: Sequence[int]) -> Sequence[int]:
    """The seeds whose runs a table shows; a figure shows one run per panel."""
    return seeds[:1] if table.kind == "figure" else seeds


def format_duration(seconds: float) -> str:
    """A duration in words: ``40 s``, ``12 min``, ``3.5 h``, ``9 days``."""
    for limit, unit, name in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if name == 'h' else 0}f} {name}"
    return f"{seconds / 86400:.0f} days"
