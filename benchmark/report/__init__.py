"""Reports: records to tables as Markdown, LaTeX, CSV and text for the terminal.

Example::

    report = build(table, records, Context(profile="digits", note="", changes=(), seeds=(0, 1, 2)))
    report.print(Console())
    report.write(folder)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import pandas as pd
from rich.console import Console

from benchmark.report import csvfile, latex, markdown, terminal
from benchmark.report.aggregate import Records, aggregate
from benchmark.report.caption import Context, caption, notes
from benchmark.report.document import Document
from benchmark.report.figure import Figure
from benchmark.report.figure_panels import picture
from benchmark.report.layout import Grid, layout
from benchmark.report.mixed_conditions import NOTHING_KNOWN, Known, mixtures
from benchmark.tables.reader import Table

__all__ = ["Context", "Document", "Figure", "Records", "Report", "build"]


@dataclass(frozen=True, eq=False)
class Report(Document):
    """One aggregated table, ready for every form.

    Attributes:
        folder: where its files belong, below the profile's results.
        stem: name of its files without suffix.
        frame: the cells in long form, see `aggregate`.
        grid: the table as people see it.
    """

    folder: ClassVar[str] = "tables"

    stem: str
    frame: pd.DataFrame
    grid: Grid

    def forms(self) -> Mapping[str, str]:
        """Markdown, LaTeX and CSV by the names of their files."""
        return {f"{self.stem}{suffix}": render(self) for suffix, render in _FORMS.items()}

    def print(self, console: Console) -> None:
        """Print the table to a console."""
        terminal.show(self.grid, console)


def build(table: Table, records: Records, context: Context, known: Known = NOTHING_KNOWN) -> Report | Figure:
    """Aggregate a table's records once, for all forms; a figure's are drawn as they are.

    Args:
        table: layout and printed values.
        records: by a cell's name, one record or None for each wanted seed; teachers have one run.
        context: how the records came about.
        known: records of what those rest on, by their ids.

    Raises:
        UserError: the selection or a metric is unknown.
    """
    frame = aggregate(table, records, context.selection)
    if table.kind == "figure":
        return picture(table, frame, records, context, mixtures(table, records, known))
    remarks = (*table.notes, *context.choices, *notes(frame), *mixtures(table, records, known))
    title = context.titled(table.title)
    grid = layout(table, frame, title, caption(frame, context), remarks, compare=not context.stand_in)
    return Report(context.stem(table.stem), frame, grid)


_FORMS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {
        ".md": lambda report: markdown.render(report.grid),
        ".tex": lambda report: latex.render(report.grid),
        ".csv": lambda report: csvfile.render(report.frame),
    }
)
