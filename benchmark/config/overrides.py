"""Recipes and profiles as YAML: layers of changes, for all networks or for those that match.

Later layers win: the methods' own defaults, the recipe, the recipe's overrides, the profile, the profile's overrides, a
preset's overrides, what a plug-in's data set says itself, ``--set``. Only the resolved values reach a job, never the
layers' names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from benchmark import yaml_schema
from benchmark.errors import UserError, unknown
from benchmark.files import ALPHABET, is_plain
from benchmark.ids import parse_value
from benchmark.registry import catalog, plugins
from benchmark.runs.objective import checked_options
from benchmark.runs.recipe import RECIPE_KEYS, check_value

KINDS = {kind: Path(__file__).with_name(f"{kind}s") for kind in ("recipe", "profile", "preset")}
HOLDOUT = "tuning.holdout"
"""Key of the number of training images on which tuned variants are chosen."""
_MATCH_KEYS = ("student", "teacher", "method", "recipe")
_SET, _SET_ON_BUILT_IN = "set", "set_on_built_in_data"
_PROFILE_KEYS = (
    *("title", "note", "stand_in", "slow_on_cpu", "device", "threads", "datasets"),
    *(_SET, _SET_ON_BUILT_IN, "overrides"),
)


@dataclass(frozen=True)
class Override:
    """A set of changes, for all networks or for those that match.

    Attributes:
        values: dotted keys and their values.
        match: patterns for the trained network (``student``), its ``teacher``, a ``method`` of its objective or the
            whole sum (``crd+kd``, sorted), and the ``recipe``.
        on_built_in: whether they follow from the images of the project's own data sets, so that they do not apply to
            a plug-in's.
    """

    values: Mapping[str, Any]
    match: Mapping[str, str]
    on_built_in: bool = False

    def fits(self, names: Mapping[str, Sequence[str]]) -> bool:
        """Whether the layer speaks of a run.

        Args:
            names: what the run is called, by the keys of ``match``.
        """
        return all(any(fnmatchcase(name, pattern) for name in names[key]) for key, pattern in self.match.items())


@dataclass(frozen=True)
class Profile:
    """The scale at which recipes are run.

    Attributes:
        name: ``paper``, ``quick``, ``short`` or ``digits``.
        title: one line for people.
        note: printed under its tables.
        stand_in: whether other data and smaller networks than the paper's are used, so that nobody's weights fit.
        slow_on_cpu: whether it takes days on a CPU.
        device: where it trains unless told; None for the best there is.
        threads: of a process; None for one.
        datasets: data sets that replace the recipe's.
        layers: changes to recipes.
    """

    name: str
    title: str
    note: str
    stand_in: bool
    slow_on_cpu: bool
    device: str | None
    threads: int | None
    datasets: Mapping[str, str]
    layers: tuple[Override, ...]


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as it is written.

    Attributes:
        layers: its values, then its overrides.
        teachers: of teachers that are not trained here, torchvision's name of the ``weights`` and how their ``sha256``
            begins.
    """

    layers: tuple[Override, ...]
    teachers: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Preset:
    """Values that somebody else chose, on top of recipes and profile.

    Attributes:
        title: one line for people.
        layers: changes to recipes.
    """

    title: str
    layers: tuple[Override, ...]


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
        UserError: there is no such profile, or one of its keys is unknown.
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
        slow_on_cpu=raw.get("slow_on_cpu", False),
        device=raw.get("device"),
        threads=raw.get("threads"),
        datasets=raw.get("datasets", {}),
        layers=tuple(_layers(name, raw, raw.get("overrides", []))),
    )


@cache
def load_recipe(name: str) -> RecipeFile:
    """Read a recipe by name.

    Raises:
        UserError: there is no such recipe, or one of its keys is unknown.
    """
    raw = dict(_load(name, "recipe"))
    teachers, overrides = raw.pop("teachers", {}), raw.pop("overrides", [])
    return RecipeFile(tuple(_layers(name, {_SET: raw}, overrides)), teachers)


def load_preset(name: str) -> Preset:
    """Read a preset by name.

    Raises:
        UserError: there is no such preset, or one of its keys is unknown.
    """
    raw = _load(name, "preset")
    return Preset(raw["title"], tuple(_layers(name, {}, raw["overrides"])))


def names(kind: str) -> list[str]:
    """All names of a kind: ``recipe``, ``profile`` or ``preset``."""
    return sorted(path.stem for path in KINDS[kind].glob("*.yaml"))


def defaults() -> Iterator[tuple[str, Any]]:
    """Values that no recipe has to state: the methods' own."""
    for info in catalog.methods().values():
        prefix = f"objectives.{info.name}"
        yield f"{prefix}.ce", info.objective["ce"]
        yield f"{prefix}.weight", info.objective["weight"]
        for option, value in info.options.items():
            yield f"{prefix}.options.{option}", value
        if info.pretrain:
            yield f"{prefix}.stage.epochs", 30
            yield f"{prefix}.stage.lr", None
    yield HOLDOUT, 5000


@cache
def _load(name: str, kind: str) -> Mapping[str, Any]:
    if name not in names(kind):
        raise unknown(kind, name, names(kind))
    if not is_plain(name):
        raise UserError(f"{kind} '{name}': rename its file, since a name is made of {ALPHABET}")
    raw: Mapping[str, Any] = yaml_schema.load(KINDS[kind] / f"{name}.yaml", f"{kind} {name}")
    return raw


def _layers(where: str, first: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]]) -> Iterator[Override]:
    for entry in (first, *overrides):
        match = entry.get("match", {})
        for key in match:
            if key not in _MATCH_KEYS:
                raise unknown(f"match key in {where}", key, _MATCH_KEYS)
        for part in (_SET, _SET_ON_BUILT_IN):
            if part in entry:
                flat = {key: _checked(key, value) for key, value in _flatten(entry[part])}
                yield Override(flat, match, on_built_in=part == _SET_ON_BUILT_IN)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _frozen(value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _known() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys of objectives and tuning, and the plain ones."""
    return _known_beside(plugins.listed())


@cache
def _known_beside(_plugins: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(dict(defaults())), tuple(key for key in RECIPE_KEYS if key != "name")


def _checked(key: str, value: Any) -> Any:
    known = _known()["." not in key]
    if key not in known:
        raise unknown("recipe key", key, known)
    method, _, option = key.removeprefix("objectives.").partition(".options.")
    if option:
        return checked_options(catalog.method(method), {option: value})[option]
    check_value(key, value)
    return value
