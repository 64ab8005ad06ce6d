"""What the leaderboard compares methods on: the pairs and methods of several tables as one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark import yaml_schema
from benchmark.errors import UserError, unknown
from benchmark.files import expanded
from benchmark.runs.metrics import METRICS
from benchmark.runs.names import STUDENT, TEACHER, PairName
from benchmark.tables import reader
from benchmark.tables.table import Axis, Cell, Table

FILE = reader.TABLES / "leaderboard.yaml"
_REQUIRED = ("title", "metric", "tables")
_OPTIONAL = ("methods", "notes")
_Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class _Place:
    """A cell of one of the tables, and what it is called there."""

    cell: Cell
    table: Table
    group: str

    @property
    def pair(self) -> PairName:
        """That of the cell."""
        return self.cell.pair

    @property
    def column(self) -> Axis:
        """That of its pair."""
        label, cell = next((axis.label for axis in self._axes if axis.pair), self.pair), self.cell
        return Axis(label, pair=self.pair, recipe=cell.recipe, teacher_recipe=cell.teacher_recipe, group=self.group)

    @property
    def row(self) -> Axis:
        """That of its method."""
        label = next((axis.label for axis in self._axes if axis.run), self.cell.method)
        if self.cell.method == TEACHER:
            return Axis(label, role=TEACHER)
        return Axis(label, method=self.cell.method)

    @property
    def _axes(self) -> tuple[Axis, Axis]:
        return self.table.rows[self.cell.row], self.table.columns[self.cell.column]


def load(path: Path = FILE) -> Table:
    """The table of all methods (rows) and pairs (columns) of some tables; its name is the file's.

    A pair or a method of several tables is called as in the first of them.

    Raises:
        UserError: the file cannot be read, a key, a table, the metric or a method is unknown, a value is of another
            kind, a table has no numbers of the metric, or two tables train one pair by different recipes.
    """
    where = path.name
    raw = yaml_schema.mapping(yaml_schema.load(path, where), where)
    yaml_schema.check_keys(raw, where, _REQUIRED, _OPTIONAL)
    metric = _metric(raw, where)
    rows, columns, paper = _laid_out(_places(raw["tables"], metric, path), where)
    notes = yaml_schema.texts(raw.get("notes", []), "notes", where, empty=True)
    table = Table(
        name=path.stem,
        kind="leaderboard",
        number="",
        title=yaml_schema.text(raw["title"], "title", where),
        recipe=columns[0].recipe or "",
        heads=("Method",),
        rows=rows,
        columns=columns,
        paper=paper,
        notes=notes,
        notes_elsewhere=notes,
        defaults=Axis(label="", metric=metric),
        kept=(STUDENT,),
    )
    return replace(table.extended(yaml_schema.texts(raw.get("methods", []), "methods", where, empty=True)), added=())


def _laid_out(places: Iterable[_Place], where: str) -> tuple[_Axes, _Axes, tuple[tuple[float | None, ...], ...]]:
    """Rows, columns, and what the paper prints there."""
    rows: dict[str, Axis] = {}
    columns: dict[str, Axis] = {}
    printed: dict[tuple[str, str], float] = {}
    for place in places:
        cell, column = place.cell, place.column
        _check_alike(columns.setdefault(place.pair, column), column, where)
        rows.setdefault(cell.method, place.row)
        # Where a method cannot be applied there is no number, whatever the paper prints.
        if cell.applies and cell.paper is not None:
            printed.setdefault((cell.method, place.pair), cell.paper)
    paper = tuple(tuple(printed.get((method, pair)) for pair in columns) for method in rows)
    return tuple(rows.values()), tuple(columns.values()), paper


def _metric(raw: Mapping[str, Any], where: str) -> str:
    """A metric that every run has, and of which more is better or worse."""
    name = yaml_schema.text(raw["metric"], "metric", where)
    fit = [key for key, kind in METRICS.items() if kind.higher is not None and not kind.measure]
    if name not in fit:
        raise unknown(f"metric in {where}", name, fit)
    return name


def _places(raw: Any, metric: str, path: Path) -> Iterator[_Place]:
    where = f"'tables' of {path.name}"
    named = yaml_schema.mapping(raw, where)
    if not named:
        raise UserError(f"{where}: name at least one, as in 11: what its pairs have in common")
    for key, group in named.items():
        table = _table(key, where, path.parent)
        title = yaml_schema.text(group, str(key), where)
        cells = [cell for cell in table.cells if cell.metric == metric and not cell.probe]
        if not cells:
            raise UserError(f"{where}: {table.spoken} has no {metric} of networks as they were trained: leave it out")
        yield from (_Place(cell, table, title) for cell in cells)


def _table(key: Any, where: str, folder: Path) -> Table:
    """A table by its number, or one's own by its path; a relative one is seen from the file that names it."""
    if type(key) not in (int, str):
        raise UserError(f"{where}: '{key}' must be a table's number, or the path of one's own")
    name = str(key)
    return reader.load(str(folder / expanded(name)) if name.endswith((".yaml", ".yml")) else name)


def _check_alike(first: Axis, other: Axis, where: str) -> None:
    if (first.recipe, first.teacher_recipe) != (other.recipe, other.teacher_recipe):
        raise UserError(f"{where}: {first.pair} is a pair of two tables that train it differently: name one of them")
