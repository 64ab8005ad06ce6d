"""The paper's own numbers as a board: of use before anything is trained."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.metrics import metric
from benchmark.report.aggregate import DONE, MISSING, NOT_APPLICABLE
from benchmark.report.leaderboard.board import methods, metrics, pairs, paper_teacher
from benchmark.report.leaderboard.standing import Standing
from benchmark.table import TEACHER, Table


def printed(table: Table) -> dict[str, Any]:
    """The paper's own numbers in the same form: one value a cell, of which nothing else is known."""
    cells = [cell for cell in table.cells() if cell.method != TEACHER]
    rows = [(cell.method, f"{cell.teacher}:{cell.student}", 0, cell.paper) for cell in cells if cell.paper is not None]
    key = table.defaults.metric or ""
    teachers = {pair["id"]: value for pair in pairs(table) if (value := paper_teacher(table, pair["id"])) is not None}
    scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
    titles = {method["id"]: method["title"] for method in methods(table)}
    standing = Standing(scores, bool(metric(key).higher), teachers, metric(key).decimals, titles, printed=True)
    nested: dict[str, dict[str, Any]] = {}
    for cell in cells:
        state = MISSING if cell.paper is None else DONE
        fits = cell.applies
        nested.setdefault(cell.method, {})[f"{cell.teacher}:{cell.student}"] = {
            "state": state if fits else NOT_APPLICABLE,
            "reason": "" if fits else "the method does not apply to this pair",
            "values": {},
            "paper": cell.paper,
            "cost": None,
            "runs": [],
        }
    return {
        "name": "printed",
        "title": "as printed in the paper",
        "notes": ["The paper's numbers: means of three runs, printed without their spread.", *table.notes],
        "printed": True,
        "stand_in": False,
        "seeds": [],
        "metrics": metrics([key]),
        "selections": [{"id": "last", "title": "as printed"}],
        "pairs": [{**pair, "teacher": {}, "paper": paper_teacher(table, pair["id"])} for pair in pairs(table)],
        "methods": [method for method in methods(table) if any(row[0] == method["id"] for row in rows)],
        "cells": nested,
        "runs": {},
        "recipes": {},
        "statistics": {"last": {key: standing.payload()}},
    }
