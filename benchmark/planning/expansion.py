"""Expand the cells of tables into jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.runs.job import Job, Run
from benchmark.runs.metrics import metric
from benchmark.runs.names import TEACHER, MethodName
from benchmark.tables.table import Cell


class Expansion:
    """The jobs of cells. Each is made once and remembered, so several plans of a command share their jobs.

    Args:
        resolver: recipes at the scale of the profile.
    """

    def __init__(self, resolver: ConfigResolver) -> None:
        self._resolver = resolver
        self._known: dict[tuple[Any, ...], Job] = {}
        self._trials: dict[tuple[Any, ...], list[Run]] = {}

    def jobs(self, cell: Cell, seeds: Sequence[int], method: MethodName | None = None) -> tuple[Job, ...]:
        """The jobs whose records hold a cell's number, one per seed; one alone for a cell about the teacher.

        Args:
            cell: the cell.
            seeds: seeds of the student.
            method: the objective; None for the cell's, which must not be tuned.
        """
        method = cell.method if method is None else method
        measure = metric(cell.metric).measure
        what = (cell.recipe, cell.teacher_recipe, cell.pair, method, cell.probe, measure)
        found: list[Job] = []
        for seed in (0,) if method == TEACHER else seeds:
            if (*what, seed) not in self._known:
                self._known[*what, seed] = self._job(cell, method, measure, seed)
            found.append(self._known[*what, seed])
        return tuple(found)

    def trials(self, cell: Cell) -> list[Run]:
        """The runs that choose among the candidates of a cell's tuned method."""
        what = (cell.recipe, cell.teacher_recipe, cell.pair, cell.method)
        if what not in self._trials:
            self._trials[what] = self._resolver.trials(cell.recipe, cell.pair.student, cell.method, _teacher(cell))
        return self._trials[what]

    def _job(self, cell: Cell, method: MethodName, measure: str, seed: int) -> Job:
        resolver, teacher = self._resolver, _teacher(cell)
        job: Job
        if method == TEACHER:
            job = resolver.teacher(teacher)
        else:
            run = resolver.run(cell.recipe, cell.pair.student, method, teacher, seed)
            job = resolver.probe(cell.probe, run) if cell.probe else run
        return resolver.analysis(measure, job, teacher) if measure else job


def _teacher(cell: Cell) -> TeacherChoice:
    return TeacherChoice.of(cell.pair, cell.teacher_recipe)
