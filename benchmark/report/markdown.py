"""A table as Markdown for GitHub, with the paper's value in small print below ours."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmark.report.layout import CellText, Grid, TextRow, title_lines
from benchmark.text import visible

# Characters without a meaning at their place are not escaped, to keep the source readable: an asterisk between spaces,
# an ampersand that begins no entity, the first sign of a line that begins no block.
_SPECIAL = re.compile(r"[\\`_|<~$\[\]]|(?<=\S)\*|\*(?=\S)|&(?=#?\w+;)")
_BLOCK = re.compile(r"(?:\d{1,9}(?=[.)](?!\S))|(?=>|#{1,6}(?!\S)|[-+*](?![^\s-])))")


def render(grid: Grid) -> str:
    """The file: title, table, caption and notes."""
    columns = ("<br>".join(map(escape, title_lines(title))) for title in grid.columns)
    titles = [*map(escape, grid.heads), *columns]
    lines = [
        f"**{escape(grid.number)}.** {escape(grid.title)}",
        "",
        line(titles),
        line([":--"] * len(titles)),
        *[line(_cells(row)) for row in grid.rows],
        "",
        escape(grid.legend("Bold")),
    ]
    notes = [f"- {escape(note)}" for note in grid.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def escape(text: str) -> str:
    """Plain text as Markdown that shows it unchanged, also at the beginning of a line and in a cell."""
    escaped = _SPECIAL.sub(r"\\\g<0>", visible(" ".join(text.split())))
    block = _BLOCK.match(escaped)
    return f"{block[0]}\\{escaped[block.end() :]}" if block else escaped


def code(text: str) -> str:
    """Plain text as Markdown that shows it unchanged as code."""
    shown = visible(" ".join(text.split()))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _cells(row: TextRow) -> list[str]:
    first, *others = (escape(text) for text in row.stub)
    label = "paper" if any(cell.paper for cell in row.cells) else ""
    return [_two_lines(first, label), *others, *(_two_lines(_ours(cell), cell.reference) for cell in row.cells)]


def _ours(cell: CellText) -> str:
    mean = f"**{cell.mean}**" if cell.best else cell.mean
    return f"{mean} {cell.detail}".rstrip()


def _two_lines(text: str, small: str) -> str:
    return f"{text}<br><sub>{small}</sub>" if small else text


def line(cells: Sequence[str]) -> str:
    """One row of a table, from cells in Markdown."""
    return f"| {' | '.join(cells)} |"
