"""A table or figure as data: layout, the paper's values, and the run behind each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from benchmark.errors import UserError
from benchmark.files import fitted
from benchmark.runs.names import STUDENT, TEACHER, CellKey, MethodName, PairName, parse_method
from benchmark.runs.objective import applicable

LONGEST_ENDING = "-pairs.csv"
"""The longest ending of the file names of a table, a figure or a page."""


@dataclass(frozen=True)
class Axis:
    """One row or one column: a label and what its cells have in common.

    Attributes:
        label: label as the paper prints it, the CSV's ``row`` or ``column``.
        pair: teacher and student.
        method: the objective that trains the student.
        role: ``student``, or ``teacher`` for a cell about the pair's teacher.
        metric: name of the metric.
        recipe: name of the runs' recipe, if it is not the table's.
        teacher_recipe: name of the teacher's recipe, if it is not the student's.
        probe: name of the recipe of a linear probe on the run's frozen network.
        stub: texts under the table's heads, if they do not follow from the label.
        hidden: whether it is only written to the CSV.
        group: title of the group of pairs that it belongs to.
    """

    label: str
    pair: PairName | None = None
    method: MethodName | None = None
    role: str | None = None
    metric: str | None = None
    recipe: str | None = None
    teacher_recipe: str | None = None
    probe: str | None = None
    stub: tuple[str, ...] = ()
    hidden: bool = False
    group: str = ""

    @property
    def run(self) -> MethodName | None:
        """The method that trained the networks of its cells, or `TEACHER`; None where the other axis tells."""
        if self.role == TEACHER:
            return TEACHER
        return MethodName() if self.role == STUDENT and self.method is None else self.method


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
        """Whether the requirements of its method allow its pair."""
        return all(applicable(name, self.pair.student, self.pair.teacher) for name, _ in self.method.terms)


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

    @property
    def stem(self) -> str:
        """File name without suffix; a table with added methods has files of its own."""
        return file_stem("+".join((self.name, *self.added)))

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
        lacking = [name for name in _named(methods or [], self.methods) if name not in have]
        added = [Axis(label=method.label, method=method) for method in lacking]
        said = ([getattr(row, key) or getattr(self.defaults, key) for row in self.rows] for key in ("pair", "metric"))
        if lacking and not all(map(all, said)):
            raise UserError(f"{self.display_name}: no method can be added, because its columns name pairs or metrics")
        place = max((j + 1 for j, axis in enumerate(self.columns) if axis.role != TEACHER or axis.hidden), default=0)
        paper = tuple(_insert(values, place, [None] * len(added)) for values in self.paper)
        columns = _insert(self.columns, place, added)
        return replace(self, columns=columns, paper=paper, added=tuple(lacking))

    def select(self, methods: Sequence[str] | None, pairs: Sequence[str] | None) -> Table:
        """The part of the table about some methods and pairs.

        Args:
            methods: names or wildcards; a method that the table lacks is added as a column (or row).
            pairs: ``teacher:student`` patterns.

        Raises:
            UserError: a name is unknown, or a pattern matches nothing or is empty.
        """
        for option, patterns in (("--methods", methods), ("--pairs", pairs)):
            if patterns is not None and not patterns:
                raise UserError(f"{option} is empty: leave it out to take all of them")
        methods = [*self.kept, *methods] if methods else methods
        whole = self.extended(methods)
        wanted = {*_wanted_methods(methods or ["*"], whole.methods), *_matching_pairs(pairs or ["*"], whole.pairs)}
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


def file_stem(name: str) -> str:
    """File name of a table, a figure or a page, short enough for all endings."""
    return fitted(name, room=len(LONGEST_ENDING))


def _insert(items: Sequence[Any], place: int, added: Sequence[Any]) -> tuple[Any, ...]:
    return (*items[:place], *added, *items[place:])


def _matching_pairs(patterns: Sequence[str], known: Sequence[PairName]) -> set[PairName]:
    for pattern in patterns:
        if not any(fnmatchcase(pair, pattern) for pair in known):
            raise UserError(f"no pair of this table matches '{pattern}' (TEACHER:STUDENT): it has {', '.join(known)}")
    return {pair for pair in known if any(fnmatchcase(pair, pattern) for pattern in patterns)}


def _wanted_methods(patterns: Sequence[str], known: Sequence[MethodName]) -> set[MethodName]:
    wanted = set(_named(patterns, known))
    if not wanted.intersection(known):
        raise _no_method(TEACHER, known)
    # A distilled student is shown with its teacher.
    return wanted if wanted <= {STUDENT, TEACHER} else {*wanted, TEACHER}


def _named(patterns: Sequence[str], known: Sequence[MethodName]) -> list[MethodName]:
    return list(dict.fromkeys(name for pattern in patterns for name in _matching_methods(pattern, known)))


def _matching_methods(pattern: str, known: Sequence[MethodName]) -> list[MethodName]:
    if "*" not in pattern and "?" not in pattern:
        return [TEACHER if pattern == TEACHER else parse_method(pattern)]
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        raise _no_method(pattern, known)
    return found


def _no_method(pattern: str, known: Sequence[str]) -> UserError:
    return UserError(f"no method of this table matches '{pattern}': it has {', '.join(known)}")
