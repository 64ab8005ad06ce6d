"""The leaderboard's pairs and methods: those of several tables, as one table."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from benchmark import yaml_schema
from benchmark.config.overrides import load_recipe
from benchmark.errors import UserError, unknown
from benchmark.files import expanded
from benchmark.runs.metrics import METRICS
from benchmark.runs.names import STUDENT, TEACHER, PairName, parse_pair
from benchmark.tables import reader
from benchmark.tables.axis import Axis
from benchmark.tables.table import Cell, Table
from benchmark.yaml_schema import Strict

FILE = reader.TABLES / "leaderboard.yaml"


class _Pairs(Strict):
    """Further pairs under one heading, trained by one recipe."""

    group: str
    recipe: str
    pairs: Annotated[tuple[str, ...], Meta(min_length=1)]


class _LeaderboardFile(Strict):
    title: str
    metric: str
    tables: Annotated[dict[int | str, str], Meta(min_length=1)]
    pairs: tuple[_Pairs, ...] = ()
    methods: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load(path: Path = FILE) -> Table:
    """Read the table of all methods (rows) and pairs (columns) of some tables, and of those that its file adds.

    It is named after its file. A pair or a method of several tables has the label of the first of them.

    Raises:
        UserError: the file cannot be read or does not fit the schema, a table, the metric or a method is unknown, a
            table has no numbers of the metric, two tables train one pair by different recipes, or an added pair is
            there already.
    """
    file = yaml_schema.read(path, path.name)
    raw = file.convert(_LeaderboardFile)
    comparable = [key for key, kind in METRICS.items() if kind.higher is not None and not kind.measure]
    if raw.metric not in comparable:
        with file.at("metric"):
            raise unknown("metric", raw.metric, comparable)
    with file.at("tables"):
        rows, columns, paper = _merge(raw, path.parent)
    with file.at("pairs"):
        added = _added(raw, {column.pair for column in columns})
    table = Table(
        name=path.stem,
        kind="leaderboard",
        number="",
        title=raw.title,
        recipe=columns[0].recipe or "",
        heads=("Method",),
        rows=rows,
        columns=(*columns, *added),
        paper=tuple((*values, *[None] * len(added)) for values in paper),
        notes=raw.notes,
        notes_elsewhere=raw.notes,
        defaults=Axis(label="", metric=raw.metric),
        kept=(STUDENT,),
    )
    with file.at("methods"):
        return replace(table.extended(raw.methods), added=())


def _merge(
    raw: _LeaderboardFile, folder: Path
) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[tuple[float | None, ...], ...]]:
    """The rows, the columns, and the paper's values."""
    rows: dict[str, Axis] = {}
    columns: dict[str, Axis] = {}
    printed: dict[tuple[str, str], float] = {}
    for table, cell, group in _source_cells(raw, folder):
        pair, method = cell.pair, cell.method
        axes = table.rows[cell.row], table.columns[cell.column]
        label = next((axis.label for axis in axes if axis.pair), pair)
        column = Axis(label, pair, recipe=cell.recipe, teacher_recipe=cell.teacher_recipe, group=group)
        first = columns.setdefault(pair, column)
        if (first.recipe, first.teacher_recipe) != (cell.recipe, cell.teacher_recipe):
            raise UserError(f"{pair} is a pair of two tables that train it differently: name one of them")
        label = next((axis.label for axis in axes if axis.run), method)
        rows.setdefault(method, Axis(label, role=TEACHER) if method == TEACHER else Axis(label, method=method))
        # Where a method cannot be applied there is no number, whatever the paper prints.
        if cell.applies and cell.paper is not None:
            printed.setdefault((method, pair), cell.paper)
    paper = tuple(tuple(printed.get((method, pair)) for pair in columns) for method in rows)
    return tuple(rows.values()), tuple(columns.values()), paper


def _added(raw: _LeaderboardFile, known: Container[PairName | None]) -> tuple[Axis, ...]:
    """The columns of the pairs that the tables do not have."""
    columns: dict[PairName, Axis] = {}
    for more in raw.pairs:
        load_recipe(more.recipe)
        for pair in map(parse_pair, more.pairs):
            if pair in columns or pair in known:
                raise UserError(f"{pair} is on the leaderboard already: leave it out")
            label = f"{pair.teacher} -> {pair.student}"
            columns[pair] = Axis(label, pair, recipe=more.recipe, teacher_recipe=more.recipe, group=more.group)
    return tuple(columns.values())


def _source_cells(raw: _LeaderboardFile, folder: Path) -> Iterator[tuple[Table, Cell, str]]:
    """The tables' cells, each with its table and the heading of its pair on the leaderboard."""
    for key, group in raw.tables.items():
        name = str(key)
        table = reader.load(str(folder / expanded(name)) if name.endswith((".yaml", ".yml")) else name)
        cells = [cell for cell in table.cells if cell.metric == raw.metric and not cell.probe]
        if not cells:
            raise UserError(f"{table.display_name} has no {raw.metric} of networks as they were trained: leave it out")
        yield from ((table, cell, group) for cell in cells)
