"""A table for the terminal, fitted to its width, and plain text where there is no terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.report.aggregate import FAILED, MISSING, NOT_APPLICABLE
from benchmark.report.layout import Entry, Grid, Row, stacked, title_lines
from benchmark.text import visible

_BEST = "bold green"
_QUIET = "dim"
_STYLES: Mapping[str, str] = MappingProxyType({FAILED: "red", MISSING: _QUIET, NOT_APPLICABLE: _QUIET})
_INDENT = "  "


@dataclass(frozen=True)
class _Sheet:
    """Texts in lines and columns: the first ``stubs`` columns name the row, the others hold cells."""

    stubs: int
    titles: tuple[str, ...]
    rows: tuple[tuple[tuple[Text, ...], ...], ...]

    def width(self, column: int) -> int:
        """Characters that a column needs."""
        texts = [shown(self.titles[column]), *(line[column] for row in self.rows for line in row)]
        return max(len(part) for text in texts for part in text.plain.split("\n"))


def shown(text: str, style: str = "") -> Text:
    """A text for the terminal as it is: neither markup nor control characters act."""
    return Text(visible(text), style=style)


def show(grid: Grid, console: Console) -> None:
    """Print a table: on one line per cell where the console is wide enough, else with a cell's parts stacked.

    Where even that is too wide, the columns are printed in several parts below each other.

    Args:
        grid: the table.
        console: where to. Where it has no colours, the best are marked by an asterisk.
    """
    mark = "*" if console.no_color or console.color_system is None else ""
    console.print(Text.assemble((visible(f"{grid.number}. "), "bold"), visible(grid.title)), highlight=False)
    for part in _parts(grid, mark, console.width):
        console.print()
        console.print(part, highlight=False)
    console.print()
    console.print(shown(grid.legend(mark or "Green")), style=_QUIET, highlight=False)
    notes = RichTable.grid(padding=(0, 1))
    for note in grid.notes:
        notes.add_row("-", shown(note))
    if grid.notes:
        console.print(notes, style=_QUIET, highlight=False)


def _parts(grid: Grid, mark: str, width: int) -> list[RichTable]:
    narrow = _narrow(grid, mark)
    for sheet, gap in ((_wide(grid, mark), 2), (narrow, 2), (narrow, 1)):
        if len(blocks := _blocks(sheet, gap, width)) == 1:
            return [_table(sheet, gap, blocks[0])]
    return [_table(narrow, 2, block) for block in _blocks(narrow, 2, width)]


def _blocks(sheet: _Sheet, gap: int, width: int) -> list[list[int]]:
    stub = sum(sheet.width(column) for column in range(sheet.stubs)) + gap * (sheet.stubs - 1)
    blocks: list[list[int]] = [[]]
    used = stub
    for column in range(sheet.stubs, len(sheet.titles)):
        needed = gap + sheet.width(column)
        if blocks[-1] and used + needed > width:
            blocks.append([])
            used = stub
        blocks[-1].append(column)
        used += needed
    return blocks


def _table(sheet: _Sheet, gap: int, block: Sequence[int]) -> RichTable:
    table = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0), header_style="bold"
    )
    columns = [*range(sheet.stubs), *block]
    for column in columns:
        table.add_column(shown(sheet.titles[column]), overflow="fold")
    for row in sheet.rows:
        for line in row:
            texts = [line[column] for column in columns]
            if any(text.plain.strip() for text in texts):
                table.add_row(*texts)
    return table


def _wide(grid: Grid, mark: str) -> _Sheet:
    titles = (*grid.heads, *_titles(grid))
    return _Sheet(len(grid.heads), titles, tuple(_wide_row(row, mark) for row in grid.rows))


def _titles(grid: Grid) -> list[str]:
    return ["\n".join(title_lines(title)) for title in grid.columns]


def _wide_row(row: Row, mark: str) -> tuple[tuple[Text, ...], ...]:
    ours = (*map(shown, row.stub), *(_mean(entry, mark).append(f" {entry.detail}".rstrip()) for entry in row.entries))
    references = [entry.reference for entry in row.entries]
    theirs = _texts([f"{_INDENT}paper", *[""] * (len(row.stub) - 1), *references], _QUIET)
    return (ours, theirs) if any(references) else (ours,)


def _narrow(grid: Grid, mark: str) -> _Sheet:
    head = f"\n{_INDENT}".join(grid.heads)
    return _Sheet(1, (head, *_titles(grid)), tuple(_narrow_row(row, mark) for row in grid.rows))


def _narrow_row(row: Row, mark: str) -> tuple[tuple[Text, ...], ...]:
    first, *others = stacked(row)
    means = (shown(first.stub), *(_mean(entry, mark) for entry in row.entries))
    return (
        means,
        *(_texts([f"{_INDENT}{line.stub}", *line.texts], _QUIET if line.quiet else "") for line in others),
    )


def _mean(entry: Entry, mark: str) -> Text:
    if entry.best:
        return Text.assemble((f"{entry.mean}{mark}", _BEST))
    return Text.assemble((entry.mean, _STYLES.get(entry.state, "")))


def _texts(texts: Sequence[str], style: str) -> tuple[Text, ...]:
    return tuple(shown(text, style) for text in texts)
