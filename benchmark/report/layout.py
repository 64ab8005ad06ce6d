"""The layout of a table that all output formats print: texts without markup."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from benchmark.report.aggregate import DONE, FAILED, MISSING, NOT_APPLICABLE, PARTIAL
from benchmark.runs.metrics import metric
from benchmark.runs.names import TEACHER
from benchmark.tables.reader import Table

MEASURED = (DONE, PARTIAL)
WORDS: Mapping[str, str] = MappingProxyType({MISSING: "–", FAILED: "failed", NOT_APPLICABLE: "n/a"})
"""The text of a cell without a number."""


@dataclass(frozen=True)
class CellText:
    """The texts of one cell; empty where they do not apply.

    Attributes:
        mean: our mean, as ``97.22``, or the word for a cell without a number.
        state: state of the cell, one of `aggregate.STATES`.
        spread: standard deviation, as ``0.31``, if all wanted seeds are done and there are several.
        count: ``2/3`` if seeds are missing.
        failures: number of failed seeds, if others have a number.
        paper: the paper's value.
        difference: our mean minus the paper's value, signed.
        best: whether it is the best student of its pair.
        runs: short ids of the runs behind the mean.
    """

    mean: str
    state: str
    spread: str = ""
    count: str = ""
    failures: int = 0
    paper: str = ""
    difference: str = ""
    best: bool = False
    runs: tuple[str, ...] = ()

    @property
    def detail(self) -> str:
        """The text after the mean: ``± 0.31``, ``(2/3)`` or ``(2/3, 1 failed)``."""
        if self.spread:
            return f"± {self.spread}"
        failed = f", {self.failures} failed" if self.failures else ""
        return f"({self.count}{failed})" if self.count else ""

    @property
    def reference(self) -> str:
        """The paper's value and the difference: ``74.52 (+0.70)``."""
        return f"{self.paper} ({self.difference})" if self.difference else self.paper


@dataclass(frozen=True)
class TextRow:
    """One row: a text under each head, a cell under each column."""

    stub: tuple[str, ...]
    cells: tuple[CellText, ...]


@dataclass(frozen=True)
class Line:
    """One line of a row whose cells are printed over several lines.

    Attributes:
        stub: text at the left.
        texts: one text per column.
        ours: whether the texts are our means, in which the best are marked.
        quiet: whether the line is printed dimmed.
    """

    stub: str
    texts: tuple[str, ...]
    ours: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Grid:
    """The texts of a whole table.

    Attributes:
        name: ``table06``.
        number: ``Table 6``, ``Figure 2``.
        title: first sentence of the caption.
        heads: headers of the stub columns.
        columns: headers of the cells.
        rows: rows in print order.
        caption: sentences on how to read the table, with ``{best}`` for the word for the best cells.
        notes: notes below the table.
    """

    name: str
    number: str
    title: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[TextRow, ...]
    caption: tuple[str, ...]
    notes: tuple[str, ...]

    def legend(self, best: str) -> str:
        """The caption as one text.

        Args:
            best: how the output format marks the best cells, as in "Bold".
        """
        return " ".join(sentence.replace("{best}", best) for sentence in self.caption)


def layout(
    table: Table, frame: pd.DataFrame, title: str, caption: tuple[str, ...], notes: tuple[str, ...], *, compare: bool
) -> Grid:
    """Lay out aggregated cells.

    Args:
        table: heads, rows and columns.
        frame: the cells, from `aggregate`.
        title: title of the table.
        caption: sentences on how to read the table.
        notes: notes below the table.
        compare: whether to show the difference from the paper.
    """
    best = best_cells(frame)
    cells = {
        (cell["row_index"], cell["column_index"]): cell_text(cell, best=cell["cell"] in best, compare=compare)
        for cell in frame[~frame["hidden"]].to_dict("records")
    }
    columns = [j for j, axis in enumerate(table.columns) if not axis.hidden]
    return Grid(
        name=table.name,
        number=f"{table.kind.capitalize()} {table.number}",
        title=title,
        heads=table.heads,
        columns=tuple(table.columns[j].label for j in columns),
        rows=tuple(
            TextRow(axis.stub or stub_texts(table.heads, axis.label), tuple(cells[i, j] for j in columns))
            for i, axis in enumerate(table.rows)
            if not axis.hidden
        ),
        caption=caption,
        notes=notes,
    )


def best_cells(frame: pd.DataFrame) -> set[str]:
    """Keys of the best students of each pair by each metric, with ties as displayed, if there are several students."""
    open_to_all = ~frame["hidden"] & (frame["method"] != TEACHER) & frame["state"].isin(MEASURED)
    best: set[str] = set()
    for _, group in frame[open_to_all].groupby(["teacher", "student", "probe", "metric"]):
        kind = metric(group["metric"].iloc[0])
        if kind.higher is None or len(group) < 2:
            continue
        shown = group["mean"].map(lambda mean, decimals=kind.decimals: float(f"{mean:.{decimals}f}"))
        best |= set(group["cell"][shown == (shown.max() if kind.higher else shown.min())])
    return best


def cell_text(cell: Mapping[Any, Any], *, best: bool, compare: bool) -> CellText:
    """The texts of one aggregated cell."""
    decimals = metric(cell["metric"]).decimals
    paper = "" if math.isnan(cell["paper"]) else f"{cell['paper']:.{decimals}f}"
    if cell["state"] not in MEASURED:
        return CellText(WORDS[cell["state"]], cell["state"], paper=paper)
    complete = cell["state"] == DONE
    return CellText(
        mean=f"{cell['mean']:.{decimals}f}",
        state=cell["state"],
        spread=f"{cell['std']:.{decimals}f}" if complete and cell["n"] > 1 else "",
        count="" if complete else f"{cell['n']}/{cell['wanted']}",
        failures=0 if complete else cell["failed"],
        paper=paper,
        difference=signed(cell["difference"], decimals) if paper and compare else "",
        best=best,
        runs=cell["runs"],
    )


def signed(value: float, decimals: int) -> str:
    """``+0.70``, ``−0.70`` with a true minus, and ``0.00`` without a sign."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def stub_texts(heads: tuple[str, ...], label: str) -> tuple[str, ...]:
    """Distribute a row's label over the heads: ``teacher -> student`` goes under the heads of these names."""
    parts = dict(zip(("teacher", "student"), label.split(" -> "), strict=False))
    texts = tuple(parts.get(head.split(" ")[0].lower(), "") for head in heads)
    split = len(heads) > 1 and len(parts) == 2 and all(texts)
    return texts if split else (label, *[""] * (len(heads) - 1))


def title_lines(title: str) -> list[str]:
    """A column's title on several short lines: teacher, arrow, student."""
    return title.replace(" -> ", "\n↓\n").split("\n")


def stacked(row: TextRow) -> list[Line]:
    """A row as narrow lines: stub texts and the parts of a cell below each other, without empty lines."""
    first, second, *others = (*row.stub, "")
    lines = [
        Line(first, tuple(cell.mean for cell in row.cells), ours=True),
        Line(second, tuple(_narrow_detail(cell) for cell in row.cells)),
        *[Line(stub, ("",) * len(row.cells)) for stub in others],
        Line("", tuple(f"{cell.failures} fail" if cell.failures else "" for cell in row.cells)),
        Line("paper", tuple(cell.paper for cell in row.cells), quiet=True),
        Line("difference", tuple(cell.difference for cell in row.cells), quiet=True),
    ]
    return [line for line in lines if any(line.texts) or (line.stub and not line.quiet)]


def _narrow_detail(cell: CellText) -> str:
    return f"±{cell.spread}" if cell.spread else cell.count and f"({cell.count})"
