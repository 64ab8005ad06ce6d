"""A table as LaTeX: complete ``table`` environments that need booktabs only.

The parts of a cell are below each other, so that eight columns fit the text width of an article; rows that do not fit
the page continue in a second environment. Every mean is on a line of its own, with the ids of its runs in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from benchmark.report.layout import CellText, Grid, Line, TextRow, stacked, title_lines
from benchmark.text import visible

_BEST = "Bold"
_PAGE = 42
"""Lines of small print that fit a page of an article besides caption and notes."""
_CONTINUED = (r"\addtocounter{table}{-1}", r"\caption{(continued)}")
_NO_LABEL = re.compile(r"[^\w.:+-]+", re.ASCII)
"""Characters that are not allowed in a label."""
_ESCAPES: Mapping[int, str] = MappingProxyType(
    str.maketrans(
        {
            "\\": r"\textbackslash{}",
            **{character: f"\\{character}" for character in "&%$#_{}"},
            "~": r"\textasciitilde{}",
            "^": r"\textasciicircum{}",
            "<": r"\textless{}",
            ">": r"\textgreater{}",
            "|": r"\textbar{}",
            "`": r"\textasciigrave{}",
            '"': "''",
            # After the end of a row, TeX would read [ and * as its arguments.
            "[": "{[}",
            "*": "{*}",
            "±": r"$\pm$",
            "−": "$-$",
            "×": r"$\times$",
            "→": r"$\to$",
            "←": r"$\leftarrow$",
            "↓": r"$\downarrow$",
            "–": r"\textendash{}",
            "—": r"\textemdash{}",
        }
    )
)


def render(grid: Grid) -> str:
    """The file: ``table`` environments, the first with caption and label, the last with the notes."""
    pages = _pages(grid.rows)
    lines = ["% needs \\usepackage{booktabs}; the comment behind a number names its runs, see run_all.py why ID"]
    for number, rows in enumerate(pages, 1):
        caption = _caption(grid) if number == 1 else _CONTINUED
        lines += _environment(grid, rows, caption, _notes(grid) if number == len(pages) else [])
    return "\n".join(lines) + "\n"


def _environment(grid: Grid, rows: Sequence[TextRow], caption: Sequence[str], notes: Sequence[str]) -> list[str]:
    body = r"\addlinespace".join(_row(row) for row in rows)
    return [
        r"\begin{table}",
        r"\centering",
        r"\setlength{\tabcolsep}{3pt}",
        r"\setlength{\belowcaptionskip}{6pt}",
        *caption,
        r"\footnotesize",
        rf"\begin{{tabular}}{{l{'c' * len(grid.columns)}}}",
        r"\toprule",
        *_header(grid),
        rf"\midrule{body}\bottomrule",
        r"\end{tabular}",
        *notes,
        r"\end{table}",
    ]


def _pages(rows: Sequence[TextRow]) -> list[list[TextRow]]:
    pages: list[list[TextRow]] = [[]]
    used = 0
    for row in rows:
        lines = len(stacked(row))
        if pages[-1] and used + lines > _PAGE:
            pages.append([])
            used = 0
        pages[-1].append(row)
        used += lines
    return pages


def escape(text: str) -> str:
    """Plain text as LaTeX that prints it unchanged."""
    translated = visible(" ".join(text.split())).replace("->", "→").translate(_ESCAPES)
    return re.sub("-(?=-)", "-{}", translated)


def _caption(grid: Grid) -> list[str]:
    text = escape(f"{grid.title}. {grid.legend(_BEST)}")
    return [rf"\caption{{{text}}}", rf"\label{{tab:{_NO_LABEL.sub('-', grid.name)}}}"]


def _header(grid: Grid) -> list[str]:
    first, *others = map(escape, grid.heads)
    heads = [first, *(rf"\quad {head}" for head in others)]
    return [_line(cells) for cells in zip_longest(heads, *map(_title, grid.columns), fillvalue="")]


def _title(title: str) -> list[str]:
    lines = [escape(line) for line in title_lines(title)]
    return lines if len(lines) == 1 else [rf"\scriptsize {line}" for line in lines]


def _notes(grid: Grid) -> list[str]:
    if not grid.notes:
        return []
    notes = [rf"{escape(note)}\par" for note in grid.notes]
    return [r"\par\smallskip", r"\begin{minipage}{\linewidth}\scriptsize\raggedright", *notes, r"\end{minipage}"]


def _row(row: TextRow) -> str:
    lines = []
    for position, line in enumerate(stacked(row)):
        cells = _cells(row, line, first=position == 0)
        lines.append(_means(cells, row.cells) if line.ours else _line(cells))
    return "\n" + "\n".join(lines) + "\n"


def _cells(row: TextRow, line: Line, *, first: bool) -> list[str]:
    stub = escape(line.stub)
    texts = [escape(text) for text in line.texts]
    if line.ours:
        texts = [rf"\textbf{{{text}}}" if cell.best else text for cell, text in zip(row.cells, texts, strict=True)]
    else:
        texts = [text and rf"\scriptsize {text}" for text in texts]
    size = r"\scriptsize " if line.quiet else ""
    return [stub if first or not stub else rf"\quad {size}{stub}", *texts]


def _means(cells: Sequence[str], texts: Sequence[CellText]) -> str:
    """Each mean on a line of its own, because a comment hides the rest of its line."""
    stub, *means = cells
    lines = [f"  & {mean}{_comment(cell)}" for mean, cell in zip(means, texts, strict=True)]
    # An empty line would end the paragraph.
    return "\n".join([*([stub] if stub else []), *lines, r"  \\"])


def _comment(cell: CellText) -> str:
    return f" % {' '.join(cell.runs)}" if cell.runs else ""


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
