"""``--time-budget``: choose the jobs that fit into a time, whole columns of the tables before scattered cells."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

from benchmark.planning.cohorts import Cohort, Price, count_jobs
from benchmark.planning.plan import CACHED, Plan, format_duration
from benchmark.planning.schedule import pack
from benchmark.runs.job import Job
from benchmark.runs.store import NOT_APPLICABLE
from benchmark.tables.table import Table

_MOST_NAMED = 4  # columns in a message


@dataclass(frozen=True)
class Choice:
    """The jobs that fit into the time.

    Attributes:
        cohorts: cohorts to run, split and in order.
        columns: columns that will be complete afterwards, as in "wrn-40-2:wrn-16-2 of Table 11".
        left: missing jobs that are not chosen.
        seconds: seconds until the last cohort ends.
        fits: whether any job fits; if not, the cohorts are stopped at the end and resumed by the next command.
        lines: the choice as messages.
    """

    cohorts: tuple[Cohort, ...]
    columns: tuple[str, ...]
    left: tuple[Job, ...]
    seconds: float
    fits: bool
    lines: tuple[str, ...] = ()


def choose(plan: Plan, slots: int, estimated_seconds: Price, seconds: float, *, reserve: float = 0.0) -> Choice:
    """Choose among the missing jobs of a plan.

    Tables are taken in the order they were asked for. Within a table, the next column is the one that needs the fewest
    further seconds per cell: it is nearly complete, cheap, or shares a chosen teacher. A column that does not fit is
    tried seed by seed, then job by job.

    The plan's cohorts are not split yet. Of the budget, ``reserve`` seconds stay free, for processes to start and for
    errors of the estimates.
    """
    picker = _Picker(plan.cohorts, slots, estimated_seconds, seconds - reserve)
    columns = [[column for column in _columns(plan, table) if picker.lacking(column.jobs)] for table in plan.tables]
    ranked = [column for of_table in columns for column in picker.take_columns(of_table)]
    jobs = [job for column in ranked for job in column.jobs]
    for some in (*(seed for column in ranked for seed in column.seeds), *([job] for job in jobs)):
        picker.take(some)
    taken, wanted = picker.taken, picker.lacking(jobs)
    if not taken:  # nothing fits: give each process the next job that can start
        taken = {*[job for job in wanted if not wanted.keys() & {*job.needs}][:slots]}
    there = taken | {job for job in plan.jobs if plan.states[job.id] in (CACHED, NOT_APPLICABLE)}
    left = tuple(job for cohort in plan.cohorts for job in cohort.runs if job not in taken)
    now, later = (pack(_part(plan.cohorts, some), slots, estimated_seconds) for some in (taken, {*left}))
    whole = tuple(column.name for column in ranked if column.decided and there.issuperset(column.jobs))
    choice = Choice(now.cohorts, whole, left, now.makespan, fits=bool(picker.taken) or not taken)
    return replace(choice, lines=tuple(_lines(choice, plan, seconds, later.makespan)))


class _Column(NamedTuple):
    """All cells of a table about one pair, printed as a column or as a row, and their jobs seed by seed."""

    name: str
    cells: int
    decided: bool  # whether all tuned methods are chosen
    seeds: tuple[tuple[Job, ...], ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(job for jobs in self.seeds for job in jobs)


def _columns(plan: Plan, table: Table) -> Iterator[_Column]:
    """The columns of a table; trials belong to the pair whose cells they decide."""
    of_cells = {job for jobs in plan.cells.values() for job in jobs}
    for pair in table.pairs:
        cells = [plan.cells[cell.key] for cell in table.cells if cell.pair == pair]
        others = [(job,) for job in plan.jobs if job not in of_cells and job.pair == pair]
        decided = () not in cells
        seeds = zip_longest(*cells, *([] if decided else others))
        name = f"{pair} of {table.kind.capitalize()} {table.number}"
        yield _Column(name, len(cells), decided, tuple(tuple(filter(None, jobs)) for jobs in seeds))


class _Picker:
    """Collects jobs while the schedule of all collected jobs stays below a limit in seconds."""

    def __init__(self, cohorts: Sequence[Cohort], slots: int, estimated_seconds: Price, limit: float) -> None:
        self._cohorts = cohorts
        self._slots = slots
        self._seconds = estimated_seconds
        self._limit = limit
        self._cohort_of = {job: cohort for cohort in cohorts for job in cohort.runs}
        self._too_much = math.inf
        self.taken: set[Job] = set()

    def lacking(self, jobs: Iterable[Job]) -> dict[Job, None]:
        """The missing jobs among some jobs and their needs that are not taken yet, needs first."""
        found: dict[Job, None] = {}
        for job in jobs:
            if job in self._cohort_of and job not in found and job not in self.taken:
                found |= {**self.lacking(job.needs), job: None}
        return found

    def take_columns(self, columns: list[_Column]) -> Iterator[_Column]:
        """Take the columns that fit as a whole; yield all columns in the order they were tried."""
        while columns:
            column = min(columns, key=lambda column: self._added(self.lacking(column.jobs)) / column.cells)
            self.take(column.jobs)
            columns.remove(column)
            yield column

    def take(self, jobs: Iterable[Job]) -> None:
        """Take some jobs with their needs, if they fit."""
        lacking = self.lacking(jobs)
        added = self._added(lacking)
        # The taken set only grows, so jobs that add as much as others that did not fit need not be tried.
        if not lacking or added >= self._too_much:
            return
        more = _part(self._cohorts, self.taken.union(lacking))
        fits = self._work(more) <= self._limit * self._slots
        if fits and pack(more, self._slots, self._seconds, enough=self._limit).makespan <= self._limit:
            self.taken.update(lacking)
        else:
            self._too_much = added

    def _added(self, lacking: Iterable[Job]) -> float:
        """Further seconds, summed over processes."""
        touched = dict.fromkeys(self._cohort_of[job] for job in lacking)
        more, before = (_part(touched, some) for some in (self.taken.union(lacking), self.taken))
        return self._work(more) - self._work(before)

    def _work(self, cohorts: Iterable[Cohort]) -> float:
        return sum(self._seconds(cohort.runs) for cohort in cohorts)


def _part(cohorts: Iterable[Cohort], jobs: Collection[Job]) -> list[Cohort]:
    """The cohorts reduced to these jobs."""
    found = (replace(cohort, runs=tuple(job for job in cohort.runs if job in jobs)) for cohort in cohorts)
    return [cohort for cohort in found if cohort.runs]


def _lines(choice: Choice, plan: Plan, seconds: float, later: float) -> Iterator[str]:
    """The choice as messages; ``later`` is the estimated time of the jobs that are left."""
    chosen, budget = replace(plan, cohorts=choice.cohorts).count_missing(), f"time budget {format_duration(seconds)}"
    if choice.fits:
        yield f"{budget}: {chosen or 'nothing to do'}, {plan.about(choice.seconds)}"
    else:
        what = "will start, stop when the time is over, and resume with the next command"
        yield f"{budget}: too short for any job; {chosen} {what} ({plan.about(choice.seconds)} in all)"
    if choice.columns:
        named, more = ", ".join(choice.columns[:_MOST_NAMED]), len(choice.columns) - _MOST_NAMED
        yield f"complete columns afterwards: {named}{f' and {more} more' if more > 0 else ''}"
    if choice.left:
        yield f"left: {', '.join(count_jobs(choice.left))}, {plan.about(later)}; the same command continues"
