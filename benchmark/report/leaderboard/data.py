"""One board of the leaderboard: every method's numbers on every pair at one scale."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypedDict, TypeGuard

import pandas as pd

from benchmark.planning.plan import Plan
from benchmark.report.aggregate import DONE, FAILED, MISSING, NOT_APPLICABLE, aggregate
from benchmark.report.caption import Context
from benchmark.report.layout import WORDS
from benchmark.report.leaderboard.statistics.bootstrap import FEWEST_PAIRS
from benchmark.report.leaderboard.statistics.scores import BASELINES
from benchmark.report.leaderboard.statistics.summary import NOTHING_YET, LeaderboardStatistics
from benchmark.report.mixtures import Elsewhere, comparisons, elsewhere, mixtures
from benchmark.runs.job import Job
from benchmark.runs.metrics import metric
from benchmark.runs.objective import STUDENT
from benchmark.runs.record import COHORT_OF_ONE, Record
from benchmark.tables.table import TEACHER, Cell, Table

METRICS: Mapping[str, str] = {
    "top1": "top-1 accuracy, %",
    "top5": "top-5 accuracy, %",
    "loss": "cross-entropy on test images",
}
"""What a board can be ordered by, and what people call it."""

UNFIT = "the method does not apply to this pair"
TIMING: Mapping[str | None, str] = {
    None: "A GPU does not time the steps of runs apart that it trains together: such runs have no step time.",
    COHORT_OF_ONE: (
        "A run that trained alone on a GPU counts with its whole training, its teacher's forward passes and the tests "
        "among it, and is compared with plain students that did so too."
    ),
}
"""What a reader must know of times that are not those of steps, by what they are of; None for no time."""


class Cost(TypedDict):
    """What a method's training takes.

    Attributes:
        relative: its time by the plain student's; None where they cannot be compared.
        extra_parameters: trained beside the network and dropped; None where nothing is trained yet.
    """

    relative: float | None
    extra_parameters: int | None


@dataclass(frozen=True)
class Source:
    """What a board is made of.

    Attributes:
        table: methods as rows, pairs as columns.
        plan: the runs of its cells, one a seed, and their records.
        context: how they came about.
    """

    table: Table
    plan: Plan
    context: Context

    def of(self, cell: Cell) -> list[Record | None]:
        """The records of a cell, one or None for each wanted seed; a teacher has one."""
        return self.plan.records_by_cell[cell.key]

    def runs(self, cell: Cell) -> list[tuple[Job, Record | None]]:
        """The runs of a cell, one a wanted seed, each with its record if there is one."""
        return list(zip(self.plan.cells[cell.key], self.of(cell), strict=True))

    @property
    def has_methods(self) -> bool:
        """Whether there is a record of any method; teachers and plain students alone are no comparison."""
        cells = (cell for cell in self.table.cells if cell.method not in (TEACHER, STUDENT))
        return any(record for cell in cells for record in self.of(cell))


@dataclass(frozen=True, eq=False)
class LeaderboardData:
    """The numbers of one scale.

    Attributes:
        source: what it is made of.
    """

    source: Source

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Those of students."""
        return tuple(cell for cell in self.source.table.cells if cell.method != TEACHER)

    def standing(self, key: str, selection: str) -> LeaderboardStatistics:
        """Who stands where by a metric at an epoch."""
        if (key, selection) not in self._standings:
            kind, scores, teachers = metric(key), self._scores(key, selection), self._teachers(key, selection)
            titles = {row.run: row.label for row in self.table.rows if row.run}
            lacking = {method: self.lack(method)[1] for method in titles if method != TEACHER}
            self._standings[key, selection] = LeaderboardStatistics(
                scores, bool(kind.higher), teachers, kind.decimals, titles, lacking=lacking
            )
        return self._standings[key, selection]

    @cached_property
    def _standings(self) -> dict[tuple[str, str], LeaderboardStatistics]:
        return {}

    @property
    def seeds(self) -> tuple[int, ...]:
        """The wanted seeds."""
        return self.source.context.seeds

    @cached_property
    def table(self) -> Table:
        """Methods as rows, pairs as columns, every row's label its own."""
        return disambiguate(self.source.table)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The cells with their states, by the table's own metric."""
        return aggregate(self.table, self.source.plan.records_by_cell, self.source.context.selection)

    @cached_property
    def states(self) -> dict[str, tuple[str, str]]:
        """By a cell's name, its state and the reasons of that."""
        lines = self.frame[["cell", "state", "reasons"]].itertuples(index=False)
        found = {cell: (state, "; ".join(reasons)) for cell, state, reasons in lines}
        unfit = (cell.key for cell in self.cells if not cell.applies and found[cell.key][0] == MISSING)
        return found | dict.fromkeys(unfit, (NOT_APPLICABLE, UNFIT))

    @cached_property
    def mixtures(self) -> tuple[str, ...]:
        """What a reader must know of runs that were not made alike, as sentences."""
        return mixtures(self.table, self.source.plan.records_by_cell, self.source.plan.records)

    @cached_property
    def elsewhere(self) -> dict[tuple[str, str], Elsewhere]:
        """By method and pair, runs that were made on another machine than those they are compared with."""
        plan, titles = self.source.plan, {row.run: row.label for row in self.table.rows if row.run}
        compared = comparisons(self.cells, plan.records_by_cell, plan.records)
        found = ((cell, elsewhere(compared, cell, titles, BASELINES.values())) for cell in self.cells)
        return {(cell.method, pair_of(cell)): one for cell, one in found if one is not None}

    def lack(self, method: str) -> tuple[str, str]:
        """Why a method has no number, if it has none: in a few words, and as a sentence."""
        states = [self.states[cell.key] for cell in self.cells if cell.method == method]
        if reasons := sorted({reason for state, reason in states if state == FAILED}):
            return WORDS[FAILED], f"Its runs failed: {'; '.join(reasons)}."
        if states and all(state == NOT_APPLICABLE for state, _ in states):
            return WORDS[NOT_APPLICABLE], "It applies to none of these pairs."
        return "no numbers yet", NOTHING_YET

    def teacher(self, pair: str) -> Record | None:
        """The record of a pair's teacher."""
        own = (cell for cell in self.table.cells if cell.method == TEACHER and pair_of(cell) == pair)
        return next((record for cell in own for record in self.source.of(cell)), None)

    @cached_property
    def timing(self) -> tuple[str, ...]:
        """What a reader must know of step times; nothing where all are those of steps."""
        done = [record for cell in self.cells for record in self.source.of(cell) if _done(record)]
        times = {_own_seconds(record)[0] for record in done if record.cost}
        return tuple(text for what, text in TIMING.items() if what in times)

    def cost(self, method: str) -> Cost:
        """A method's step time by the plain student's, and its extra parameters.

        The time is the geometric mean over pairs; of fewer than `FEWEST_PAIRS` it would be noise, and is None. The
        parameters are the mean.
        """
        costs = [cost for cell in self.cells if cell.method == method and (cost := self.cost_of(cell))]
        times = [cost["relative"] for cost in costs if cost["relative"] is not None]
        extra = [cost["extra_parameters"] for cost in costs if cost["extra_parameters"] is not None]
        return {
            "relative": statistics.geometric_mean(times) if len(times) >= FEWEST_PAIRS else None,
            "extra_parameters": round(statistics.fmean(extra)) if extra else None,
        }

    def cost_of(self, cell: Cell) -> Cost | None:
        """What a method's training takes by that of the plain student of its pair; None before anything is trained."""
        extra = [record.cost.extra_parameters for record in self.source.of(cell) if _done(record) and record.cost]
        return {"relative": self._relative(cell), "extra_parameters": extra[0]} if extra else None

    def _relative(self, cell: Cell) -> float | None:
        """Seconds by those of the plain student: of the same seed, known alike, and on the same machine."""
        plain = next((c for c in self.cells if c.method == STUDENT and pair_of(c) == pair_of(cell)), None)
        if plain is None:
            return None
        own, base = ([self._time(record) for record in self.source.of(each)] for each in (cell, plain))
        alike = [(mine[1], theirs[1]) for mine, theirs in zip(own, base, strict=True) if _comparable(mine, theirs)]
        if not alike:
            return None
        # The least of the seeds is what other work on the machine disturbed the least.
        ratio: float = min(mine for mine, _ in alike) / min(theirs for _, theirs in alike)
        return round(ratio, 3)

    def _scores(self, key: str, selection: str) -> pd.DataFrame:
        rows = [
            (cell.method, pair_of(cell), job.seed, value)
            for cell in self.cells
            for job, record in self.source.runs(cell)
            if (value := value_of(record, key, selection)) is not None
        ]
        return pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])

    def _teachers(self, key: str, selection: str) -> dict[str, float]:
        values = {pair: value_of(self.teacher(pair), key, selection) for pair in self.table.pairs}
        return {pair: value for pair, value in values.items() if value is not None}

    def _time(self, record: Record | None) -> tuple[tuple[object, ...], float]:
        """What the time is of, the machine, and the seconds, those of first stages too; 0 where that is not known."""
        if not _done(record):
            return (), 0.0
        known = self.source.plan.records
        stages = [known[stage] for stage in record.spec.get("stages", ()) if stage in known]
        what, seconds = zip(*map(_own_seconds, (record, *stages)), strict=True)
        alike = what[0] is not None and len({*what}) == 1
        return (what[0], *record.provenance.machine.values()), sum(seconds) if alike else 0.0


def _own_seconds(record: Record) -> tuple[str | None, float]:
    """Seconds of a job alone, after what they are of; None and 0 where it shared those of others."""
    return (record.cost.own_seconds if record.cost else None) or (None, 0.0)


def disambiguate(table: Table) -> Table:
    """The table with a method's name behind its label wherever several methods are called the same."""
    times = Counter(row.label for row in table.rows)
    shared = {row for row in table.rows if row.run and times[row.label] > 1}
    rows = (replace(row, label=f"{row.label} ({row.run})") if row in shared else row for row in table.rows)
    return replace(table, rows=tuple(rows))


def pair_of(cell: Cell) -> str:
    """The pair of a cell, as people write it."""
    return cell.pair


def _done(record: Record | None) -> TypeGuard[Record]:
    return record is not None and record.status == DONE


def value_of(record: Record | None, key: str, selection: str) -> float | None:
    """What a run that is done has by a metric at an epoch."""
    return metric(key).read(record, selection) if _done(record) else None


def _comparable(mine: tuple[object, float], theirs: tuple[object, float]) -> bool:
    return mine[0] == theirs[0] and mine[1] > 0 and theirs[1] > 0
