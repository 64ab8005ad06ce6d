"""Reads tables from YAML: layout, printed values, and which run makes each cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from benchmark import yaml_schema
from benchmark.errors import UserError, unknown
from benchmark.files import expanded
from benchmark.registry.catalog import ROOT
from benchmark.runs.metrics import metric
from benchmark.runs.names import TEACHER, parse_method, parse_pair
from benchmark.tables.axis import Axis
from benchmark.tables.table import Cell, Table
from benchmark.text import visible_line
from benchmark.yaml_schema import Strict, Texts, YamlFile

__all__ = ["TABLES", "TEACHER", "Axis", "Cell", "Table", "figures", "load", "numbers", "read"]

TABLES = ROOT / "tables"
# Names of this project's files, which may go on with what a selection, a preset or the best epoch adds to them.
_RESERVED = re.compile(r"(?:(?:table|figure)\d+|leaderboard|claims)(?!\w)", re.IGNORECASE)


class _Names(Strict):
    """Keys of a whole table, a row or a column that tell which run and which number a cell is about."""

    pair: str | None = None
    method: str | None = None
    role: Literal["student", "teacher"] | None = None
    metric: str | None = None
    teacher_recipe: str | None = None
    probe: str | None = None


class _Column(_Names, kw_only=True):
    label: str
    recipe: str | None = None
    stub: tuple[str, ...] = ()
    hidden: bool = False


class _Row(_Column):
    paper: tuple[float | None, ...] = ()


class _Note(Strict):
    """A note about what the paper prints, and the note in its place where the runs are on other data."""

    paper: str
    elsewhere: str | None = None


class _TableFile(_Names, kw_only=True):
    title: str
    recipe: str
    rows: Annotated[tuple[_Row, ...], Meta(min_length=1)]
    columns: Annotated[tuple[_Column, ...], Meta(min_length=1)]
    data: tuple[str, ...] = ()
    heads: Texts = ("",)
    notes: tuple[str | _Note, ...] = ()


def numbers() -> list[str]:
    """The numbers of all tables."""
    return _numbers("table")


def figures() -> list[str]:
    """The numbers of all figures."""
    return _numbers("figure")


def load(number: str, kind: str = "table") -> Table:
    """Read a table or a figure by its number, or a table of the user's own by the path of its file.

    Raises:
        UserError: the table does not exist, its file cannot be read, or the user's file has a reserved name.
    """
    if kind == "table" and number.endswith((".yaml", ".yml")):
        return _read_own(expanded(number))
    known = _numbers(kind)
    if number.lstrip("0") not in known:
        raise unknown(kind, number, [*known, "all"])
    return read(TABLES / f"{kind}{int(number):02d}.yaml", kind, str(int(number)))


def _numbers(kind: str) -> list[str]:
    ends = (path.stem.removeprefix(kind) for path in TABLES.glob(f"{kind}*.yaml"))
    return sorted((end.lstrip("0") for end in ends if end.isdecimal()), key=int)


def _read_own(path: Path) -> Table:
    if _RESERVED.match(path.stem):
        raise UserError(
            f"table {path}: files of this project are called '{path.stem}': give yours another name, or ask for one of "
            "the project's by its number"
        )
    if not path.exists():
        raise UserError(f"there is no file {path}")
    if visible_line(path.stem) != path.stem:  # it becomes the name of written files
        raise UserError(f"table {path}: rename the file, whose name has characters that cannot be shown")
    return read(path)


def read(path: Path, kind: str = "table", number: str | None = None) -> Table:
    """Read the file of a table or a figure.

    Args:
        path: of the file.
        kind: ``table`` or ``figure``.
        number: its number; None for a table that is called by its name.

    Raises:
        UserError: the file cannot be read or does not fit the schema, a name in it is unknown, a cell has no pair or
            metric or is there twice, or both its row and its column name a method.
    """
    file = yaml_schema.read(path, f"{kind} {path}")
    raw = file.convert(_TableFile)
    with file.at():
        defaults = Axis(label="", **_names(raw))
    width = len(raw.columns)
    for i, row in enumerate(raw.rows):
        with file.at("rows", i):
            _check_row(row, len(raw.heads), width)
    table = Table(
        name=path.stem,
        kind=kind,
        number=path.stem if number is None else number,
        title=raw.title,
        recipe=raw.recipe,
        heads=raw.heads,
        rows=_axes(file, "rows", raw.rows),
        columns=_axes(file, "columns", raw.columns),
        paper=tuple((*row.paper, *[None] * (width - len(row.paper))) for row in raw.rows),
        notes=tuple(note if isinstance(note, str) else note.paper for note in raw.notes),
        notes_elsewhere=tuple(filter(None, (note if isinstance(note, str) else note.elsewhere for note in raw.notes))),
        data=raw.data,
        defaults=defaults,
    )
    _check(table, file)
    return table


def _axes(file: YamlFile, key: str, lines: Sequence[_Column]) -> tuple[Axis, ...]:
    axes = []
    for i, line in enumerate(lines):
        with file.at(key, i):
            same = {name: getattr(line, name) for name in ("label", "recipe", "stub", "hidden")}
            axes.append(Axis(**same, **_names(line)))
    return tuple(axes)


def _names(raw: _Names) -> dict[str, Any]:
    """The keys of `_Names` with pair and method parsed; networks, methods and metrics are known."""
    if raw.metric is not None:
        metric(raw.metric)
    pair = None if raw.pair is None else parse_pair(raw.pair)
    method = None if raw.method is None else parse_method(raw.method)
    same = {key: getattr(raw, key) for key in ("role", "metric", "teacher_recipe", "probe")}
    return {**same, "pair": pair, "method": method}


def _check_row(row: _Row, heads: int, columns: int) -> None:
    if len(row.paper) > columns:
        raise UserError(f"'paper' has {len(row.paper)} numbers for {columns} columns")
    if len(row.stub) not in (0, heads):
        raise UserError(f"'stub' has {len(row.stub)} texts for {heads} heads")


def _check(table: Table, file: YamlFile) -> None:
    """Check what rows and columns say together."""
    texts = [table.title, *(text for axis in (*table.rows, *table.columns) for text in (axis.label, *axis.stub))]
    with file.at("data"):
        if absent := next((name for name in table.data if not any(name in text for text in texts)), None):
            raise UserError(f"no title and no label names {absent}")
    with file.at("rows"):
        if any(row.run for row in table.rows) and any(column.run for column in table.columns):
            raise UserError("rows and columns name a method or role: only one of them can")
    for key in ("pair", "metric"):
        axes = [[bool(getattr(axis, key)) for axis in each] for each in (table.rows, table.columns)]
        if not (getattr(table.defaults, key) or any(map(all, axes))):
            with file.at():
                raise UserError(f"there are cells without a {key}: state it for rows, columns or all")
    known = {(cell.row, cell.column) for cell in table.cells}
    for (i, row), (j, column) in product(enumerate(table.rows), enumerate(table.columns)):
        if (i, j) not in known and not (row.hidden or column.hidden):
            with file.at("rows", i):
                raise UserError(f"column '{column.label}' has the same number as another cell")
