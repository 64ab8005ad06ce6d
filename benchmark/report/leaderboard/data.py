"""The numbers of a leaderboard: every method on every pair in one profile."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypedDict, TypeGuard

import pandas as pd

from benchmark.planning.plan import Plan
from benchmark.registry import catalog
from benchmark.report.aggregate import DONE, FAILED, MISSING, NOT_APPLICABLE, aggregate
from benchmark.report.caption import Context
from benchmark.report.layout import WORDS
from benchmark.report.leaderboard.statistics.bootstrap import FEWEST_PAIRS
from benchmark.report.leaderboard.statistics.scores import BASELINES
from benchmark.report.leaderboard.statistics.summary import NO_NUMBERS, LeaderboardStatistics
from benchmark.report.mixed_conditions import Elsewhere, comparisons, elsewhere, mixtures
from benchmark.runs.job import Job
from benchmark.runs.metrics import metric
from benchmark.runs.names import STUDENT, TEACHER
from benchmark.runs.record import COHORT_OF_ONE, Record
from benchmark.tables.table import Cell, Table

METRICS: Mapping[str, str] = {
    "top1": "top-1 accuracy, %",
    "top5": "top-5 accuracy, %",
    "loss": "cross-entropy on test images",
}
"""The metrics that a leaderboard can be ordered by, with their titles."""

UNFIT = "the method does not apply to this pair"
TIMING: Mapping[str | None, str] = {
    None: "Runs that trained together on a GPU have no step time, because their steps are not timed separately.",
    COHORT_OF_ONE: (
        "The time of a run that trained alone on a GPU is that of its whole training, including the teacher's forward "
        "passes and the tests; it is compared with plain students that were timed in the same way."
    ),
}
"""Notes on times that are not those of training steps, by what was timed; None where nothing was."""


class RelativeCost(TypedDict):
    """The training cost of a method.

    Attributes:
        relative: its time divided by that of the plain student; None where they cannot be compared.
        extra_parameters: parameters that are trained beside the network and dropped; None before any run has finished.
    """

    relative: float | None
    extra_parameters: int | None


class Effort(TypedDict):
    """What a training by a method takes beside the extra parameters, as a multiple of the data set.

    Attributes:
        epochs: number of epochs, as ``240``, or ``100 to 240`` where it differs between pairs; None without a run.
        views: number of views of each image.
        passes: forward passes of the student in a step; None before any run has finished.
    """

    epochs: str | None
    views: int
    passes: int | None


@dataclass(eq=False)
class LeaderboardData:
    """The numbers of one profile.

    Attributes:
        table: methods as rows, pairs as columns; each row gets a label of its own.
        plan: the runs of the cells, one a seed, and their records.
        context: profile, seeds and selection of the runs.
    """

    table: Table
    plan: Plan
    context: Context

    def __post_init__(self) -> None:
        self.table = disambiguate(self.table)
        self._statistics: dict[tuple[str, str], LeaderboardStatistics] = {}

    def records(self, cell: Cell) -> list[Record | None]:
        """The records of a cell, one or None for each wanted seed; a teacher has one."""
        return self.plan.records_by_cell[cell.key]

    def runs(self, cell: Cell) -> list[tuple[Job, Record | None]]:
        """The jobs of a cell, one for each wanted seed, each with its record if there is one."""
        return list(zip(self.plan.cells[cell.key], self.records(cell), strict=True))

    @property
    def has_methods(self) -> bool:
        """Whether any distillation method has a record; teachers and plain students alone are not a comparison."""
        return any(record for cell in self.cells if cell.method != STUDENT for record in self.records(cell))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of students."""
        return tuple(cell for cell in self.table.cells if cell.method != TEACHER)

    @property
    def titles(self) -> dict[str, str]:
        """The labels of the methods, by name."""
        return {row.run: row.label for row in self.table.rows if row.run}

    def statistics(self, key: str, selection: str) -> LeaderboardStatistics:
        """The statistics of one metric at one epoch, computed once."""
        if (key, selection) not in self._statistics:
            kind, scores, teachers = metric(key), self._scores(key, selection), self._teachers(key, selection)
            lacking = {method: self.why_no_number(method)[1] for method in self.titles if method != TEACHER}
            self._statistics[key, selection] = LeaderboardStatistics(
                scores, bool(kind.higher), teachers, kind.decimals, self.titles, lacking=lacking
            )
        return self._statistics[key, selection]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The cells with their states, by the table's metric; see `aggregate`."""
        return aggregate(self.table, self.plan.records_by_cell, self.context.selection)

    @cached_property
    def states(self) -> dict[str, tuple[str, str]]:
        """State and reason of each cell, by the cell's name."""
        lines = self.frame[["cell", "state", "reasons"]].itertuples(index=False)
        found = {cell: (state, "; ".join(reasons)) for cell, state, reasons in lines}
        unfit = (cell.key for cell in self.cells if not cell.applies and found[cell.key][0] == MISSING)
        return found | dict.fromkeys(unfit, (NOT_APPLICABLE, UNFIT))

    @cached_property
    def mixtures(self) -> tuple[str, ...]:
        """Sentences on runs that were made under different conditions."""
        return mixtures(self.table, self.plan.records_by_cell, self.plan.records)

    @cached_property
    def elsewhere(self) -> dict[tuple[str, str], Elsewhere]:
        """Runs that were made on another machine than those they are compared with, by method and pair."""
        compared = comparisons(self.cells, self.plan.records_by_cell, self.plan.records)
        found = ((cell, elsewhere(compared, cell, self.titles, BASELINES.values())) for cell in self.cells)
        return {(cell.method, cell.pair): one for cell, one in found if one is not None}

    def why_no_number(self, method: str) -> tuple[str, str]:
        """Why a method has no number, if it has none: in a few words, and as a sentence."""
        states = [self.states[cell.key] for cell in self.cells if cell.method == method]
        if reasons := sorted({reason for state, reason in states if state == FAILED}):
            return WORDS[FAILED], f"Its runs failed: {'; '.join(reasons)}."
        if states and all(state == NOT_APPLICABLE for state, _ in states):
            return WORDS[NOT_APPLICABLE], "It applies to none of these pairs."
        return "no numbers yet", NO_NUMBERS

    def teacher(self, pair: str) -> Record | None:
        """The record of a pair's teacher."""
        found = (cell for cell in self.table.cells if cell.method == TEACHER and cell.pair == pair)
        return next((record for cell in found for record in self.records(cell)), None)

    @cached_property
    def timing(self) -> tuple[str, ...]:
        """Notes on times that are not those of training steps."""
        done = [record for cell in self.cells for record in self.records(cell) if _done(record)]
        timed = {_own_seconds(record)[0] for record in done if record.cost}
        return tuple(text for what, text in TIMING.items() if what in timed)

    def cost(self, method: str) -> RelativeCost:
        """The cost of a method over all pairs.

        The time is the geometric mean, None for fewer than `FEWEST_PAIRS` pairs, where it would be noise. The number of
        parameters is the mean.
        """
        costs = [cost for cell in self.cells if cell.method == method and (cost := self.cost_of(cell))]
        times = [cost["relative"] for cost in costs if cost["relative"] is not None]
        extra = [cost["extra_parameters"] for cost in costs if cost["extra_parameters"] is not None]
        return {
            "relative": statistics.geometric_mean(times) if len(times) >= FEWEST_PAIRS else None,
            "extra_parameters": round(statistics.fmean(extra)) if extra else None,
        }

    def cost_of(self, cell: Cell) -> RelativeCost | None:
        """The cost of a method on one pair; None before any run has finished."""
        extra = [record.cost.extra_parameters for record in self.records(cell) if _done(record) and record.cost]
        return {"relative": self._relative(cell), "extra_parameters": extra[0]} if extra else None

    def effort(self, method: str) -> Effort:
        """What a training by a method takes, over all pairs."""
        cells = [cell for cell in self.cells if cell.method == method]
        epochs = {number for cell in cells for number in self._epochs(cell)}
        records = [record for cell in cells for record in self.records(cell) if _done(record)]
        return {
            "epochs": " to ".join(map(str, sorted({min(epochs), max(epochs)}))) if epochs else None,
            "views": max((catalog.method(term).views for cell in cells for term, _ in cell.method.terms), default=1),
            "passes": max((record.cost.passes for record in records if record.cost), default=None),
        }

    @cached_property
    def differing(self) -> tuple[str, ...]:
        """The parts of `effort` in which any method differs from the plain student, epochs on the same pair."""
        plain = {cell.pair: self._epochs(cell) for cell in self.cells if cell.method == STUDENT}
        efforts = [self.effort(method) for method in self.titles if method != TEACHER]
        found = {
            "epochs": any(not self._epochs(cell) <= plain.get(cell.pair, {*()}) for cell in self.cells),
            "views": any(effort["views"] != 1 for effort in efforts),
            "passes": any(effort["passes"] not in (None, 1) for effort in efforts),
        }
        return tuple(part for part, differs in found.items() if differs)

    def _epochs(self, cell: Cell) -> set[int]:
        return {job.recipe.epochs for job, _ in self.runs(cell)}

    def _relative(self, cell: Cell) -> float | None:
        """Time divided by that of the plain student with the same seed, kind of timing and machine."""
        plain = next((c for c in self.cells if c.method == STUDENT and c.pair == cell.pair), None)
        if plain is None:
            return None
        ours, base = ([self._time(record) for record in self.records(each)] for each in (cell, plain))
        alike = [(mine[1], theirs[1]) for mine, theirs in zip(ours, base, strict=True) if _comparable(mine, theirs)]
        if not alike:
            return None
        # Other work on the machine only adds time, so the least of the seeds is the least disturbed.
        ratio: float = min(mine for mine, _ in alike) / min(theirs for _, theirs in alike)
        return round(ratio, 3)

    def _scores(self, key: str, selection: str) -> pd.DataFrame:
        rows = [
            (cell.method, cell.pair, job.seed, value)
            for cell in self.cells
            for job, record in self.runs(cell)
            if (value := value_of(record, key, selection)) is not None
        ]
        return pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])

    def _teachers(self, key: str, selection: str) -> dict[str, float]:
        values = {pair: value_of(self.teacher(pair), key, selection) for pair in self.table.pairs}
        return {pair: value for pair, value in values.items() if value is not None}

    def _time(self, record: Record | None) -> tuple[tuple[object, ...], float]:
        """What was timed and on which machine, and the seconds including first stages; 0 where they are unknown."""
        if not _done(record):
            return (), 0.0
        known = self.plan.records
        stages = [known[stage] for stage in record.spec.get("stages", ()) if stage in known]
        what, seconds = zip(*map(_own_seconds, (record, *stages)), strict=True)
        alike = what[0] is not None and len({*what}) == 1
        return (what[0], *record.provenance.machine.values()), sum(seconds) if alike else 0.0


def _own_seconds(record: Record) -> tuple[str | None, float]:
    """What was timed, and its seconds; None and 0 where a run shared its time with others."""
    return (record.cost.own_seconds if record.cost else None) or (None, 0.0)


def disambiguate(table: Table) -> Table:
    """The table with the method's name added to every label that several methods share."""
    times = Counter(row.label for row in table.rows)
    shared = {row for row in table.rows if row.run and times[row.label] > 1}
    rows = (replace(row, label=f"{row.label} ({row.run})") if row in shared else row for row in table.rows)
    return replace(table, rows=tuple(rows))


def _done(record: Record | None) -> TypeGuard[Record]:
    return record is not None and record.status == DONE


def value_of(record: Record | None, key: str, selection: str) -> float | None:
    """The value of a finished run by a metric at an epoch."""
    return metric(key).read(record, selection) if _done(record) else None


def _comparable(mine: tuple[object, float], theirs: tuple[object, float]) -> bool:
    return mine[0] == theirs[0] and mine[1] > 0 and theirs[1] > 0
