"""The files of ``tables/``, and one's own beside them: layout, printed values, and which run makes each cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark import catalog
from benchmark.catalog import ROOT
from benchmark.errors import UserError, unknown
from benchmark.metrics import metric
from benchmark.table import TEACHER, Aside, Axis, Cell, Table

__all__ = ["TABLES", "TEACHER", "Aside", "Axis", "Cell", "Table", "figures", "load", "numbers", "read"]

TABLES = ROOT / "tables"
_KEYS = ("title", "recipe", "heads", "rows", "columns", "notes", "asides")
_REQUIRED = ("title", "recipe", "rows", "columns")
_SHARED = ("pair", "method", "role", "metric", "teacher_recipe", "probe")
_OF_AXIS = ("label", *_SHARED, "recipe", "stub", "hidden", "paper")


def numbers() -> list[str]:
    """The numbers of all tables there are."""
    return _numbers("table")


def figures() -> list[str]:
    """The numbers of all figures there are."""
    return _numbers("figure")


def load(number: str, kind: str = "table") -> Table:
    """Read one table, or figure, by its number; or one's own, by the path of its file.

    Raises:
        UserError: there is no such table or figure, or the file is none.
    """
    if number.endswith((".yaml", ".yml")):
        return read(Path(number).expanduser())
    known = _numbers(kind)
    if number.lstrip("0") not in known:
        raise unknown(kind, number, [*known, "all"])
    return read(TABLES / f"{kind}{int(number):02d}.yaml")


def _numbers(kind: str) -> list[str]:
    return sorted((path.stem.removeprefix(kind).lstrip("0") for path in TABLES.glob(f"{kind}*.yaml")), key=int)


def read(path: Path) -> Table:
    """Read one file of a table or a figure.

    Raises:
        UserError: the file cannot be read, a key or a name in it is unknown, or a cell has no pair or metric.
    """
    raw = _checked(path)
    width = len(raw["columns"])
    printed = [row.pop("paper", []) for row in raw["rows"]]
    table = Table(
        name=path.stem,
        title=raw["title"],
        recipe=raw["recipe"],
        heads=tuple(raw.get("heads", ("",))),
        rows=tuple(_axis(**row) for row in raw["rows"]),
        columns=tuple(_axis(**column) for column in raw["columns"]),
        paper=tuple((*values, *[None] * (width - len(values))) for values in printed),
        notes=tuple(raw.get("notes", ())),
        defaults=Axis(label="", **{key: raw[key] for key in _SHARED if key in raw}),
        asides=tuple(Aside(**aside) for aside in raw.get("asides", ())),
    )
    _check_cells(table, path)
    return table


def _axis(*, stub: Sequence[str] = (), **values: Any) -> Axis:
    return Axis(stub=tuple(stub), **values)


def _checked(path: Path) -> Mapping[str, Any]:
    """What the file says, its keys known."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"table {path}: cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise UserError(f"table {path}: it has to name {', '.join(_REQUIRED)}")
    for key in _REQUIRED:
        if key not in raw:
            raise UserError(f"table {path}: it lacks '{key}'")
    for where, values, known in _parts(raw):
        for key in values:
            if key not in known:
                raise unknown(f"key of {where} in {path}", str(key), known)
        if "label" in known and "label" not in values:
            raise UserError(f"table {path}: {where} lacks its label")
    return raw


def _parts(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Sequence[str]]]:
    yield "the table", raw, (*_KEYS, *_SHARED)
    for row in raw["rows"]:
        yield "a row", row, _OF_AXIS
    for column in raw["columns"]:
        yield "a column", column, tuple(key for key in _OF_AXIS if key != "paper")


def _check_cells(table: Table, path: Path) -> None:
    for line in (*table.rows, *table.columns, table.defaults):
        teacher, colon, student = (line.pair or "a:b").partition(":")
        if not colon:
            raise UserError(f"table {path}: '{line.pair}' is no pair: write TEACHER:STUDENT")
        for network in (teacher, student) if line.pair else ():
            if network not in catalog.networks():
                raise unknown(f"network in {path}", network, catalog.networks())
        if line.metric:
            metric(line.metric)
    for key in ("pair", "metric"):
        stated = (
            any(getattr(axis, key) for axis in (row, col, table.defaults))
            for row in table.rows
            for col in table.columns
        )
        if not all(stated):
            raise UserError(f"table {path}: there are cells without a {key}: state it for rows, columns or all")
