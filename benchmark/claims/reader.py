"""Reads ``tables/claims.yaml``: sentences of the paper as comparisons of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from benchmark import yaml_schema
from benchmark.claims.comparison import POSITIVE, Comparison, Setting, evaluation_settings, select_settings
from benchmark.errors import UserError, unknown
from benchmark.runs.names import TEACHER
from benchmark.tables import reader
from benchmark.tables.table import Table
from benchmark.yaml_schema import Strict, Texts

FILE = reader.TABLES / "claims.yaml"
Tables = Callable[[int], Table]
"""Reads a table by its number, once."""


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper.

    Attributes:
        name: one word.
        says: a summary in one line.
        quote: the paper's words.
        where: the section and the tables that the sentence is about.
        reading: how ambiguous words are made checkable; empty where they are plain.
        comparisons: all of them have to hold.
    """

    name: str
    says: str
    quote: str
    where: str
    reading: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Claims:
    """All claims, in the paper's order, and the whole tables that they are about."""

    tables: tuple[Table, ...]
    claims: tuple[Claim, ...]

    @cached_property
    def printed(self) -> dict[str, float]:
        """The values that the paper prints, by the names of their cells."""
        cells = (cell for table in self.tables for cell in table.cells)
        return {cell.key: cell.paper for cell in cells if cell.paper is not None}


class _Selection(Strict):
    """A choice among the evaluation settings of some tables."""

    tables: Annotated[tuple[int, ...], Meta(min_length=1)]
    pairs: Texts = ("*",)
    metrics: Texts = ("top1",)
    probes: Texts | None = None

    def settings(self, tables: Tables, *methods: str) -> list[Setting]:
        """The selected settings, each of which has all of these methods."""
        found = [setting for number in self.tables for setting in evaluation_settings(tables(number))]
        for key in ("pair", "metric", "probe"):
            patterns = getattr(self, f"{key}s")
            found = found if patterns is None else select_settings(found, key, patterns)
        for setting in found:
            for method in methods:
                if method not in setting.cells:
                    raise unknown(f"method in {setting.name}", method, setting.cells)
        return found


class _Best(_Selection, kw_only=True, tag_field="form", tag="best"):
    """Each of ``methods`` is better than each of ``than`` (by default all other students) in every setting."""

    methods: Texts
    than: Texts | None = None

    def compare(self, tables: Tables) -> Iterator[Comparison]:
        for setting in self.settings(tables, *self.methods, *self.than or ()):
            for method in self.methods:
                for rival in self.than or _others(setting, *self.methods):
                    yield Comparison.of([setting], method, rival)


class _Second(_Selection, kw_only=True, tag_field="form", tag="second"):
    """``method`` is better than all others in every setting except ``behind``, which is better than ``method``."""

    method: str
    behind: str
    than: Texts | None = None

    def compare(self, tables: Tables) -> Iterator[Comparison]:
        for setting in self.settings(tables, self.method, self.behind, *self.than or ()):
            yield Comparison.of([setting], self.behind, self.method, subject=self.method)
            for rival in self.than or _others(setting, self.method, self.behind):
                yield Comparison.of([setting], self.method, rival)


class _Above(_Best, kw_only=True, tag="above"):
    """Averaged over the settings of a metric, each of ``methods`` leads each of ``than``, if given by ``about``."""

    about: Annotated[float, Meta(gt=0)] | None = None
    within: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if (self.about is None) != (self.within is None):
            raise ValueError("'about' and 'within' go together")
        if self.about and self.within and self.within >= self.about:
            raise ValueError("'within' must be less than 'about', or a lead of 0 would do")

    def compare(self, tables: Tables) -> Iterator[Comparison]:
        settings = self.settings(tables, *self.methods, *self.than or ())
        bounds = (self.about - self.within, self.about + self.within) if self.about and self.within else POSITIVE
        for metric in dict.fromkeys(setting.metric for setting in settings):
            alike = [setting for setting in settings if setting.metric == metric]
            rivals = self.than or dict.fromkeys(rival for setting in alike for rival in _others(setting, *self.methods))
            for method in self.methods:
                for rival in rivals:
                    yield Comparison.of(alike, method, rival, bounds)


class _Larger(_Selection, kw_only=True, tag_field="form", tag="larger"):
    """The average lead of each of ``methods`` over ``than`` is larger than in the ``compared`` settings."""

    methods: Texts
    than: Texts
    compared: _Selection

    def compare(self, tables: Tables) -> Iterator[Comparison]:
        settings, compared = (one.settings(tables, *self.methods, *self.than) for one in (self, self.compared))
        for method in self.methods:
            yield Comparison.of_leads(settings, compared, method, self.than)


class _Claim(Strict):
    name: str
    says: str
    quote: str
    where: str
    checks: Annotated[tuple[_Best | _Second | _Above | _Larger, ...], Meta(min_length=1)]
    reading: str = ""


class _ClaimsFile(Strict):
    claims: Annotated[tuple[_Claim, ...], Meta(min_length=1)]


def load(path: Path = FILE) -> Claims:
    """Read the claims.

    Raises:
        UserError: the file cannot be read or does not fit the schema, a table, pair, method or metric is unknown, or a
            check compares nothing or a cell that the paper does not print.
    """
    file = yaml_schema.read(path, path.name)
    read: dict[int, Table] = {}

    def tables(number: int) -> Table:
        if number not in read:
            read[number] = reader.load(str(number))
        return read[number]

    claims: dict[str, Claim] = {}
    for i, raw in enumerate(file.convert(_ClaimsFile).claims):
        with file.at("claims", i):
            if raw.name in claims:
                raise UserError(f"two claims are called '{raw.name}'")
        comparisons: dict[Comparison, None] = {}
        for j, check in enumerate(raw.checks):
            with file.at("claims", i, "checks", j):
                found = dict.fromkeys(check.compare(tables))
                if not found:
                    raise UserError("no other method is left to compare with: name some in 'than'")
                comparisons |= found
        texts = {key: getattr(raw, key) for key in _Claim.__struct_fields__ if key != "checks"}
        claims[raw.name] = Claim(**texts, comparisons=tuple(comparisons))
    return Claims(tuple(read[number] for number in sorted(read)), tuple(claims.values()))


def _others(setting: Setting, *methods: str) -> list[str]:
    """The students of a setting except those of ``methods``."""
    return [name for name in setting.cells if name not in {*methods, TEACHER}]
