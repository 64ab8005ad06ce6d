"""A table as LaTeX: a complete ``table`` environment that needs booktabs only.

A cell's parts stand below each other, so that eight columns fit the text width of an article.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from benchmark.report.layout import Grid, Line, Row, stacked

_BEST = "Bold"
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
            '"': "''",
            # After the end of a row, [ and * would be read as arguments of the row's end.
            "[": "{[}",
            "*": "{*}",
            "±": r"$\pm$",
            "−": "$-$",
            "×": r"$\times$",
            "→": r"$\to$",
            "←": r"$\leftarrow$",
            "–": r"\textendash{}",
            "—": r"\textemdash{}",
        }
    )
)


def render(grid: Grid) -> str:
    """The whole file: one ``table`` environment with caption, label and notes."""
    body = r"\addlinespace".join(_row(row) for row in grid.rows)
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\setlength{\tabcolsep}{3pt}",
        r"\setlength{\belowcaptionskip}{6pt}",
        rf"\caption{{{escape(f'{grid.title}. {grid.legend(_BEST)}')}}}",
        rf"\label{{tab:{grid.name}}}",
        r"\footnotesize",
        rf"\begin{{tabular}}{{l{'c' * len(grid.columns)}}}",
        r"\toprule",
        *_header(grid),
        rf"\midrule{body}\bottomrule",
        r"\end{tabular}",
        *_notes(grid),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Plain text as LaTeX that prints it unchanged."""
    translated = text.replace("->", "→").translate(_ESCAPES)
    return translated.replace("--", "-{}-")


def _header(grid: Grid) -> list[str]:
    first, *others = grid.heads
    columns = [escape(column) for column in grid.columns]
    blank = [""] * len(columns)
    return [_line([escape(first), *columns]), *(_line([rf"\quad {escape(head)}", *blank]) for head in others)]


def _notes(grid: Grid) -> list[str]:
    if not grid.notes:
        return []
    notes = [rf"{escape(note)}\par" for note in grid.notes]
    return [r"\par\smallskip", r"\begin{minipage}{\linewidth}\scriptsize\raggedright", *notes, r"\end{minipage}"]


def _row(row: Row) -> str:
    lines = [_cells(row, line, first=position == 0) for position, line in enumerate(stacked(row))]
    return "\n" + "\n".join(_line(cells) for cells in lines) + "\n"


def _cells(row: Row, line: Line, *, first: bool) -> list[str]:
    stub = escape(line.stub)
    texts = [escape(text) for text in line.texts]
    if line.ours:
        texts = [rf"\textbf{{{text}}}" if entry.best else text for entry, text in zip(row.entries, texts, strict=True)]
    else:
        texts = [text and rf"\scriptsize {text}" for text in texts]
    size = r"\scriptsize " if line.quiet else ""
    return [stub if first or not stub else rf"\quad {size}{stub}", *texts]


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
