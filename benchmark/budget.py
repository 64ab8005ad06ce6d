"""What to do in limited time: whole columns of the tables before scattered cells, the most wanted first.

A column is what a table says about one pair of networks, be it printed as a column or as a row.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest

from benchmark.costs import spoken
from benchmark.jobs import Job
from benchmark.packing import EFFORT, pack
from benchmark.plan import CACHED, Cohort, Plan, Price
from benchmark.schedule import simulate
from benchmark.store import NOT_APPLICABLE

_NAMED = 4  # columns that are told by name


@dataclass(frozen=True)
class Choice:
    """What fits into the time.

    Attributes:
        cohorts: what to do, split and in order.
        columns: what will be whole afterwards, as in "wrn-40-2:wrn-16-2 of Table 11".
        left: missing jobs that stay so.
        seconds: when the last cohort will end; where nothing fits, after the time is over.
        fits: false where not one job fits, and what is begun has to be stopped and resumed.
        lines: all this for people.
    """

    cohorts: tuple[Cohort, ...]
    columns: tuple[str, ...]
    left: tuple[Job, ...]
    seconds: float
    fits: bool
    lines: tuple[str, ...]


def choose(plan: Plan, slots: int, price: Price, seconds: float, *, reserve: float = 0.0) -> Choice:
    """Choose from what a plan misses.

    Tables count in the order asked for. Of one table's columns, the next is that which needs the fewest further seconds
    a cell: it is nearly done, or cheap, or its teacher is chosen already. What does not fit as a whole is tried seed by
    seed, and at last job by job.

    Args:
        plan: its cohorts as planned, whole.
        slots: equal processes.
        price: seconds of a cohort.
        seconds: the time there is.
        reserve: so much of it is left free, for processes to start and for what estimates miss.
    """
    price = _remembered(price)
    picker = _Picker(plan.cohorts, slots, price, seconds - reserve)
    columns = [column for column in _columns(plan) if picker.lacking(column.jobs)]
    ranked = list(_pick_columns(columns, picker))
    for jobs in (seed for column in ranked for seed in column.seeds):
        picker.take(jobs)
    for job in (job for column in ranked for job in column.jobs):
        picker.take([job])
    taken = picker.taken or _first_steps(ranked, picker, slots)
    there = taken | {job for job in plan.jobs if plan.states[job.id] in (CACHED, NOT_APPLICABLE)}
    packed = pack(_part(plan.cohorts, taken), slots, price)
    left = tuple(job for cohort in plan.cohorts for job in cohort.runs if job not in taken)
    choice = Choice(
        cohorts=packed,
        columns=tuple(column.name for column in ranked if column.decided and there.issuperset(column.jobs)),
        left=left,
        seconds=simulate(packed, slots).makespan,
        fits=bool(picker.taken) or not taken,
        lines=(),
    )
    later = simulate(pack(_part(plan.cohorts, {*left}), slots, price), slots).makespan
    return replace(choice, lines=tuple(_lines(choice, plan, seconds, later)))


def _remembered(price: Price) -> Price:
    known = cache(price)
    return lambda jobs: known(tuple(jobs))


@dataclass(frozen=True)
class _Column:
    """All that a table says about a pair.

    Attributes:
        name: for people.
        table: position of the table among those asked for.
        cells: how many there are.
        decided: whether it is known what all cells are made from.
        seeds: the jobs of all its cells, those of the first seed first.
    """

    name: str
    table: int
    cells: int
    decided: bool
    seeds: tuple[tuple[Job, ...], ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(job for jobs in self.seeds for job in jobs)


def _columns(plan: Plan) -> Iterator[_Column]:
    """The columns in the order asked for; trials belong to the pair whose cells they decide."""
    of_cells = {job for jobs in plan.cells.values() for job in jobs}
    for position, table in enumerate(plan.tables):
        for pair in table.pairs:
            cells = [plan.cells[cell.name] for cell in table.cells() if f"{cell.teacher}:{cell.student}" == pair]
            others = [(job,) for job in plan.jobs if job not in of_cells and job.pair == pair.replace(":", "--")]
            decided = () not in cells
            seeds = zip_longest(*cells, *([] if decided else others))
            name = f"{pair} of {table.kind.capitalize()} {table.number}"
            yield _Column(name, position, len(cells), decided, tuple(tuple(filter(None, jobs)) for jobs in seeds))


def _pick_columns(columns: Sequence[_Column], picker: _Picker) -> Iterator[_Column]:
    """Take the columns that fit as a whole; gives all, the most wanted first."""
    left = list(columns)
    while left:
        table = [column for column in left if column.table == left[0].table]
        column = min(table, key=lambda column: picker.added(column.jobs) / column.cells)
        picker.take(column.jobs)
        left.remove(column)
        yield column


def _first_steps(ranked: Sequence[_Column], picker: _Picker, slots: int) -> set[Job]:
    """Where nothing fits: for each process the most wanted of the jobs that can begin."""
    wanted = picker.closure(job for column in ranked for job in column.jobs)
    return {*[job for job in wanted if not wanted.keys() & {*job.needs}][:slots]}


class _Picker:
    """Takes what still fits.

    Args:
        cohorts: all that is missing.
        slots: processes.
        price: seconds of a cohort.
        limit: the time there is, in seconds.
    """

    def __init__(self, cohorts: Sequence[Cohort], slots: int, price: Price, limit: float) -> None:
        self._cohorts = cohorts
        self._slots = slots
        self._price = price
        self._limit = limit
        self._home = {job: cohort for cohort in cohorts for job in cohort.runs}
        self._spent = 0.0
        self._too_much = math.inf
        self.taken: set[Job] = set()

    def closure(self, jobs: Iterable[Job]) -> dict[Job, None]:
        """The missing ones among some jobs and what they need, needs first."""
        found: dict[Job, None] = {}
        for job in jobs:
            if job in self._home and job not in found:
                found |= self.closure(job.needs)
                found[job] = None
        return found

    def lacking(self, jobs: Iterable[Job]) -> list[Job]:
        """The closure without what is taken."""
        return [job for job in self.closure(jobs) if job not in self.taken]

    def added(self, jobs: Iterable[Job]) -> float:
        """Further seconds of all processes together that some jobs take, with what they need."""
        lacking = self.lacking(jobs)
        touched = list(dict.fromkeys(self._home[job] for job in lacking))
        return self._total(_part(touched, self.taken.union(lacking))) - self._total(_part(touched, self.taken))

    def take(self, jobs: Iterable[Job]) -> bool:
        """Take some jobs and what they need, if they fit beside what is taken."""
        lacking = self.lacking(jobs)
        if not lacking:
            return True
        added = self.added(lacking)
        if added >= self._too_much or self._spent + added > self._limit * self._slots:
            return False
        if not self._fit(_part(self._cohorts, self.taken.union(lacking))):
            # What is taken only grows: nothing that adds as much will fit, and need not be tried.
            self._too_much = added
            return False
        self.taken.update(lacking)
        self._spent += added
        return True

    def _fit(self, cohorts: Sequence[Cohort]) -> bool:
        packed = pack(cohorts, self._slots, self._price, enough=self._limit, effort=EFFORT // 8)
        return simulate(packed, self._slots).makespan <= self._limit

    def _total(self, cohorts: Iterable[Cohort]) -> float:
        return sum(self._price(cohort.runs) for cohort in cohorts)


def _part(cohorts: Iterable[Cohort], jobs: Collection[Job]) -> list[Cohort]:
    """The cohorts with no other members than these jobs."""
    found = (replace(cohort, runs=tuple(job for job in cohort.runs if job in jobs)) for cohort in cohorts)
    return [cohort for cohort in found if cohort.runs]


def _lines(choice: Choice, plan: Plan, seconds: float, later: float) -> Iterator[str]:
    """A choice in words.

    Args:
        choice: without its lines.
        plan: chosen from.
        seconds: the time there is.
        later: what the rest will take.
    """
    chosen = replace(plan, cohorts=choice.cohorts).count_missing()
    if choice.fits:
        yield f"time budget {spoken(seconds)}: {chosen or 'nothing to do'}, about {spoken(choice.seconds)}"
    else:
        yield (
            f"time budget {spoken(seconds)}: too little for any job; {chosen} will be begun, stopped when the time is "
            f"over, and resumed by the next command (about {spoken(choice.seconds)} in all)"
        )
    if choice.columns:
        named = ", ".join(choice.columns[:_NAMED])
        more = f" and {len(choice.columns) - _NAMED} more" if len(choice.columns) > _NAMED else ""
        yield f"whole columns afterwards: {named}{more}"
    if choice.left:
        rest = replace(plan, cohorts=(Cohort(choice.left),)).count_missing()
        yield f"left: {rest}, about {spoken(later)}; the same command goes on"
