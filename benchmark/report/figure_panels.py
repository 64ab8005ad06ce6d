"""The panels of a figure from its cells: the first row holds the pictures, the hidden rows the numbers above them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import pandas as pd

from benchmark.report.aggregate import DONE, FAILED, NOT_APPLICABLE, Records
from benchmark.report.caption import Context, caption, notes
from benchmark.report.figure import Figure, Panel
from benchmark.report.layout import MEASURED, cell_text
from benchmark.tables.reader import Table


def picture(
    table: Table, frame: pd.DataFrame, records: Records, context: Context, remarks: Sequence[str] = ()
) -> Figure:
    """The figure of a table of kind ``figure``.

    Args:
        table: one row of pictures, hidden rows of numbers.
        frame: its cells, see `aggregate`.
        records: by the name of the cell; those of pictures hold ``points``.
        context: profile, seeds and selection of the runs.
        remarks: notes on the runs.
    """
    shown = replace(context, seeds=context.seeds[:1])
    return Figure(
        stem=context.stem(table.stem),
        number=f"Figure {table.number}",
        title=f"{context.titled(table.title)}.",
        panels=tuple(_panels(table, frame, records)),
        caption=("One point is one test image, one colour one class.", *caption(frame, shown)),
        notes=(*table.notes, *context.choices, *notes(frame), *remarks),
    )


def _panels(table: Table, frame: pd.DataFrame, records: Records) -> Iterator[Panel]:
    for index, column in enumerate(table.columns):
        cells = frame[frame["column_index"] == index]
        shown, hidden = cells[~cells["hidden"]], cells[cells["hidden"]]
        found = [record for record in records.get(shown["cell"].iloc[0], ()) if record is not None]
        points = next((record.points for record in found if record.status == DONE), None)
        numbers = [
            f"{table.rows[cell['row_index']].label} {cell_text(cell, best=False, compare=False).mean}"
            for cell in hidden.to_dict("records")
            if cell["state"] in MEASURED
        ]
        absent = _ABSENT.get(shown["state"].iloc[0], "no run yet")
        yield Panel(column.label, ", ".join(numbers), points, absent)


_ABSENT: Mapping[str, str] = MappingProxyType({FAILED: "failed", NOT_APPLICABLE: "not applicable"})
"""The text of a panel without points, by the state of its cell."""
