"""Who teaches a run: a trained network, given weights, or a plain run of the student's own network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.names import ALONE, NO_TEACHER, MethodName, PairName

SELF_TEACHER_SEED = 1000
"""Seed of the plain student that teaches its own network: one run for all students, and the seed of none of them."""


@dataclass(frozen=True)
class Weights:
    """Weights that are used instead of training a teacher.

    Attributes:
        sha256: of the file, or the beginning of it.
        source: the file, or torchvision's name.
        part: ``student`` or ``teacher``, where the file has two networks and the user chose one.
    """

    sha256: str
    source: Path | str
    part: str = ""


@dataclass(frozen=True)
class TeacherChoice:
    """The run that makes a run's teacher.

    Attributes:
        recipe: name of the recipe that trained it.
        network: registry name of its network.
        method: the objective that trained it.
        teacher: its own teacher, or None.
        seed: its seed.
    """

    recipe: str
    network: str
    method: MethodName = ALONE
    teacher: TeacherChoice | None = None
    seed: int = 0

    @classmethod
    def of(cls, pair: PairName, recipe: str) -> TeacherChoice:
        """The teacher of a pair, with the teachers before it in a chain; one recipe trains all of them."""
        first, *others = pair.teachers
        choice = cls(recipe, first.network, first.method)
        for link in others:
            choice = cls(recipe, link.network, link.method, choice)
        return choice


def teacher_of(recipe: str, network: str, method: MethodName, teacher: TeacherChoice | None) -> TeacherChoice | None:
    """The teacher that a method's terms ask for: the pair's, none, or a plain run of the student's network.

    Raises:
        UserError: two terms ask for different teachers.
    """
    asked = {name: catalog.method(name).teacher for name, _ in method.terms}
    kinds = {*asked.values()} - {NO_TEACHER}
    if len(kinds) > 1:
        names = " and ".join(name for name, kind in asked.items() if kind in kinds)
        raise UserError(f"{names} cannot be summed: one learns from the pair's teacher, the other from a plain student")
    if not kinds:
        return None
    return TeacherChoice(recipe, network, seed=SELF_TEACHER_SEED) if kinds == {"student"} else teacher
