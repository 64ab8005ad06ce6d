"""One board of the leaderboard: every method's numbers on every pair at one scale, in the form that the page reads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

import pandas as pd

from benchmark import catalog
from benchmark.canonical import digest
from benchmark.jobs import Job
from benchmark.metrics import SELECTIONS, metric
from benchmark.objectives import STUDENT, parse_method
from benchmark.report.aggregate import DONE, Record, aggregate
from benchmark.report.caption import Context
from benchmark.report.leaderboard.standing import Standing
from benchmark.table import TEACHER, Cell, Table

METRICS: Mapping[str, str] = {
    "top1": "top-1 accuracy, %",
    "top5": "top-5 accuracy, %",
    "loss": "cross-entropy on test images",
}
"""What a board can be ordered by, and what people call it."""

_SHORT = 12


@dataclass(frozen=True)
class Source:
    """What a board is made of.

    Attributes:
        table: methods as rows, pairs as columns.
        jobs: by a cell's name, one a seed; a teacher has one.
        records: by a job's id.
        context: how they came about.
    """

    table: Table
    jobs: Mapping[str, Sequence[Job]]
    records: Mapping[str, Record]
    context: Context

    def of(self, cell: Cell) -> list[Record | None]:
        """The records of a cell, one or None for each wanted seed."""
        return [self.records.get(job.id) for job in self.jobs[cell.name]]

    @property
    def some(self) -> bool:
        """Whether there is any student's record."""
        return any(record for cell in self.table.cells() if cell.method != TEACHER for record in self.of(cell))


@dataclass(frozen=True, eq=False)
class Board:
    """The numbers of one scale.

    Attributes:
        source: what it is made of.
    """

    source: Source

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Those of students."""
        return tuple(cell for cell in self.source.table.cells() if cell.method != TEACHER)

    def standing(self, key: str, selection: str) -> Standing:
        """Who stands where by a metric at an epoch."""
        if (key, selection) not in self._standings:
            kind, scores, teachers = metric(key), self._scores(key, selection), self._teachers(key, selection)
            titles = {method["id"]: method["title"] for method in methods(self.table)}
            self._standings[key, selection] = Standing(scores, bool(kind.higher), teachers, kind.decimals, titles)
        return self._standings[key, selection]

    @cached_property
    def _standings(self) -> dict[tuple[str, str], Standing]:
        return {}

    @property
    def seeds(self) -> tuple[int, ...]:
        """The wanted seeds."""
        return self.source.context.seeds

    @property
    def table(self) -> Table:
        """Methods as rows, pairs as columns."""
        return self.source.table

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The cells with their states, by the table's own metric."""
        records = {cell.name: self.source.of(cell) for cell in self.table.cells()}
        return aggregate(self.table, records, self.source.context.selection)

    def cost(self, method: str) -> dict[str, float | None]:
        """A method's step time by the plain student's (geometric mean over pairs), and its extra parameters (mean)."""
        costs = [cost for cell in self.cells if cell.method == method and (cost := self._cost(cell))]
        if not costs:
            return {"relative": None, "extra_parameters": None}
        return {
            "relative": statistics.geometric_mean(cost["relative"] for cost in costs),
            "extra_parameters": round(statistics.fmean(cost["extra_parameters"] for cost in costs)),
        }

    def payload(self) -> dict[str, Any]:
        """The board as the page reads it."""
        context = self.source.context
        return {
            "name": "+".join((context.profile, *context.changes, *context.variants)),
            "title": f"profile {context.profile}",
            "notes": [note for note in (context.note, *self.table.notes, *context.choices) if note],
            "printed": False,
            "stand_in": context.stand_in,
            "seeds": list(self.seeds),
            "metrics": metrics(METRICS),
            "selections": [{"id": key, "title": title} for key, title in SELECTIONS.items()],
            "pairs": [
                {**pair, "teacher": self._teacher_values(pair["id"]), "paper": paper_teacher(self.table, pair["id"])}
                for pair in pairs(self.table)
            ],
            "methods": methods(self.table),
            "cells": self._nested({cell.name: self._cell(cell) for cell in self.cells}),
            "runs": dict(self._runs()),
            "recipes": {digest(recipe)[:_SHORT]: recipe for recipe in self._recipes()},
            "statistics": {
                selection: {key: self.standing(key, selection).payload() for key in METRICS} for selection in SELECTIONS
            },
        }

    def _nested(self, cells: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for cell in self.cells:
            found.setdefault(cell.method, {})[f"{cell.teacher}:{cell.student}"] = cells[cell.name]
        return found

    def _cell(self, cell: Cell) -> dict[str, Any]:
        records = self.source.of(cell)
        line = self._lines[cell.name]
        return {
            "state": line["state"],
            "reason": "; ".join(line["reasons"]),
            "values": {
                selection: {key: [_value(record, key, selection) for record in records] for key in METRICS}
                for selection in SELECTIONS
            },
            "paper": cell.paper,
            "cost": self._cost(cell),
            "runs": [
                job.id[:_SHORT] if record else None for job, record in zip(self._jobs(cell), records, strict=True)
            ],
        }

    @cached_property
    def _lines(self) -> dict[str, dict[Any, Any]]:
        return {line["cell"]: line for line in self.frame.to_dict("records")}

    def _jobs(self, cell: Cell) -> Sequence[Job]:
        return self.source.jobs[cell.name]

    def _scores(self, key: str, selection: str) -> pd.DataFrame:
        rows = [
            (cell.method, f"{cell.teacher}:{cell.student}", job.seed, value)
            for cell in self.cells
            for job, record in zip(self._jobs(cell), self.source.of(cell), strict=True)
            if (value := _value(record, key, selection)) is not None
        ]
        return pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])

    def _teachers(self, key: str, selection: str) -> dict[str, float]:
        values = {pair["id"]: self._teacher_values(pair["id"])[selection][key] for pair in pairs(self.table)}
        return {pair: value for pair, value in values.items() if value is not None}

    def _teacher_values(self, pair: str) -> dict[str, dict[str, float | None]]:
        own = (c for c in self.table.cells() if c.method == TEACHER and f"{c.teacher}:{c.student}" == pair)
        record = next((record for cell in own for record in self.source.of(cell)), None)
        return {selection: {key: _value(record, key, selection) for key in METRICS} for selection in SELECTIONS}

    def _cost(self, cell: Cell) -> dict[str, Any] | None:
        """What a method's training takes by that of the plain student of its pair, on the same machine."""
        plain = next((c for c in self.cells if c.method == STUDENT and (c.teacher, c.student) == _pair(cell)), None)
        if plain is None:
            return None
        own, base = ([self._seconds(record) for record in self.source.of(each)] for each in (cell, plain))
        alike = [(mine[1], theirs[1]) for mine, theirs in zip(own, base, strict=True) if _comparable(mine, theirs)]
        extra = [record["cost"]["extra_parameters"] for record in self.source.of(cell) if _done(record)]
        if not alike:
            return None
        # The least of the seeds is what other work on the machine disturbed the least.
        seconds, plain_seconds = map(min, zip(*alike, strict=True))
        return {"relative": round(seconds / plain_seconds, 3), "extra_parameters": extra[0]}

    def _seconds(self, record: Record | None) -> tuple[Any, float]:
        """The machine, and the seconds of all steps, those of first stages too; 0 where they are not known."""
        if not _done(record):
            return None, 0.0
        known = self.source.records
        stages = [known[stage] for stage in record["spec"].get("stages", ()) if stage in known]
        seconds = sum(part.get("cost", {}).get("step_seconds", 0.0) for part in (record, *stages))
        return [record["provenance"].get(key) for key in ("processor", "device", "threads")], seconds

    def _runs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for cell in self.cells:
            for job, record in zip(self._jobs(cell), self.source.of(cell), strict=True):
                if record is not None:
                    yield job.id[:_SHORT], _run(job, record)

    def _recipes(self) -> Iterator[Mapping[str, Any]]:
        for cell in self.cells:
            for record in self.source.of(cell):
                if record is not None:
                    yield record["spec"]["recipe"]


def pairs(table: Table) -> list[dict[str, Any]]:
    """The pairs in the table's order."""
    return [
        {"id": column.pair, "label": column.label.replace("->", "→"), "group": column.group} for column in table.columns
    ]


def methods(table: Table) -> list[dict[str, Any]]:
    """The students' methods in the table's order."""
    return [
        {"id": row.run, "title": row.label, "citation": _citation(row.run), "added": row.run in table.added}
        for row in table.rows
        if row.run and row.run != TEACHER
    ]


def _citation(name: str) -> str:
    cited = [catalog.method(term).citation for term, _ in parse_method(name).terms]
    return "; ".join(cited) or "cross-entropy alone"


def metrics(keys: Iterable[str]) -> list[dict[str, Any]]:
    """What the page has to know of metrics."""
    return [
        {"id": key, "title": METRICS[key], "decimals": metric(key).decimals, "higher": metric(key).higher}
        for key in keys
    ]


def paper_teacher(table: Table, pair: str) -> float | None:
    """What the paper prints for a pair's teacher."""
    return next((c.paper for c in table.cells() if c.method == TEACHER and f"{c.teacher}:{c.student}" == pair), None)


def _pair(cell: Cell) -> tuple[str, str]:
    return cell.teacher, cell.student


def _done(record: Record | None) -> TypeGuard[Record]:
    return record is not None and record["status"] == DONE


def _value(record: Record | None, key: str, selection: str) -> float | None:
    return metric(key).read(record, selection) if record is not None and _done(record) else None


def _comparable(mine: tuple[Any, float], theirs: tuple[Any, float]) -> bool:
    return mine[0] == theirs[0] and mine[1] > 0 and theirs[1] > 0


def _run(job: Job, record: Record) -> dict[str, Any]:
    seen, spec = record["provenance"], record["spec"]
    tests = record.get("curves", {}).get("test", {})
    return {
        "id": job.id,
        "seed": job.seed,
        "record": f"records/{job.path}.json",
        "status": record["status"],
        "recipe": digest(spec["recipe"])[:_SHORT],
        "objective": spec["objective"],
        "revision": seen.get("revision"),
        "dirty": seen.get("dirty"),
        "device": seen.get("device"),
        "finished": seen.get("finished"),
        "seconds": record.get("cost", {}).get("step_seconds"),
        "fingerprint": seen.get("data", {}).get("fingerprint"),
        "teacher": seen.get("teacher_weights"),
        "curve": {
            "epoch": tests.get("epoch", []),
            **{key: _rounded(tests.get(metric(key).key, ()), metric(key).decimals) for key in METRICS},
        },
    }


def _rounded(values: Sequence[float], decimals: int) -> list[float | None]:
    return [round(value, decimals) if math.isfinite(value) else None for value in values]
