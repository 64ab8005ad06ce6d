"""Records of single runs to one row per cell: mean, sample standard deviation, number of seeds, state."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.errors import unknown
from benchmark.ids import short_id
from benchmark.runs.metrics import LAST, SELECTIONS, Metric, metric
from benchmark.runs.names import CellKey
from benchmark.runs.record import Record
from benchmark.tables.reader import Cell, Table

Records = Mapping[CellKey, Sequence[Record | None]]
"""By cell: one record, or None, per wanted seed."""

DONE, PARTIAL, MISSING, FAILED, NOT_APPLICABLE = STATES = ("done", "partial", "missing", "failed", "not_applicable")


def aggregate(table: Table, records: Records, selection: str = LAST) -> pd.DataFrame:
    """One row per cell of a table, in print order.

    Only ``done`` records with the cell's metric are averaged. A ``done`` record without the metric counts as not
    applicable.

    Args:
        table: layout and printed values.
        records: records by cell.
        selection: ``last`` or ``best``, the epoch of the numbers.

    Returns:
        Columns ``table, row, column, metric, mean, std`` (sample, NaN below two values), ``n, paper, difference``
        (mean minus paper), ``state`` (one of `STATES`), and for layouts ``cell, row_index, column_index, hidden,
        teacher, student, method, probe, wanted, values, runs`` (short ids of the averaged records), ``failed``
        (number of failed records) and ``reasons``.

    Raises:
        UserError: the selection or a metric is unknown.
    """
    if selection not in SELECTIONS:
        raise unknown("selection", selection, SELECTIONS)
    return pd.DataFrame([_line(table, cell, records.get(cell.key, ()), selection) for cell in table.cells])


def inapplicable(record: Record | None, kind: Metric, selection: str) -> str:
    """Why a record cannot have a number: its job does not apply, or is done without it; empty if it can.

    Args:
        record: record of a job, or None.
        kind: the metric.
        selection: ``last`` or ``best``.
    """
    if record is None or record.status == FAILED:
        return ""
    if record.status == NOT_APPLICABLE:
        return record.reason
    return kind.absent if kind.read(record, selection) is None else ""


def _line(table: Table, cell: Cell, records: Sequence[Record | None], selection: str) -> dict[str, Any]:
    kind = metric(cell.metric)
    averaged = _averaged(kind, records, selection)
    values = [value for _, value in averaged]
    wanted = 1 if kind.of_network else len(records)
    failed = of_status(FAILED, records)
    not_applicable = [reason for record in records if (reason := inapplicable(record, kind, selection))]
    mean = statistics.fmean(values) if values else math.nan
    paper = math.nan if cell.paper is None else cell.paper
    return {
        "table": table.number,
        "row": table.rows[cell.row].label,
        "column": table.columns[cell.column].label,
        "metric": cell.metric,
        "mean": mean,
        "std": statistics.stdev(values) if len(values) > 1 else math.nan,
        "n": len(values),
        "paper": paper,
        "difference": mean - paper,
        "state": _state(len(values), wanted, failed, not_applicable),
        "cell": cell.key,
        "row_index": cell.row,
        "column_index": cell.column,
        "hidden": table.columns[cell.column].hidden or table.rows[cell.row].hidden,
        "teacher": cell.pair.teacher,
        "student": cell.pair.student,
        "method": cell.method,
        "probe": cell.probe or "",
        "wanted": wanted,
        "values": values,
        "runs": tuple(short_id(record.id) for record, _ in averaged),
        "failed": len(failed),
        "reasons": distinct([*(record.reason for record in failed), *not_applicable]),
    }


def _averaged(kind: Metric, records: Sequence[Record | None], selection: str) -> list[tuple[Record, float]]:
    """The records that a cell averages, each with its number."""
    read = ((record, kind.read(record, selection)) for record in of_status(DONE, records))
    found = [(record, value) for record, value in read if value is not None]
    return found[:1] if kind.of_network else found


def _state(n: int, wanted: int, failed: Sequence[Record], not_applicable: Sequence[str]) -> str:
    if n:
        return DONE if n == wanted else PARTIAL
    return FAILED if failed else NOT_APPLICABLE if not_applicable else MISSING


def of_status(status: str, records: Sequence[Record | None]) -> list[Record]:
    """The records of one status."""
    return [record for record in records if record is not None and record.status == status]


def distinct(values: Iterable[Any]) -> list[str]:
    """The distinct values as sorted texts, without None."""
    return sorted({str(value) for value in values if value is not None})
