"""The paper's tables as data: layout, printed values, and which run makes each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from benchmark.catalog import ROOT
from benchmark.errors import UserError, unknown
from benchmark.objectives import STUDENT, parse_method

TABLES = ROOT / "tables"
TEACHER = "teacher"


@dataclass(frozen=True)
class Axis:
    """One row or one column: a label and what its cells have in common.

    Attributes:
        label: as the paper prints it, the CSV's ``row`` or ``column``.
        pair: ``teacher:student``.
        method: name of the objective that trains the student.
        role: ``student``, or ``teacher`` for a cell about the pair's teacher.
        metric: which number of a record.
        hidden: written to the CSV only.
    """

    label: str
    pair: str | None = None
    method: str | None = None
    role: str | None = None
    metric: str | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Cell:
    """One number of a table: a metric over the seeds of one run.

    Attributes:
        row: position of its row.
        column: position of its column.
        teacher: network name of the pair's teacher.
        student: network name of the pair's student.
        method: the objective's name, ``teacher`` for a cell about the teacher.
        metric: which number of a record.
        paper: the printed value.
        name: ``table06/wrn-40-4:wrn-16-2/kd/top1``.
    """

    row: int
    column: int
    teacher: str
    student: str
    method: str
    metric: str
    paper: float | None
    name: str


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Attributes:
        name: ``table06``.
        title: its caption.
        recipe: name of the recipe of its runs.
        heads: headers of the stub columns, filled from the row labels.
        rows: rows in print order.
        columns: columns in print order.
        paper: what the paper prints, by row and column; None where it prints nothing.
        notes: printed under the table.
        defaults: metric, method, pair where neither row nor column states one.
        added: methods that the paper's table does not have.
    """

    name: str
    title: str
    recipe: str
    heads: tuple[str, ...]
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    paper: tuple[tuple[float | None, ...], ...]
    notes: tuple[str, ...]
    defaults: Axis
    added: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """Name of its files: with added methods it is another table than the paper's."""
        return "+".join((self.name, *self.added))

    @property
    def number(self) -> str:
        """``6`` of ``table06``."""
        return self.name.removeprefix("table").lstrip("0")

    def cells(self) -> Iterator[Cell]:
        """All cells, row by row."""
        for i, row in enumerate(self.rows):
            for j, column in enumerate(self.columns):
                yield self._cell(i, j, row, column)

    def transposed(self) -> Table:
        """The same table with rows for columns; its cells keep their names."""
        paper = tuple(zip(*self.paper, strict=True))
        return replace(self, rows=self.columns, columns=self.rows, paper=paper)

    def extended(self, methods: Sequence[str] | None) -> Table:
        """The table with a column (or row) for every named method that it lacks, before the teacher's at its end.

        Raises:
            UserError: a method is unknown.
        """
        if _name_runs(self.rows):
            return self.transposed().extended(methods).transposed()
        have = {_makes(axis) for axis in self.columns} | {TEACHER}
        lacking = [parse_method(name) for name in _wanted(self.columns, methods or []) if name not in have]
        added = [Axis(label=method.title, method=method.name) for method in lacking]
        place = 1 + max(j for j, axis in enumerate(self.columns) if axis.role != TEACHER or axis.hidden)
        paper = tuple(_insert(values, place, [None] * len(added)) for values in self.paper)
        columns = _insert(self.columns, place, added)
        return replace(self, columns=columns, paper=paper, added=tuple(method.name for method in lacking))

    def select(self, methods: Sequence[str] | None, pairs: Sequence[str] | None) -> Table:
        """The part of the table that some methods and pairs make.

        Args:
            methods: names or wildcards; a name that is no column of the table becomes one.
            pairs: ``teacher:student`` patterns.

        Raises:
            UserError: a name is unknown, a pattern matches nothing or there is none.
        """
        for option, patterns in (("--methods", methods), ("--pairs", pairs)):
            if patterns is not None and not patterns:
                raise UserError(f"{option} is empty: leave it out to take all of them")
        if _name_runs(self.rows):
            return self.transposed().select(methods, pairs).transposed()
        whole = self.extended(methods)
        kept = _matching_rows(whole, pairs or ["*"]), _matching_columns(whole, methods or ["*"])
        return replace(
            whole,
            rows=tuple(whole.rows[i] for i in kept[0]),
            columns=tuple(whole.columns[j] for j in kept[1]),
            paper=tuple(tuple(whole.paper[i][j] for j in kept[1]) for i in kept[0]),
        )

    def _cell(self, i: int, j: int, row: Axis, column: Axis) -> Cell:
        def pick(key: str) -> Any:
            return next((value for axis in (column, row, self.defaults) if (value := getattr(axis, key))), None)

        teacher, student = pick("pair").split(":")
        role, metric = pick("role"), pick("metric")
        method = TEACHER if role == TEACHER else (pick("method") or STUDENT)
        name = f"{self.name}/{teacher}:{student}/{method}/{metric}"
        return Cell(i, j, teacher, student, method, metric, self.paper[i][j], name)


def _name_runs(axes: Sequence[Axis]) -> bool:
    """Whether it is these rows or columns that tell the methods apart."""
    return any(axis.method or axis.role for axis in axes)


def _makes(column: Axis) -> str:
    """The name of the run that makes a column."""
    return TEACHER if column.role == TEACHER else column.method or STUDENT


def _insert(items: Sequence[Any], place: int, added: Sequence[Any]) -> tuple[Any, ...]:
    return (*items[:place], *added, *items[place:])


def _matching_rows(table: Table, patterns: Sequence[str]) -> list[int]:
    pairs = [row.pair or table.defaults.pair or "" for row in table.rows]
    for pattern in patterns:
        if not any(fnmatchcase(pair, pattern) for pair in pairs):
            known = ", ".join(dict.fromkeys(pairs))
            raise UserError(f"no pair of this table matches '{pattern}' (TEACHER:STUDENT): it has {known}")
    return [i for i, pair in enumerate(pairs) if any(fnmatchcase(pair, pattern) for pattern in patterns)]


def _matching_columns(table: Table, patterns: Sequence[str]) -> list[int]:
    wanted = set(_wanted(table.columns, patterns))
    # Whoever asks for a distilled student wants to see its teacher.
    shown = wanted if wanted <= {STUDENT, TEACHER} else {*wanted, TEACHER}
    return [j for j, axis in enumerate(table.columns) if _makes(axis) in shown]


def _wanted(axes: Sequence[Axis], patterns: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(_makes(axis) for axis in axes))
    found = (name for pattern in patterns for name in _matching_methods(pattern, known))
    return list(dict.fromkeys(found))


def _matching_methods(pattern: str, columns: Sequence[str]) -> list[str]:
    if "*" not in pattern and "?" not in pattern:
        return [pattern if pattern == TEACHER else parse_method(pattern).name]
    found = [name for name in columns if fnmatchcase(name, pattern)]
    if not found:
        raise UserError(f"no method of this table matches '{pattern}': it has {', '.join(columns)}")
    return found


def numbers() -> list[str]:
    """The numbers of all tables there are."""
    return sorted((path.stem.removeprefix("table").lstrip("0") for path in TABLES.glob("table*.yaml")), key=int)


def load(number: str) -> Table:
    """Read one table by its number.

    Raises:
        UserError: there is no such table.
    """
    if number.lstrip("0") not in numbers():
        raise unknown("table", number, [*numbers(), "all"])
    return read(TABLES / f"table{int(number):02d}.yaml")


def read(path: Path) -> Table:
    """Read one table file."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    width = len(raw["columns"])
    printed = [row.pop("paper", []) for row in raw["rows"]]
    return Table(
        name=path.stem,
        title=raw["title"],
        recipe=raw["recipe"],
        heads=tuple(raw["heads"]),
        rows=tuple(Axis(**row) for row in raw["rows"]),
        columns=tuple(Axis(**column) for column in raw["columns"]),
        paper=tuple((*values, *[None] * (width - len(values))) for values in printed),
        notes=tuple(raw.get("notes", ())),
        defaults=Axis(label="", **{key: raw[key] for key in ("pair", "method", "metric") if key in raw}),
    )
