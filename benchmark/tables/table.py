"""A table or figure as data: layout, the paper's values, and the run behind each cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmark.errors import UserError
from benchmark.files import fitted
from benchmark.runs.names import TEACHER, CellKey, MethodName, PairName
from benchmark.runs.objective import applicable
from benchmark.tables import patterns
from benchmark.tables.axis import Axis, taught_otherwise

LONGEST_ENDING = "-pairs.csv"
"""The longest ending of the file names of a table, a figure or a page."""


@dataclass(frozen=True)
class Cell:
    """One number of a table: a metric over the seeds of one run.

    Attributes:
        row: position of its row.
        column: position of its column.
        pair: teacher and student.
        method: the objective, or `TEACHER` for a cell about the teacher.
        metric: name of the metric.
        recipe: name of the recipe of the student's run.
        teacher_recipe: name of the recipe of the teacher's run.
        probe: name of the recipe of a linear probe on the run's frozen network, or None.
        paper: the paper's value, or None.
        table: name of its table.
    """

    row: int
    column: int
    pair: PairName
    method: MethodName
    metric: str
    recipe: str
    teacher_recipe: str
    probe: str | None
    paper: float | None
    table: str

    @cached_property
    def key(self) -> CellKey:
        """The cell's name, as in ``table06/wrn-40-4:wrn-16-2/kd/top1``."""
        return CellKey(self.table, self.pair, self.method, self.metric, self.probe or "")

    @property
    def applies(self) -> bool:
        """Whether the requirements of its method allow its pair, and those of a chain's methods its teachers."""
        lessons = (*self.pair.lessons, (self.pair.teacher_network, self.method, self.pair.student))
        return all(applicable(name, student, teacher) for teacher, how, student in lessons for name, _ in how.terms)


@dataclass(frozen=True)
class Table:
    """One table of the paper, or one figure whose panels are its cells.

    Attributes:
        name: ``table06``, ``figure02``, ``leaderboard``; a user's table has the name of its file.
        kind: ``table``, ``figure`` or ``leaderboard``.
        number: ``6`` of ``table06``, empty for the leaderboard; of a user's table its name.
        title: caption.
        recipe: name of the recipe of its runs.
        heads: headers of the stub columns, filled from the row labels.
        rows: rows in print order.
        columns: columns in print order.
        paper: the paper's values by row and column; None where it prints nothing.
        notes: notes under the table.
        defaults: values of cells that neither row nor column states.
        added: methods that the paper's table does not have.
        chains: pairs with a chain of teachers that the paper's table does not have.
        kept: methods that every selection keeps, because the others are compared with them.
        data: names of data sets in title and labels.
        notes_elsewhere: notes that replace ``notes`` if the runs are on other data.
    """

    name: str
    kind: str
    number: str
    title: str
    recipe: str
    heads: tuple[str, ...]
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    paper: tuple[tuple[float | None, ...], ...]
    notes: tuple[str, ...]
    defaults: Axis
    added: tuple[MethodName, ...] = ()
    kept: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    notes_elsewhere: tuple[str, ...] = ()
    chains: tuple[PairName, ...] = ()

    @property
    def stem(self) -> str:
        """File name without suffix; a table with added methods or chains has files of its own."""
        # Shells and some file systems give >, : and / a meaning.
        chains = (re.sub("[>:/]", "--", pair) for pair in self.chains)
        return file_stem("+".join((self.name, *chains, *self.added)))

    @property
    def display_name(self) -> str:
        """``table 6``, ``figure 2``, ``leaderboard``."""
        return f"{self.kind} {self.number}".rstrip()

    @property
    def pairs(self) -> tuple[PairName, ...]:
        """The pairs of its cells."""
        return tuple(dict.fromkeys(cell.pair for cell in self.cells))

    @property
    def methods(self) -> tuple[MethodName, ...]:
        """The methods of its cells, with ``student`` and `TEACHER`."""
        return tuple(dict.fromkeys(cell.method for cell in self.cells))

    @property
    def prints(self) -> bool:
        """Whether the paper prints any of its numbers."""
        return any(value is not None for values in self.paper for value in values)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, row by row, each once: a pair's parameters may stand in several hidden places."""
        cells: dict[CellKey, Cell] = {}
        for i, row in enumerate(self.rows):
            for j, column in enumerate(self.columns):
                cell = self._cell(i, j, row, column)
                cells.setdefault(cell.key, cell)
        return tuple(cells.values())

    def transposed(self) -> Table:
        """The table with rows and columns exchanged; its cells keep their keys."""
        paper = tuple(zip(*self.paper, strict=True))
        return replace(self, rows=self.columns, columns=self.rows, paper=paper)

    def on(self, dataset: str) -> Table:
        """The table with all its runs on another data set, without the paper's values and the names of its data.

        Rows or columns that would share a label state their recipe.
        """
        title = self._called(self.title, dataset)
        return replace(
            self,
            title=title if title != self.title else f"{title}, on {dataset}",
            rows=self._renamed(self.rows, dataset),
            columns=self._renamed(self.columns, dataset),
            paper=tuple((None,) * len(values) for values in self.paper),
            notes=self.notes_elsewhere,
        )

    def _renamed(self, axes: Sequence[Axis], dataset: str) -> tuple[Axis, ...]:
        labels = [self._called(axis.label, dataset) for axis in axes]
        renamed = []
        for axis, label in zip(axes, labels, strict=True):
            stub = [self._called(text, dataset) for text in axis.stub]
            shared = label != axis.label and labels.count(label) > 1
            recipe = f" ({axis.probe or axis.recipe or self.recipe})" if shared else ""
            stub[-1:] = [f"{text}{recipe}" for text in stub[-1:]]
            renamed.append(replace(axis, label=f"{label}{recipe}", stub=tuple(stub)))
        return tuple(renamed)

    def _called(self, text: str, dataset: str) -> str:
        for name in self.data:
            text = text.replace(name, dataset)
        return text

    def extended(self, methods: Sequence[str] | None) -> Table:
        """The table with a column (or row) for every named method that it lacks, before the teacher's.

        Raises:
            UserError: a method is unknown, or cannot be added.
        """
        if any(row.run for row in self.rows):
            return self.transposed().extended(methods).transposed()
        have = {*self.methods, TEACHER}
        lacking = [name for name in patterns.named_methods(methods or [], self.methods) if name not in have]
        added = [Axis(label=method.label, method=method) for method in lacking]
        said = ([getattr(row, key) or getattr(self.defaults, key) for row in self.rows] for key in ("pair", "metric"))
        if lacking and not all(map(all, said)):
            raise UserError(f"{self.display_name}: no method can be added, because its columns name pairs or metrics")
        place = max((j + 1 for j, axis in enumerate(self.columns) if axis.role != TEACHER or axis.hidden), default=0)
        paper = tuple(_insert(values, place, [None] * len(added)) for values in self.paper)
        columns = _insert(self.columns, place, added)
        return replace(self, columns=columns, paper=paper, added=tuple(lacking))

    def with_chains(self, pairs: Sequence[str] | None) -> Table:
        """The table with a column (or row) for every named chain of teachers that it lacks.

        It lies behind that of another teacher of the same student and takes its recipes.

        Args:
            pairs: names and patterns; those without ``>`` and those with wildcards are left alone.

        Raises:
            UserError: a chain cannot be read, or the table does not have its student.
        """
        table, lacking = self, [pair for pair in patterns.chains(pairs or []) if pair not in self.pairs]
        for pair in lacking:
            table = _with_chain(table, pair)
        return replace(table, chains=(*self.chains, *lacking))

    def select(self, methods: Sequence[str] | None, pairs: Sequence[str] | None) -> Table:
        """The part of the table about some methods and pairs.

        Args:
            methods: names or wildcards; a method that the table lacks is added as a column (or row).
            pairs: ``teacher:student`` patterns; a chain of teachers that the table lacks is added like a method.

        Raises:
            UserError: a name is unknown, or a pattern matches nothing or is empty.
        """
        for option, names in (("--methods", methods), ("--pairs", pairs)):
            if names is not None and not names:
                raise UserError(f"{option} is empty: leave it out to take all of them")
        methods = [*self.kept, *methods] if methods else methods
        whole = self.with_chains(pairs).extended(methods)
        wanted_pairs = patterns.matching_pairs(pairs or ["*"], whole.pairs)
        wanted = {*patterns.wanted_methods(methods or ["*"], whole.methods), *wanted_pairs}
        rows, columns = (
            [i for i, axis in enumerate(axes) if wanted.issuperset(filter(None, (axis.run, axis.pair)))]
            for axes in (whole.rows, whole.columns)
        )
        return replace(
            whole,
            rows=tuple(whole.rows[i] for i in rows),
            columns=tuple(whole.columns[j] for j in columns),
            paper=tuple(tuple(whole.paper[i][j] for j in columns) for i in rows),
        )

    def _cell(self, i: int, j: int, row: Axis, column: Axis) -> Cell:
        def pick(key: str) -> Any:
            return next((value for axis in (column, row, self.defaults) if (value := getattr(axis, key))), None)

        recipe = pick("recipe") or self.recipe
        return Cell(
            row=i,
            column=j,
            pair=pick("pair"),
            method=pick("run") or MethodName(),
            metric=pick("metric"),
            recipe=recipe,
            teacher_recipe=pick("teacher_recipe") or recipe,
            probe=pick("probe"),
            paper=self.paper[i][j],
            table=self.name,
        )


def _with_chain(table: Table, pair: PairName) -> Table:
    """The table with a chain of teachers, whichever of its axes states the pairs."""
    known = [other for other in table.pairs if other.student == pair.student]
    like = min(known, key=lambda other: other.teachers[0] != pair.teachers[0], default=None)
    if like is None:
        students = ", ".join(dict.fromkeys(other.student for other in table.pairs))
        raise UserError(f"'{pair}' cannot join {table.display_name}, whose students are {students}")
    places = [i for i, column in enumerate(table.columns) if column.pair == like]
    if not places:
        if not any(row.pair == like for row in table.rows):
            raise UserError(f"'{pair}' cannot join {table.display_name}, which is about one pair as a whole")
        return _with_chain(table.transposed(), pair).transposed()
    place = places[-1] + 1
    added = taught_otherwise([table.columns[i] for i in places], table.heads, pair)
    paper = tuple(_insert(values, place, [None] * len(added)) for values in table.paper)
    return replace(table, columns=_insert(table.columns, place, added), paper=paper)


def file_stem(name: str) -> str:
    """File name of a table, a figure or a page, short enough for all endings."""
    return fitted(name, room=len(LONGEST_ENDING))


def _insert(items: Sequence[Any], place: int, added: Sequence[Any]) -> tuple[Any, ...]:
    return (*items[:place], *added, *items[place:])
