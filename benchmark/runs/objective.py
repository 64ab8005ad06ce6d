"""Objectives: cross-entropy and weighted terms, each a method with its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.registry import catalog
from benchmark.runs.names import STUDENT
from benchmark.runs.options import term_name


def applicable(method: str, student: str, teacher: str) -> bool:
    """Whether a method's requirements allow a pair of networks; True for unknown networks."""
    known = catalog.networks()
    if student not in known or teacher not in known:
        return True
    return catalog.applies(catalog.method(method), known[student], known[teacher])


@dataclass(frozen=True)
class Term:
    """One weighted loss of an objective.

    Attributes:
        name: name of the method.
        weight: factor of its loss.
        options: options that differ from the method's defaults.
        revision: revision of the method's code.
        sha256: SHA-256 of the code of a draft or plug-in; else empty.
    """

    name: str
    weight: float
    options: Mapping[str, Any]
    revision: int
    sha256: str = ""

    @property
    def title(self) -> str:
        """The method's name with these options, as people type it."""
        return term_name(self.name, self.options)

    @property
    def code(self) -> dict[str, Any]:
        """The parts of the term that stand for the code that runs."""
        own = {"sha256": self.sha256} if self.sha256 else {}
        return {"options": dict(self.options), "revision": self.revision, **own}


@dataclass(frozen=True)
class Objective:
    """``ce`` times cross-entropy plus weighted terms.

    Attributes:
        ce: weight of cross-entropy.
        terms: the methods' losses, by name.
    """

    ce: float
    terms: tuple[Term, ...] = ()

    @property
    def spec(self) -> dict[str, Any]:
        """The objective in a record."""
        return {"ce": self.ce, "terms": {term.name: {"weight": term.weight, **term.code} for term in self.terms}}

    @property
    def folder(self) -> str:
        """A readable name that follows from the terms and their options."""
        return "+".join(term.title for term in self.terms) or STUDENT
