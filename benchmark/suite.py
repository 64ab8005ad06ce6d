"""What the leaderboard compares methods on: the pairs and methods of several tables as one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmark import tables
from benchmark.errors import UserError, unknown
from benchmark.objectives import STUDENT
from benchmark.tables import TEACHER, Axis, Cell, Table

FILE = tables.TABLES / "leaderboard.yaml"
_KEYS = ("title", "metric", "tables", "methods", "notes")


@dataclass(frozen=True)
class _Place:
    """A cell of one of the tables, and what it is called there."""

    cell: Cell
    table: Table
    group: str

    @property
    def pair(self) -> Axis:
        """The column of its pair."""
        cell = self.cell
        pair = f"{cell.teacher}:{cell.student}"
        row, column = self.table.rows[cell.row], self.table.columns[cell.column]
        label = next((axis.label for axis in (row, column) if axis.pair), pair)
        return Axis(label, pair=pair, recipe=cell.recipe, teacher_recipe=cell.teacher_recipe, group=self.group)

    @property
    def method(self) -> Axis:
        """The row of its method."""
        row, column = self.table.rows[self.cell.row], self.table.columns[self.cell.column]
        label = next(axis.label for axis in (row, column) if axis.run)
        if self.cell.method == TEACHER:
            return Axis(label, role=TEACHER)
        return Axis(label, method=self.cell.method)


def load(path: Path = FILE) -> Table:
    """The table of all methods (rows) and pairs (columns) of some tables; its name is the file's.

    Raises:
        UserError: a key or a table is unknown, or two tables train one pair by different recipes.
    """
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in raw:
        if key not in _KEYS:
            raise unknown(f"key in {path.name}", key, _KEYS)
    places = list(_places(raw["tables"], raw["metric"]))
    columns = tuple(dict.fromkeys(place.pair for place in places))
    rows = tuple({place.cell.method: place.method for place in reversed(places)}[name] for name in _methods(places))
    _check(columns, path)
    # Where a method cannot be applied there is no number, whatever the paper prints.
    printed = {(place.cell.method, place.pair): place.cell.paper for place in places if place.cell.applies}
    table = Table(
        name=path.stem,
        title=raw["title"],
        recipe=columns[0].recipe or "",
        heads=("Method",),
        rows=rows,
        columns=columns,
        paper=tuple(tuple(printed.get((row.run or "", column)) for column in columns) for row in rows),
        notes=tuple(raw.get("notes", ())),
        defaults=Axis(label="", metric=raw["metric"]),
        kept=(STUDENT,),
    )
    return replace(table.extended(raw.get("methods", ())), added=())


def _places(numbers: dict[int, str], metric: str) -> Iterator[_Place]:
    for number, group in numbers.items():
        table = tables.load(str(number))
        for cell in table.cells():
            if cell.metric == metric and not cell.probe:
                yield _Place(cell, table, group)


def _methods(places: list[_Place]) -> Iterator[str]:
    yield from dict.fromkeys(place.cell.method for place in places)


def _check(columns: tuple[Axis, ...], path: Path) -> None:
    pairs = [column.pair for column in columns]
    if twice := next((pair for pair in pairs if pairs.count(pair) > 1), None):
        raise UserError(f"{path.name}: {twice} is a pair of two tables that train it differently: name one of them")
