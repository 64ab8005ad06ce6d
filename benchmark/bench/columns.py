"""What is measured: columns of the paper's tables, and the ways to train a column's runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.runs.job import Job, Run
from benchmark.runs.names import STUDENT, TEACHER, parse_method
from benchmark.tables import reader

COLUMNS = (
    "11/wrn-40-2:wrn-16-2",
    "11/resnet32x4:resnet8x4",
    "11/resnet56:resnet20",
    "11/vgg13:vgg8",
    "6/wrn-40-4:wrn-16-2",
)
"""Measured by default: the number of a table and a pair in it."""


@dataclass(frozen=True)
class Column:
    """A pair of a table with all methods that the table has for it, at one seed.

    Attributes:
        name: as in ``11/wrn-40-2:wrn-16-2``.
        runs: one per method.
        reference: the student without a teacher.
    """

    name: str
    runs: tuple[Run, ...]
    reference: Run

    @property
    def teacher(self) -> Job:
        """The job that the runs' teacher comes from."""
        teacher = self.runs[0].teacher
        assert teacher is not None
        return teacher


@dataclass(frozen=True)
class Variant:
    """A way to train a cohort.

    Attributes:
        name: in the CSV.
        title: in pages.
        precision: of the networks.
        processes: number of cohorts trained at the same time, each with its own seed.
        threads: per process; None for torch's default.
        cuda_graphs: whether a GPU replays captured steps.
    """

    name: str
    title: str
    precision: str
    processes: int
    threads: int | None
    cuda_graphs: bool = True


SEPARATE, SIDE_BY_SIDE, COHORT = "separate", "separate-side-by-side", "cohort"
SEPARATE_WAYS = {SEPARATE: "one at a time, torch's default threads", SIDE_BY_SIDE: "side by side, a thread each"}
"""How separate trainings share a CPU; on a GPU they train one at a time."""


def variants(device: str, cores: int) -> tuple[Variant, ...]:
    """The cohorts to measure; the first is the project's default: bf16 and, on a CPU, a process per core."""
    if device != "cpu":
        return (
            Variant(COHORT, "cohort", "bf16", 1, None),
            Variant("cohort-tf32", "cohort, tf32", "tf32", 1, None),
            Variant("cohort-fp32", "cohort, fp32", "fp32", 1, None),
            Variant("cohort-launched", "cohort, without CUDA graphs", "bf16", 1, None, cuda_graphs=False),
        )
    found = (
        Variant(COHORT, "cohort", "bf16", cores, 1),
        Variant("cohort-fp32", "cohort, fp32", "fp32", cores, 1),
        Variant("cohort-one-process", "cohort, one process with all threads", "bf16", 1, cores),
    )
    return found if cores > 1 else found[:-1]


def column(name: str, methods: Sequence[str] | None, resolver: ConfigResolver, seed: int) -> Column:
    """The runs of a column.

    Args:
        name: ``TABLE/TEACHER:STUDENT``.
        methods: restricts the table's methods; None for all.
        resolver: makes the runs.
        seed: of the runs.

    Raises:
        UserError: there is no such column, or no run in it.
    """
    number, slash, pair = name.partition("/")
    if not slash:
        raise UserError(f"column '{name}': write TABLE/TEACHER:STUDENT, for instance {COLUMNS[0]}")
    table = reader.load(number).select(methods, [pair])
    if len(table.pairs) > 1:
        raise UserError(f"column '{name}' stands for {', '.join(table.pairs)}: name one of them")
    runs: dict[str, Run] = {}
    for cell in table.cells:
        if cell.method in (TEACHER, STUDENT):
            continue
        teacher = TeacherChoice.of(cell.pair, cell.teacher_recipe)
        run = resolver.run(cell.recipe, cell.pair.student, cell.method, teacher, seed)
        if run.applies:
            runs[cell.method] = run
    if not runs:
        raise UserError(f"column '{name}' has no run of a method: choose other --methods")
    first = next(iter(runs.values()))
    reference = resolver.run(first.recipe.name, first.network, parse_method(STUDENT), None, seed)
    return Column(name, tuple(runs.values()), reference)
