"""What the page reads: boards as nested plain numbers, one of our own runs, and the paper's printed numbers as another.

The form is that of JSON: keys are ids of methods, pairs, metrics and selections; what is unknown is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.ids import digest, short_id
from benchmark.registry import catalog
from benchmark.report.aggregate import DONE, MISSING, NOT_APPLICABLE
from benchmark.report.caption import Context
from benchmark.report.leaderboard.data import METRICS, UNFIT, LeaderboardData, disambiguate, pair_of, value_of
from benchmark.report.leaderboard.statistics.summary import LeaderboardStatistics
from benchmark.runs.job import Job
from benchmark.runs.metrics import SELECTIONS, metric
from benchmark.runs.objective import parse_method
from benchmark.runs.record import Evaluations, Record
from benchmark.tables.table import TEACHER, Cell, Table


def measured(board: LeaderboardData) -> dict[str, Any]:
    """A board of our own runs."""
    context, table = board.source.context, board.table
    return {
        "name": name_of(context),
        "title": ", ".join((f"profile {context.profile}", *context.changes)),
        "notes": [note for note in (context.note, *table.notes, *context.choices, *board.timing) if note],
        "printed": False,
        "beside": table.prints,
        "stand_in": context.stand_in,
        "seeds": list(board.seeds),
        "metric": table.defaults.metric,
        "metrics": _metrics(METRICS),
        "selections": [{"id": key, "title": title} for key, title in SELECTIONS.items()],
        "pairs": [{**pair, "teacher": _numbers(board.teacher(pair["id"]))} for pair in _pairs(table)],
        "methods": _methods(table),
        "cells": _nested((cell, _measured_cell(board, cell)) for cell in board.cells),
        "runs": dict(_runs(board)),
        "recipes": dict(_recipes(board)),
        "statistics": {epoch: {key: _statistics(board, key, epoch) for key in METRICS} for epoch in SELECTIONS},
    }


def _statistics(board: LeaderboardData, key: str, selection: str) -> dict[str, Any]:
    found = board.standing(key, selection).page_data()
    return {**found, "sentences": [*found["sentences"], *board.mixtures]}


def name_of(context: Context) -> str:
    """What the page calls the board of runs that came about so."""
    return "+".join((context.profile, *context.changes, *context.variants))


def printed(table: Table) -> dict[str, Any]:
    """The paper's numbers, of use before anything is trained: one value a cell, of which nothing else is known."""
    table = disambiguate(table)
    cells = [cell for cell in table.cells if cell.method != TEACHER]
    rows = [(cell.method, pair_of(cell), 0, cell.paper) for cell in cells if cell.paper is not None]
    key = table.defaults.metric or ""
    pairs = _pairs(table)
    teachers = {pair["id"]: pair["paper"] for pair in pairs if pair["paper"] is not None}
    scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
    titles = {method["id"]: method["title"] for method in _methods(table)}
    standing = LeaderboardStatistics(
        scores, bool(metric(key).higher), teachers, metric(key).decimals, titles, printed=True
    )
    return {
        "name": "printed",
        "title": "as printed in the paper",
        "notes": ["The paper's numbers: means of three runs, printed without their spread.", *table.notes],
        "printed": True,
        "beside": False,
        "stand_in": False,
        "seeds": [],
        "metric": key,
        "metrics": _metrics([key]),
        "selections": [{"id": "last", "title": "as printed"}],
        "pairs": [{**pair, "teacher": {}} for pair in pairs],
        "methods": [method for method in _methods(table) if any(row[0] == method["id"] for row in rows)],
        "cells": _nested((cell, _printed_cell(cell)) for cell in cells),
        "runs": {},
        "recipes": {},
        "statistics": {"last": {key: standing.page_data()}},
    }


def _pairs(table: Table) -> list[dict[str, Any]]:
    """The pairs in the table's order, each with what the paper prints for its teacher."""
    paper = {pair_of(cell): cell.paper for cell in table.cells if cell.method == TEACHER}
    return [
        {
            "id": column.pair,
            "label": column.label.replace("->", "→"),
            "group": column.group,
            "paper": paper.get(column.pair or ""),
        }
        for column in table.columns
    ]


def _methods(table: Table) -> list[dict[str, Any]]:
    """The students' methods in the table's order."""
    return [
        {"id": row.run, "title": row.label, "citation": _citation(row.run), "added": row.run in table.added}
        for row in table.rows
        if row.run and row.run != TEACHER
    ]


def _citation(name: str) -> str:
    cited = [catalog.method(term).citation for term, _ in parse_method(name).terms]
    return "; ".join(cited) or "cross-entropy alone"


def _metrics(keys: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"id": key, "title": METRICS[key], "decimals": metric(key).decimals, "higher": metric(key).higher}
        for key in keys
    ]


def _nested(cells: Iterable[tuple[Cell, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Cells by method and pair."""
    found: dict[str, dict[str, Any]] = {}
    for cell, content in cells:
        found.setdefault(cell.method, {})[pair_of(cell)] = content
    return found


def _measured_cell(board: LeaderboardData, cell: Cell) -> dict[str, Any]:
    runs = board.source.runs(cell)
    state, reason = board.states[cell.key]
    other = board.elsewhere.get((cell.method, pair_of(cell)))
    return {
        "state": state,
        "reason": reason,
        "values": {
            selection: {key: [value_of(record, key, selection) for _, record in runs] for key in METRICS}
            for selection in SELECTIONS
        },
        "paper": cell.paper,
        "cost": board.cost_of(cell),
        "elsewhere": {"seeds": other.seeds, "reason": other.reason} if other else None,
        "runs": [short_id(job.id) if record else None for job, record in runs],
    }


def _printed_cell(cell: Cell) -> dict[str, Any]:
    state = MISSING if cell.paper is None else DONE
    return {
        "state": state if cell.applies else NOT_APPLICABLE,
        "reason": "" if cell.applies else UNFIT,
        "values": {},
        "paper": cell.paper,
        "cost": None,
        "elsewhere": None,
        "runs": [],
    }


def _numbers(record: Record | None) -> dict[str, dict[str, float | None]]:
    """A run's numbers by selection and metric."""
    return {selection: {key: value_of(record, key, selection) for key in METRICS} for selection in SELECTIONS}


def _runs(board: LeaderboardData) -> Iterator[tuple[str, dict[str, Any]]]:
    for cell in board.cells:
        for job, record in board.source.runs(cell):
            if record is not None:
                yield short_id(job.id), _run(job, record)


def _recipes(board: LeaderboardData) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for cell in board.cells:
        for record in board.source.of(cell):
            if record is not None:
                recipe = record.spec["recipe"]
                yield short_id(digest(recipe)), recipe


def _run(job: Job, record: Record) -> dict[str, Any]:
    seen, spec = record.provenance, record.spec
    tests = record.curves.test if record.curves else Evaluations()
    return {
        "id": job.id,
        "seed": job.seed,
        "record": f"records/{job.path}.json",
        "status": record.status,
        "recipe": short_id(digest(spec["recipe"])),
        "objective": spec["objective"],
        "revision": seen.revision,
        "dirty": seen.dirty,
        "processor": seen.processor,
        "device": seen.device,
        "threads": seen.threads,
        "torch": seen.versions.get("torch"),
        "finished": seen.finished.isoformat() if seen.finished else None,
        "seconds": record.cost.step_seconds if record.cost else None,
        "fingerprint": seen.data.fingerprint if seen.data else None,
        "teacher": seen.teacher_weights,
        "curve": {
            "epoch": tests.epoch,
            **{key: _rounded(getattr(tests, metric(key).key), metric(key).decimals) for key in METRICS},
        },
    }


def _rounded(values: Sequence[float], decimals: int) -> list[float]:
    return [round(value, decimals) for value in values]
