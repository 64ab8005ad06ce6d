"""A table for the terminal, and plain text where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.report.aggregate import FAILED, MISSING, NOT_APPLICABLE
from benchmark.report.layout import CellText, Grid, TextRow, stacked, title_lines
from benchmark.text import visible

_BEST = "bold green"
_QUIET = "dim"
_INDENT = "  "
_UNLIMITED = 10_000
_STYLES: Mapping[str, str] = MappingProxyType({FAILED: "red", MISSING: _QUIET, NOT_APPLICABLE: _QUIET})


def shown(text: str, style: str = "") -> Text:
    """Plain text for the terminal: markup stays as it is, and control characters are spelled out."""
    return Text(visible(text), style=style)


def show(grid: Grid, console: Console) -> None:
    """Print a table: one line per row where the console is wide enough, else with the parts of a cell below each other.

    Where even that is too wide, the columns are printed in several parts.

    Args:
        grid: the table.
        console: a console without colours gets an asterisk behind the best cells.
    """
    mark = "*" if console.no_color or console.color_system is None else ""
    console.print(Text.assemble((visible(f"{grid.number}. "), "bold"), visible(grid.title)), highlight=False)
    for part in _parts(grid, mark, console):
        console.print()
        console.print(part, highlight=False)
    console.print()
    console.print(shown(grid.legend(mark or "Green")), style=_QUIET, highlight=False)
    notes = RichTable.grid(padding=(0, 1))
    for note in grid.notes:
        notes.add_row("-", shown(note))
    if grid.notes:
        console.print(notes, style=_QUIET, highlight=False)


def _parts(grid: Grid, mark: str, console: Console) -> Iterator[RichTable]:
    """The table in as few parts as fit the console."""

    def fits(table: RichTable) -> bool:
        return Measurement.get(console, console.options.update(max_width=_UNLIMITED), table).maximum <= console.width

    columns = range(len(grid.columns))
    if fits(wide := _table(grid, columns, mark, narrow=False)):
        yield wide
        return
    while columns:
        counts = range(len(columns), 0, -1)
        tables = ((count, _table(grid, columns[:count], mark, narrow=True)) for count in counts)
        count, table = next((count, table) for count, table in tables if count == 1 or fits(table))
        yield table
        columns = columns[count:]


def _table(grid: Grid, columns: Sequence[int], mark: str, *, narrow: bool) -> RichTable:
    gap = 0 if narrow else 1  # in addition to the space that is part of the box
    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    heads = [f"\n{_INDENT}".join(grid.heads)] if narrow else grid.heads
    for title in (*heads, *("\n".join(title_lines(grid.columns[column])) for column in columns)):
        table.add_column(shown(title), overflow="fold")
    for row in grid.rows:
        part = TextRow(row.stub, tuple(row.cells[column] for column in columns))
        for line in _narrow_lines(part, mark) if narrow else _wide_lines(part, mark):
            table.add_row(*line)
    return table


def _wide_lines(row: TextRow, mark: str) -> Iterator[list[Text]]:
    yield [*map(shown, row.stub), *(_mean(cell, mark).append(f" {cell.detail}".rstrip()) for cell in row.cells)]
    references = [cell.reference for cell in row.cells]
    if any(references):
        stub = [f"{_INDENT}paper", *[""] * (len(row.stub) - 1)]
        yield [shown(text, _QUIET) for text in (*stub, *references)]


def _narrow_lines(row: TextRow, mark: str) -> Iterator[list[Text]]:
    first, *others = stacked(row)
    yield [shown(first.stub), *(_mean(cell, mark) for cell in row.cells)]
    for line in others:
        yield [shown(text, _QUIET if line.quiet else "") for text in (f"{_INDENT}{line.stub}", *line.texts)]


def _mean(cell: CellText, mark: str) -> Text:
    if cell.best:
        return Text.assemble((f"{cell.mean}{mark}", _BEST))
    return Text.assemble((cell.mean, _STYLES.get(cell.state, "")))
