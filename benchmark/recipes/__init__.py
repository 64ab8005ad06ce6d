"""Recipes and profiles as YAML, and how a run's resolved values follow from them.

Layers, later ones win: the methods' own defaults, the recipe, the recipe's overrides for a network, the profile, the
profile's overrides, ``--set``. Only the resolved values reach a job, never the layers' names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from benchmark import catalog
from benchmark.canonical import digest, parse_value
from benchmark.errors import UserError, unknown
from benchmark.jobs import RECIPE_KEYS, Job, Recipe, check_value
from benchmark.objectives import STUDENT, MethodName, Objective, Term, checked_options, parse_method

FOLDER = Path(__file__).parent
_MATCH_KEYS = ("student", "teacher")
_PROFILE_KEYS = ("title", "note", "stand_in", "device", "threads", "datasets", "set", "overrides")


@dataclass(frozen=True)
class Layer:
    """A set of changes, for all networks or for those that match.

    Attributes:
        values: dotted keys and their values.
        match: patterns for the trained network (``student``) and its ``teacher``.
    """

    values: Mapping[str, Any]
    match: Mapping[str, str]

    def fits(self, student: str, teacher: str | None) -> bool:
        """Whether the layer speaks of this network under this teacher."""
        names = {"student": student, "teacher": teacher or ""}
        return all(fnmatchcase(names[key], pattern) for key, pattern in self.match.items())


@dataclass(frozen=True)
class Profile:
    """The scale at which recipes are run.

    Attributes:
        name: ``paper``, ``quick`` or ``digits``.
        title: one line for people.
        note: printed under its tables.
        stand_in: whether other data than the paper's are used.
        device: where it trains unless told; None for the best there is.
        threads: a process's threads on a CPU; None for all cores.
        datasets: data sets that replace the recipe's.
        layers: changes to recipes.
    """

    name: str
    title: str
    note: str
    stand_in: bool
    device: str | None
    threads: int | None
    datasets: Mapping[str, str]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Book:
    """Recipes at the scale of one profile, with the user's changes.

    Attributes:
        profile: the scale.
        changes: ``--set``, parsed.
    """

    profile: Profile
    changes: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Where results of this profile and these changes live."""
        return f"{self.profile.name}+{digest(self.changes)[:8]}" if self.changes else self.profile.name

    def job(self, recipe: str, network: str, method: MethodName, teacher: str | None, seed: int) -> Job:
        """The run of a network, resolved; its teacher is the run of seed 0 by the same recipe."""
        values = self._values(recipe, network, teacher if method.terms else None)
        wants_teacher = teacher is not None and bool(method.terms)
        return Job(
            recipe=_recipe(recipe, values),
            network=network,
            objective=_objective(values, method),
            teacher=self.job(recipe, teacher, parse_method(STUDENT), None, 0) if wants_teacher and teacher else None,
            seed=seed,
            method=method.name,
        )

    def _values(self, recipe: str, student: str, teacher: str | None) -> dict[str, Any]:
        values: dict[str, Any] = dict(_defaults())
        planned: int | None = None
        for layer in (*load_recipe(recipe), *self.profile.layers, Layer(self.changes, {})):
            if layer.fits(student, teacher):
                values.update(layer.values)
                planned = values["epochs"] if "milestones" in layer.values else planned
        if planned is not None:
            values["milestones"] = _scaled(values["milestones"], values["epochs"], planned)
        if "dataset" not in self.changes:
            values["dataset"] = self.profile.datasets.get(values["dataset"], values["dataset"])
        return values


def parse_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``--set key=value`` arguments.

    Raises:
        UserError: no equals sign, a key that no recipe has, or a value that it cannot have.
    """
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair}: write --set KEY=VALUE, for instance --set epochs=30")
        changes[key] = _checked(key, _frozen(parse_value(value)))
    return changes


def load_profile(name: str) -> Profile:
    """Read a profile by name.

    Raises:
        UserError: there is no such profile.
    """
    raw = _load(name, "profile")
    for key in raw:
        if key not in _PROFILE_KEYS:
            raise unknown(f"key in {name}", key, _PROFILE_KEYS)
    return Profile(
        name=name,
        title=raw["title"],
        note=raw.get("note", ""),
        stand_in=raw.get("stand_in", False),
        device=raw.get("device"),
        threads=raw.get("threads"),
        datasets=raw.get("datasets", {}),
        layers=tuple(_layers(name, raw.get("set", {}), raw.get("overrides", []))),
    )


def load_recipe(name: str) -> tuple[Layer, ...]:
    """Read a recipe by name: its values, then its overrides.

    Raises:
        UserError: there is no such recipe, or one of its keys is unknown.
    """
    raw = dict(_load(name, "recipe"))
    return tuple(_layers(name, raw, raw.pop("overrides", [])))


def names(kind: str) -> list[str]:
    """All names of a kind: ``recipe`` or ``profile``."""
    paths = FOLDER.glob("*.yaml") if kind == "recipe" else (FOLDER / "profiles").glob("*.yaml")
    return sorted(path.stem for path in paths)


_loaded: dict[Path, Mapping[str, Any]] = {}


def _load(name: str, kind: str) -> Mapping[str, Any]:
    if name not in names(kind):
        raise unknown(kind, name, names(kind))
    path = FOLDER / (f"{name}.yaml" if kind == "recipe" else f"profiles/{name}.yaml")
    if path not in _loaded:
        _loaded[path] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return _loaded[path]


def _layers(where: str, values: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> Iterator[Layer]:
    entries = [({}, values), *((entry["match"], entry["set"]) for entry in overrides)]
    for match, changes in entries:
        flat = {key: _checked(key, value) for key, value in _flatten(changes)}
        for key in match:
            if key not in _MATCH_KEYS:
                raise unknown(f"match key in {where}", key, _MATCH_KEYS)
        yield Layer(flat, match)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _frozen(value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _defaults() -> Iterator[tuple[str, Any]]:
    for info in catalog.methods().values():
        yield f"objectives.{info.name}.ce", info.objective["ce"]
        yield f"objectives.{info.name}.weight", info.objective["weight"]
        for option, value in info.options.items():
            yield f"objectives.{info.name}.options.{option}", value


def _checked(key: str, value: Any) -> Any:
    known = list(dict(_defaults())) if key.startswith("objectives") else [key for key in RECIPE_KEYS if key != "name"]
    if key not in known:
        raise unknown("recipe key", key, known)
    method, _, option = key.removeprefix("objectives.").partition(".options.")
    if option:
        return checked_options(catalog.method(method), {option: value})[option]
    check_value(key, value)
    return value


def _scaled(milestones: Sequence[int], epochs: int, planned: int) -> tuple[int, ...]:
    """A shorter schedule keeps its shape: the rate drops after the same share of the training."""
    return tuple(sorted({max(1, round(milestone * epochs / planned)) for milestone in milestones}))


def _recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    for key in RECIPE_KEYS:
        if key not in values and key != "name":
            raise UserError(f"recipe {name} states no '{key}'")
    return Recipe(name=name, **{key: values[key] for key in RECIPE_KEYS if key != "name"})


def _objective(values: Mapping[str, Any], method: MethodName) -> Objective:
    terms = []
    for name, asked in method.terms:
        info = catalog.method(name)
        prefix = f"objectives.{name}"
        options = {option: values[f"{prefix}.options.{option}"] for option in info.options} | dict(asked)
        unusual = {option: value for option, value in options.items() if value != info.options[option]}
        terms.append(Term(name, values[f"{prefix}.weight"], unusual, info.revision))
    ce = min((values[f"objectives.{name}.ce"] for name, _ in method.terms), default=1.0)
    return Objective(ce, tuple(terms))
