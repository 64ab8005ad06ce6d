"""What to do in limited time: whole columns of the tables before scattered cells, the most wanted first.

A column is what a table says about one pair of networks, be it printed as a column or as a row.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

from benchmark.planning.estimates import format_duration
from benchmark.planning.packing import pack
from benchmark.planning.plan import CACHED, Cohort, Plan, Price
from benchmark.runs.job import Job
from benchmark.runs.store import NOT_APPLICABLE
from benchmark.tables.reader import Table

_NAMED = 4  # columns that are told by name


@dataclass(frozen=True)
class Choice:
    """What fits into the time.

    Attributes:
        cohorts: what to do, split and in order.
        columns: what will be whole afterwards, as in "wrn-40-2:wrn-16-2 of Table 11".
        left: missing jobs that stay so.
        seconds: when the last cohort will end.
        fits: whether any job fits; else what is begun has to be stopped and resumed.
        lines: all this for people.
    """

    cohorts: tuple[Cohort, ...]
    columns: tuple[str, ...]
    left: tuple[Job, ...]
    seconds: float
    fits: bool
    lines: tuple[str, ...] = ()


def choose(plan: Plan, slots: int, estimated_seconds: Price, seconds: float, *, reserve: float = 0.0) -> Choice:
    """Choose from what a plan misses.

    Tables count in the order asked for. Of one table's columns, the next is that which needs the fewest further seconds
    a cell: it is nearly done, or cheap, or its teacher is chosen already. What does not fit as a whole is tried seed by
    seed, and at last job by job.

    Args:
        plan: its cohorts as planned, whole.
        slots: equal processes.
        estimated_seconds: seconds of a cohort.
        seconds: the time there is.
        reserve: so much of it is left free, for processes to start and for what estimates miss.
    """
    picker = _Picker(plan.cohorts, slots, estimated_seconds, seconds - reserve)
    columns = [[column for column in _columns(plan, table) if picker.lacking(column.jobs)] for table in plan.tables]
    ranked = [column for of_table in columns for column in picker.take_columns(of_table)]
    jobs = [job for column in ranked for job in column.jobs]
    for some in (*(seed for column in ranked for seed in column.seeds), *([job] for job in jobs)):
        picker.take(some)
    taken, wanted = picker.taken, picker.lacking(jobs)
    if not taken:  # for each process the most wanted of the jobs that can begin
        taken = {*[job for job in wanted if not wanted.keys() & {*job.needs}][:slots]}
    there = taken | {job for job in plan.jobs if plan.states[job.id] in (CACHED, NOT_APPLICABLE)}
    left = tuple(job for cohort in plan.cohorts for job in cohort.runs if job not in taken)
    now, later = (pack(_part(plan.cohorts, some), slots, estimated_seconds) for some in (taken, {*left}))
    whole = tuple(column.name for column in ranked if column.decided and there.issuperset(column.jobs))
    choice = Choice(now.cohorts, whole, left, now.makespan, fits=bool(picker.taken) or not taken)
    return replace(choice, lines=tuple(_lines(choice, plan, seconds, later.makespan)))


class _Column(NamedTuple):
    """All that a table says about a pair: so many cells, and their jobs, seed by seed, where all are decided."""

    name: str
    cells: int
    decided: bool
    seeds: tuple[tuple[Job, ...], ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(job for jobs in self.seeds for job in jobs)


def _columns(plan: Plan, table: Table) -> Iterator[_Column]:
    """A table's columns; trials belong to the pair whose cells they decide."""
    of_cells = {job for jobs in plan.cells.values() for job in jobs}
    for pair in table.pairs:
        cells = [plan.cells[cell.key] for cell in table.cells if cell.pair == pair]
        others = [(job,) for job in plan.jobs if job not in of_cells and job.pair == pair]
        decided = () not in cells
        seeds = zip_longest(*cells, *([] if decided else others))
        name = f"{pair} of {table.kind.capitalize()} {table.number}"
        yield _Column(name, len(cells), decided, tuple(tuple(filter(None, jobs)) for jobs in seeds))


class _Picker:
    """Takes what fits into so many seconds of so many processes, beside what it has taken."""

    def __init__(self, cohorts: Sequence[Cohort], slots: int, estimated_seconds: Price, limit: float) -> None:
        self._cohorts = cohorts
        self._slots = slots
        self._price = estimated_seconds
        self._limit = limit
        self._home = {job: cohort for cohort in cohorts for job in cohort.runs}
        self._spent = 0.0
        self._too_much = math.inf
        self.taken: set[Job] = set()

    def lacking(self, jobs: Iterable[Job]) -> dict[Job, None]:
        """The missing ones among some jobs and what they need that are not taken, needs first."""
        found: dict[Job, None] = {}
        for job in jobs:
            if job in self._home and job not in found and job not in self.taken:
                found |= {**self.lacking(job.needs), job: None}
        return found

    def take_columns(self, columns: list[_Column]) -> Iterator[_Column]:
        """Take the columns that fit as a whole; gives all, the most wanted first."""
        while columns:
            column = min(columns, key=lambda column: self._added(self.lacking(column.jobs)) / column.cells)
            self.take(column.jobs)
            columns.remove(column)
            yield column

    def take(self, jobs: Iterable[Job]) -> None:
        """Take some jobs and what they need, if they fit."""
        lacking = self.lacking(jobs)
        added = self._added(lacking)
        # What is taken only grows: what adds as much as something that did not fit need not be tried.
        if not lacking or added >= self._too_much or self._spent + added > self._limit * self._slots:
            return
        more = _part(self._cohorts, self.taken.union(lacking))
        if pack(more, self._slots, self._price, enough=self._limit).makespan > self._limit:
            self._too_much = added
            return
        self.taken.update(lacking)
        self._spent += added

    def _added(self, lacking: Iterable[Job]) -> float:
        """Further seconds of all processes together."""
        touched = dict.fromkeys(self._home[job] for job in lacking)
        more, before = (_part(touched, some) for some in (self.taken.union(lacking), self.taken))
        return sum(self._price(cohort.runs) for cohort in more) - sum(self._price(cohort.runs) for cohort in before)


def _part(cohorts: Iterable[Cohort], jobs: Collection[Job]) -> list[Cohort]:
    """The cohorts with no other members than these jobs."""
    found = (replace(cohort, runs=tuple(job for job in cohort.runs if job in jobs)) for cohort in cohorts)
    return [cohort for cohort in found if cohort.runs]


def _lines(choice: Choice, plan: Plan, seconds: float, later: float) -> Iterator[str]:
    """A choice for people, of so many seconds, and how many the rest will take."""
    chosen = replace(plan, cohorts=choice.cohorts).count_missing()
    if choice.fits:
        yield f"time budget {format_duration(seconds)}: {chosen or 'nothing to do'}, {plan.about(choice.seconds)}"
    else:
        yield (
            f"time budget {format_duration(seconds)}: too little for any job; {chosen} will be begun, stopped when "
            f"the time is over, and resumed by the next command ({plan.about(choice.seconds)} in all)"
        )
    if choice.columns:
        named = ", ".join(choice.columns[:_NAMED])
        more = f" and {len(choice.columns) - _NAMED} more" if len(choice.columns) > _NAMED else ""
        yield f"whole columns afterwards: {named}{more}"
    if choice.left:
        rest = replace(plan, cohorts=(Cohort(choice.left),)).count_missing()
        yield f"left: {rest}, {plan.about(later)}; the same command goes on"
