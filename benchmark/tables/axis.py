"""The rows and columns of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.runs.names import STUDENT, TEACHER, MethodName, PairName


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


def taught_otherwise(axes: Sequence[Axis], heads: Sequence[str], pair: PairName) -> list[Axis]:
    """Copies of the rows or columns of one pair for another pair with the same student, labelled with that pair.

    Args:
        axes: the rows or columns.
        heads: headers of the stub.
        pair: the other pair.
    """
    alike = len({axis.label for axis in axes}) == 1
    label = f"{' > '.join(map(str, pair.teachers))} -> {pair.student}"
    teacher = next((i for i, head in enumerate(heads) if head.lower().startswith("teacher")), None)

    def stub(axis: Axis) -> tuple[str, ...]:
        if teacher is None:
            return (*axis.stub[:-1], *(f"{text} ({pair})" for text in axis.stub[-1:]))
        return tuple(pair.teacher if i == teacher else text for i, text in enumerate(axis.stub))

    return [
        replace(axis, pair=pair, label=label if alike else f"{axis.label} ({pair})", stub=stub(axis)) for axis in axes
    ]
