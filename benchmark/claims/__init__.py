"""What the paper says in words, as comparisons of cells that can be checked: ``tables/claims.yaml``, strictly read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmark import yaml_schema
from benchmark.claims.comparison import Comparison, Place, chosen, places_of
from benchmark.errors import UserError, unknown
from benchmark.tables import reader
from benchmark.tables.table import TEACHER, Table

FILE = reader.TABLES / "claims.yaml"
_KEYS = ("name", "says", "quote", "where", "reading", "checks")
_OPTIONAL = ("reading",)
_WHERE = ("tables", "pairs", "metrics", "probes")


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper.

    Attributes:
        name: a short one, of one word.
        says: what it comes to, in one line.
        quote: the paper's words.
        where: the section, and the tables that it speaks of.
        reading: how the words are made checkable, where that is not plain.
        comparisons: what has to hold, all of it.
    """

    name: str
    says: str
    quote: str
    where: str
    reading: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Claims:
    """All claims, and the tables that they speak of.

    Attributes:
        tables: those of the paper, whole.
        claims: in the paper's order.
    """

    tables: tuple[Table, ...]
    claims: tuple[Claim, ...]

    @cached_property
    def printed(self) -> dict[str, float]:
        """What the paper prints, by a cell's name."""
        cells = (cell for table in self.tables for cell in table.cells)
        return {cell.key: cell.paper for cell in cells if cell.paper is not None}


def load(path: Path = FILE) -> Claims:
    """Read the claims.

    Raises:
        UserError: the file cannot be read, a key, form, table, pair, method or metric is unknown, or one is missing or
            of another kind, or a check compares nothing, or what the paper does not print.
    """
    raw = yaml_schema.load(path, path.name)
    entries = raw.get("claims") if isinstance(raw, dict) else None
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path.name}: it needs a list of 'claims'")
    found = _Reader(path.name, {}, set())
    claims = tuple(found.claim(entry, number) for number, entry in enumerate(entries, 1))
    names = [claim.name for claim in claims]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path.name}: two claims are called '{twice}'")
    return Claims(tuple(found.tables[number] for number in sorted(found.tables, key=int)), claims)


@dataclass(frozen=True)
class _Check:
    """One entry of a claim's checks: the form's own values, and the places where methods are compared."""

    values: Mapping[str, Any]
    places: tuple[Place, ...]
    compared: tuple[Place, ...]

    def methods(self, key: str) -> list[str]:
        """The named methods; each stands at every place."""
        found: list[str] = self.values[key]
        return found

    @property
    def by_metric(self) -> list[tuple[Place, ...]]:
        """The places, those together whose numbers can be averaged."""
        metrics = dict.fromkeys(place.metric for place in self.places)
        return [tuple(place for place in self.places if place.metric == metric) for metric in metrics]

    def rivals(self, place: Place, *named: str) -> list[str]:
        """The methods of ``than`` at a place, or else all students that are not named."""
        return self.values.get("than") or [name for name in place.cells if name not in {*named, TEACHER}]


def _best(check: _Check) -> Iterator[Comparison]:
    """Each of ``methods`` is better than each of ``than``, or all others, at every place."""
    methods = check.methods("methods")
    for place in check.places:
        for method in methods:
            for rival in check.rivals(place, *methods):
                yield Comparison.of([place], method, rival)


def _second(check: _Check) -> Iterator[Comparison]:
    """``method`` is better than all others at every place, but for ``behind``, which is better."""
    method, behind = check.values["method"], check.values["behind"]
    for place in check.places:
        yield Comparison.of([place], behind, method, subject=method)
        for rival in check.rivals(place, method, behind):
            yield Comparison.of([place], method, rival)


def _above(check: _Check) -> Iterator[Comparison]:
    """On average over the places, each of ``methods`` is above each of ``than``: at all, or by ``about`` so much."""
    methods, bounds = check.methods("methods"), (0.0, math.inf)
    if "about" in check.values:
        about, within = check.values["about"], check.values["within"]
        bounds = (about - within, about + within)
    for places in check.by_metric:
        rivals = dict.fromkeys(rival for place in places for rival in check.rivals(place, *methods))
        for method in methods:
            for rival in rivals:
                yield Comparison.of(places, method, rival, bounds)


def _larger(check: _Check) -> Iterator[Comparison]:
    """The average lead of each of ``methods`` over ``than`` is larger at these places than at the compared ones."""
    for method in check.methods("methods"):
        yield Comparison.of_leads(check.places, check.compared, method, check.methods("than"))


@dataclass(frozen=True)
class _Form:
    """What makes a check's comparisons, and the values it takes."""

    comparisons: Callable[[_Check], Iterator[Comparison]]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_FORMS: Mapping[str, _Form] = MappingProxyType(
    {
        "best": _Form(_best, ("methods",), ("than",)),
        "second": _Form(_second, ("method", "behind"), ("than",)),
        "above": _Form(_above, ("methods",), ("than", "about", "within")),
        "larger": _Form(_larger, ("methods", "than", "compared")),
    }
)
_OF_METHODS = ("methods", "than", "method", "behind")


@dataclass(frozen=True)
class _Reader:
    """Reads claims of one file; the tables that they name are read once.

    Attributes:
        file: its name, for errors.
        tables: by number, those read so far.
        printed: names of their cells that the paper prints.
    """

    file: str
    tables: dict[str, Table]
    printed: set[str]

    def claim(self, raw: Any, number: int) -> Claim:
        where = f"claim {number} of {self.file}"
        values = yaml_schema.mapping(raw, where)
        where = f"claim '{values.get('name', number)}' of {self.file}"
        yaml_schema.check_keys(values, where, [key for key in _KEYS if key not in _OPTIONAL], _OPTIONAL)
        checks = [
            yaml_schema.mapping(check, f"a check of {where}")
            for check in yaml_schema.items(values["checks"], "checks", where)
        ]
        texts = {key: yaml_schema.text(values.get(key, ""), key, where) for key in _KEYS if key != "checks"}
        comparisons = (made for check in checks for made in self._comparisons(check, where))
        return Claim(**texts, comparisons=tuple(dict.fromkeys(comparisons)))

    def _comparisons(self, raw: Mapping[str, Any], where: str) -> list[Comparison]:
        if "form" not in raw:
            raise UserError(f"{where}: a check lacks 'form', one of {', '.join(_FORMS)}")
        name = yaml_schema.text(raw["form"], "form", where)
        if name not in _FORMS:
            raise unknown(f"form in {where}", name, _FORMS)
        form = _FORMS[name]
        yaml_schema.check_keys(raw, where, ("form", "tables", *form.required), (*_WHERE, *form.optional))
        places = self._places(raw, where)
        compared: tuple[Place, ...] = ()
        if "compared" in raw:
            other = yaml_schema.mapping(raw["compared"], f"'compared' of {where}")
            yaml_schema.check_keys(other, where, ("tables",), _WHERE)
            compared = self._places(other, where)
        for place in (*places, *compared):
            _check_methods(raw, place, where)
        _check_bounds(raw, where)
        made = list(form.comparisons(_Check(raw, places, compared)))
        if not made:
            raise UserError(f"{where}: a check leaves no other method to compare with: name some in 'than'")
        for cell in (cell for comparison in made for cell in comparison.cells if cell not in self.printed):
            raise UserError(f"{where}: the paper does not print {cell}: leave it out by 'tables', 'pairs' or 'than'")
        return made

    def _places(self, raw: Mapping[str, Any], where: str) -> tuple[Place, ...]:
        """Where the check compares methods: all pairs and probes unless told, top-1 accuracy unless told."""
        found: list[Place] = []
        for number in map(str, _numbers(raw["tables"], where)):
            if number not in self.tables:
                self.tables[number] = reader.load(number)
                self.printed.update(cell.key for cell in self.tables[number].cells if cell.paper is not None)
            found += places_of(self.tables[number])
        for key, default in (("pairs", ["*"]), ("metrics", ["top1"]), ("probes", None)):
            patterns = yaml_schema.texts(value, key, where) if (value := raw.get(key, default)) is not None else None
            found = chosen(found, key, patterns, where)
        return tuple(found)


def _numbers(value: Any, where: str) -> list[int]:
    if not isinstance(value, list) or not value or any(type(number) is not int for number in value):
        raise UserError(f"{where}: 'tables' must be a list of numbers, as in [6, 10]")
    return value


def _check_methods(raw: Mapping[str, Any], place: Place, where: str) -> None:
    for key in _OF_METHODS:
        if key not in raw:
            continue
        one = key in ("method", "behind")
        for name in [yaml_schema.text(raw[key], key, where)] if one else yaml_schema.texts(raw[key], key, where):
            if name not in place.cells:
                raise unknown(f"method in {where}, {place.name}", name, place.cells)


def _check_bounds(raw: Mapping[str, Any], where: str) -> None:
    if ("about" in raw) != ("within" in raw):
        raise UserError(f"{where}: 'about' and 'within' go together")
    for key in ("about", "within"):
        if key in raw and not (yaml_schema.is_number(raw[key]) and raw[key] > 0):
            raise UserError(f"{where}: '{key}' must be a number above 0, not {raw[key]!r}")
    if "about" in raw and raw["within"] >= raw["about"]:
        raise UserError(f"{where}: 'within' must be less than 'about', or no difference would do")
