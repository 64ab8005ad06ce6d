"""The files of ``tables/``, and one's own beside them: layout, printed values, and which run makes each cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from reprlib import repr as short
from typing import Any

from benchmark import yaml_schema
from benchmark.errors import UserError, unknown
from benchmark.files import expanded
from benchmark.registry import catalog
from benchmark.registry.catalog import ROOT
from benchmark.runs.metrics import metric
from benchmark.runs.names import STUDENT, TEACHER, PairName, parse_method, parse_pair
from benchmark.tables.table import Aside, Axis, Cell, Table
from benchmark.text import visible_line

__all__ = ["TABLES", "TEACHER", "Aside", "Axis", "Cell", "Table", "figures", "load", "numbers", "read"]

TABLES = ROOT / "tables"
_REQUIRED = ("title", "recipe", "rows", "columns")
_SHARED = ("pair", "method", "role", "metric", "teacher_recipe", "probe")
_OPTIONAL = ("data", "heads", "notes", "asides", *_SHARED)
_TEXTS = (*_SHARED, "recipe")
_OF_COLUMNS = (*_TEXTS, "stub", "hidden")
_OF_ROWS = (*_OF_COLUMNS, "paper")
_OF_NOTES = ("elsewhere",)
_OF_ASIDES = ("row", "column", "metric", "value")
# With what a selection, a preset or the best epoch adds to a name: files of one's own must not take the place of these.
_TAKEN = re.compile(r"(?:(?:table|figure)\d+|leaderboard|claims)(?!\w)", re.IGNORECASE)


def numbers() -> list[str]:
    """The numbers of all tables there are."""
    return _numbers("table")


def figures() -> list[str]:
    """The numbers of all figures there are."""
    return _numbers("figure")


def load(number: str, kind: str = "table") -> Table:
    """Read one table, or figure, by its number; or a table of one's own, by the path of its file.

    Raises:
        UserError: there is no such table or figure, or the file is none, or has a name of the project's.
    """
    if kind == "table" and number.endswith((".yaml", ".yml")):
        return _own(expanded(number))
    known = _numbers(kind)
    if number.lstrip("0") not in known:
        raise unknown(kind, number, [*known, "all"])
    return read(TABLES / f"{kind}{int(number):02d}.yaml", kind, str(int(number)))


def _numbers(kind: str) -> list[str]:
    ends = (path.stem.removeprefix(kind) for path in TABLES.glob(f"{kind}*.yaml"))
    return sorted((end.lstrip("0") for end in ends if end.isdecimal()), key=int)


def _own(path: Path) -> Table:
    if _TAKEN.match(path.stem):
        raise UserError(
            f"table {path}: files of this project are called '{path.stem}': give yours another name, or ask for one of "
            "the project's by its number"
        )
    if not path.exists():
        raise UserError(f"there is no file {path}")
    if visible_line(path.stem) != path.stem:  # its files are called so, too
        raise UserError(f"table {path}: rename the file, whose name has characters that cannot be shown")
    return read(path)


def read(path: Path, kind: str = "table", number: str | None = None) -> Table:
    """Read one file of a table or a figure.

    Args:
        path: of the file.
        kind: ``table`` or ``figure``.
        number: by which it is called; None for its name.

    Raises:
        UserError: the file cannot be read, a key or a name in it is unknown, a value is of another kind, a cell has no
            pair or metric or is there twice, or both its row and its column name a method.
    """
    where = f"{kind} {path}"
    raw = yaml_schema.mapping(yaml_schema.load(path, where), where)
    yaml_schema.check_keys(raw, where, _REQUIRED, _OPTIONAL)
    rows, columns = _lines(raw, "rows", where), _lines(raw, "columns", where)
    notes, notes_elsewhere = _notes(raw.get("notes", []), where)
    table = Table(
        name=path.stem,
        kind=kind,
        number=path.stem if number is None else number,
        title=yaml_schema.text(raw["title"], "title", where),
        recipe=yaml_schema.text(raw["recipe"], "recipe", where),
        heads=yaml_schema.texts(raw.get("heads", [""]), "heads", where),
        rows=tuple(_axis(row, place, _OF_ROWS) for place, row in rows.items()),
        columns=tuple(_axis(column, place, _OF_COLUMNS) for place, column in columns.items()),
        paper=tuple(_printed(row, place, len(columns)) for place, row in rows.items()),
        notes=notes,
        notes_elsewhere=notes_elsewhere,
        data=yaml_schema.texts(raw.get("data", []), "data", where, empty=True),
        defaults=Axis(label="", **_names(raw, where, _SHARED)),
        asides=tuple(_aside(aside, place) for place, aside in _lines(raw, "asides", where).items()),
    )
    _check(table, where)
    return table


def _lines(raw: Mapping[str, Any], key: str, where: str) -> dict[str, Mapping[str, Any]]:
    """The rows, columns or asides by what errors call them."""
    found = yaml_schema.items(raw[key], key, where) if key in raw else []
    places = {f"{key.removesuffix('s')} {number} of {where}": line for number, line in enumerate(found, 1)}
    return {place: yaml_schema.mapping(line, place) for place, line in places.items()}


def _axis(raw: Mapping[str, Any], where: str, optional: Sequence[str]) -> Axis:
    yaml_schema.check_keys(raw, where, ("label",), optional)
    return Axis(
        label=yaml_schema.text(raw["label"], "label", where),
        stub=yaml_schema.texts(raw.get("stub", []), "stub", where, empty=True),
        hidden=yaml_schema.flag(raw.get("hidden", False), "hidden", where),
        **_names(raw, where, _TEXTS),
    )


def _names(raw: Mapping[str, Any], where: str, keys: Sequence[str]) -> dict[str, Any]:
    """What is said of a run or of a number of it, its names known."""
    names: dict[str, Any] = {key: yaml_schema.text(raw[key], key, where) for key in keys if key in raw}
    if "pair" in names:
        names["pair"] = _pair(names["pair"], where)
    if "method" in names:
        names["method"] = parse_method(names["method"])
    if "metric" in names:
        metric(names["metric"])
    if names.get("role", STUDENT) not in (STUDENT, TEACHER):
        raise unknown(f"role in {where}", names["role"], (STUDENT, TEACHER))
    return names


def _pair(text: str, where: str) -> PairName:
    try:
        pair = parse_pair(text)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    for network in (pair.teacher, pair.student):
        if network not in catalog.networks():
            raise unknown(f"network in {where}", network, catalog.networks())
    return pair


def _printed(raw: Mapping[str, Any], where: str, width: int) -> tuple[float | None, ...]:
    """What the paper prints in a row; what it does not say is None."""
    values = raw.get("paper", [])
    if not isinstance(values, list) or not all(value is None or yaml_schema.is_number(value) for value in values):
        raise UserError(f"{where}: 'paper' must be a list of numbers, with ~ where there is none")
    if len(values) > width:
        raise UserError(f"{where}: 'paper' has {len(values)} numbers for {width} columns")
    return (*values, *[None] * (width - len(values)))


def _notes(raw: Any, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The notes under a table, and those under it on other data: without ``paper``, but with its ``elsewhere``."""
    if not isinstance(raw, list):
        raise UserError(f"{where}: 'notes' must be a list of texts, not {short(raw)}")
    notes, elsewhere = [], []
    for note in raw:
        if isinstance(note, dict):
            yaml_schema.check_keys(note, f"a note of {where}", ("paper",), _OF_NOTES)
            texts = [
                yaml_schema.text(note[key], key, f"a note of {where}") for key in ("paper", *_OF_NOTES) if key in note
            ]
            notes.append(texts[0])
            elsewhere += texts[1:]
        else:
            notes.append(yaml_schema.text(note, "notes", where))
            elsewhere.append(notes[-1])
    return tuple(notes), tuple(elsewhere)


def _aside(raw: Mapping[str, Any], where: str) -> Aside:
    yaml_schema.check_keys(raw, where, _OF_ASIDES)
    row, column, name = (yaml_schema.text(raw[key], key, where) for key in ("row", "column", "metric"))
    return Aside(row, column, name, yaml_schema.number(raw["value"], "value", where))


def _check(table: Table, where: str) -> None:
    """Check what rows and columns come to together."""
    texts = [table.title, *(text for axis in (*table.rows, *table.columns) for text in (axis.label, *axis.stub))]
    if absent := next((name for name in table.data if not any(name in text for text in texts)), None):
        raise UserError(f"{where}: 'data' names {absent}, which stands in no title and no label")
    if any(row.run for row in table.rows) and any(column.run for column in table.columns):
        raise UserError(f"{where}: rows and columns name a method or role: only one of them can")
    for row in table.rows:
        if len(row.stub) not in (0, len(table.heads)):
            raise UserError(
                f"{where}: row '{row.label}' has {len(row.stub)} texts as stub for {len(table.heads)} heads"
            )
    for key in ("pair", "metric"):
        stated = (
            any(getattr(axis, key) for axis in (row, col, table.defaults))
            for row in table.rows
            for col in table.columns
        )
        if not all(stated):
            raise UserError(f"{where}: there are cells without a {key}: state it for rows, columns or all")
    there = {(cell.row, cell.column) for cell in table.cells}
    for (i, row), (j, column) in product(enumerate(table.rows), enumerate(table.columns)):
        if (i, j) not in there and not (row.hidden or column.hidden):
            raise UserError(f"{where}: row '{row.label}', column '{column.label}' is the same number as another cell")
