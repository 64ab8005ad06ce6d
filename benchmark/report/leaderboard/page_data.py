"""The data of the page, in the form of JSON: one board for each profile, and one for the paper's printed numbers.

Keys are the ids of methods, pairs, metrics and selections; unknown values are None. The page shows the statistics as
they are here; under a filter it averages and ranks the means of their cells again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.ids import digest, short_id
from benchmark.registry import catalog
from benchmark.report.aggregate import DONE, MISSING, NOT_APPLICABLE
from benchmark.report.caption import Context
from benchmark.report.leaderboard.data import METRICS, UNFIT, LeaderboardData, disambiguate, value_of
from benchmark.report.leaderboard.statistics.summary import LeaderboardStatistics
from benchmark.runs.job import Job
from benchmark.runs.metrics import SELECTIONS, metric
from benchmark.runs.names import TEACHER, parse_method
from benchmark.runs.record import Evaluations, Record
from benchmark.tables.table import Cell, Table


def measured(data: LeaderboardData) -> dict[str, Any]:
    """The board of a profile's runs."""
    context, table = data.context, data.table
    return {
        "name": board_name(context),
        "title": ", ".join((f"profile {context.profile}", *context.changes)),
        "notes": [note for note in (context.note, *table.notes, *context.choices, *data.timing) if note],
        "printed": False,
        "beside": table.prints,
        "stand_in": context.stand_in,
        "seeds": list(context.seeds),
        "metric": table.defaults.metric,
        "metrics": _metrics(METRICS),
        "selections": [{"id": key, "title": title} for key, title in SELECTIONS.items()],
        "pairs": [{**pair, "teacher": _numbers(data.teacher(pair["id"]))} for pair in _pairs(table)],
        "methods": [{**method, **data.cost(method["id"]), **data.effort(method["id"])} for method in _methods(table)],
        "differing": list(data.differing),
        "cells": _nested((cell, _measured_cell(data, cell)) for cell in data.cells),
        "runs": dict(_runs(data)),
        "recipes": dict(_recipes(data)),
        "statistics": {epoch: {key: _statistics(data, key, epoch) for key in METRICS} for epoch in SELECTIONS},
    }


def _statistics(data: LeaderboardData, key: str, selection: str) -> dict[str, Any]:
    found = data.statistics(key, selection).page_data()
    return {**found, "sentences": [*found["sentences"], *data.mixtures]}


def board_name(context: Context) -> str:
    """The name of a board in the page's address."""
    return "+".join((context.profile, *context.changes, *context.variants))


def printed(table: Table) -> dict[str, Any]:
    """The board of the paper's numbers: one value a cell, without spread or runs."""
    table = disambiguate(table)
    cells = [cell for cell in table.cells if cell.method != TEACHER]
    rows = [(cell.method, cell.pair, 0, cell.paper) for cell in cells if cell.paper is not None]
    key = table.defaults.metric or ""
    pairs = _pairs(table)
    teachers = {pair["id"]: pair["paper"] for pair in pairs if pair["paper"] is not None}
    scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
    methods = [method for method in _methods(table) if method["id"] in set(scores["method"])]
    titles = {method["id"]: method["title"] for method in methods}
    found = LeaderboardStatistics(
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
        "pairs": [{**pair, "teacher": {"last": {key: pair["paper"]}}} for pair in pairs],
        "methods": methods,
        "differing": [],
        "cells": _nested((cell, _printed_cell(cell)) for cell in cells),
        "runs": {},
        "recipes": {},
        "statistics": {"last": {key: found.page_data()}},
    }


def _pairs(table: Table) -> list[dict[str, Any]]:
    """The pairs in the table's order, each with the printed value of its teacher."""
    paper: dict[str, float | None] = {cell.pair: cell.paper for cell in table.cells if cell.method == TEACHER}
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
    """The methods of students in the table's order."""
    return [
        {
            "id": row.run,
            "title": row.label,
            "citation": _joined(row.run, "citation") or "cross-entropy alone",
            "published_recipe": _joined(row.run, "published_recipe"),
            "added": row.run in table.added,
        }
        for row in table.rows
        if row.run and row.run != TEACHER
    ]


def _joined(name: str, attribute: str) -> str:
    """A text of the methods of an objective; empty where they state none."""
    texts = (getattr(catalog.method(term), attribute) for term, _ in parse_method(name).terms)
    return "; ".join(filter(None, texts))


def _metrics(keys: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"id": key, "title": METRICS[key], "decimals": metric(key).decimals, "higher": metric(key).higher}
        for key in keys
    ]


def _nested(cells: Iterable[tuple[Cell, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Cells by method and pair."""
    found: dict[str, dict[str, Any]] = {}
    for cell, content in cells:
        found.setdefault(cell.method, {})[cell.pair] = content
    return found


def _measured_cell(data: LeaderboardData, cell: Cell) -> dict[str, Any]:
    runs = data.runs(cell)
    state, reason = data.states[cell.key]
    other = data.elsewhere.get((cell.method, cell.pair))
    return {
        "state": state,
        "reason": reason,
        "values": {
            selection: {key: [value_of(record, key, selection) for _, record in runs] for key in METRICS}
            for selection in SELECTIONS
        },
        "paper": cell.paper,
        "cost": data.cost_of(cell),
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
    """The values of a run by selection and metric."""
    return {selection: {key: value_of(record, key, selection) for key in METRICS} for selection in SELECTIONS}


def _runs(data: LeaderboardData) -> Iterator[tuple[str, dict[str, Any]]]:
    for cell in data.cells:
        for job, record in data.runs(cell):
            if record is not None:
                yield short_id(job.id), _run(job, record)


def _recipes(data: LeaderboardData) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for cell in data.cells:
        for record in data.records(cell):
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
