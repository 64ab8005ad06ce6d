"""Recipes, profiles and presets in YAML, and how they override each other.

Later values win: the methods' defaults, the recipe, the recipe's overrides, the profile, the profile's overrides, the
preset's overrides, values that follow from a plug-in's data set, ``--set``. A job contains only the resolved values,
not where they come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from benchmark import yaml_schema
from benchmark.errors import UserError, unknown
from benchmark.files import ALPHABET, is_plain
from benchmark.ids import parse_value
from benchmark.registry import catalog
from benchmark.runs.options import checked_options
from benchmark.runs.recipe import RECIPE_KEYS, check_value
from benchmark.yaml_schema import Strict, YamlFile

KINDS = {kind: Path(__file__).with_name(f"{kind}s") for kind in ("recipe", "profile", "preset")}
HOLDOUT = "tuning.holdout"
"""Key of the number of training images on which tuned variants are chosen."""


@dataclass(frozen=True)
class Override:
    """Changes of recipe values for the runs that match.

    Attributes:
        values: by dotted key.
        match: wildcards for the trained network (``student``), its ``teacher``, a ``method`` of its objective or the
            whole sum (``crd+kd``, sorted), and the ``recipe``; empty for all runs.
        on_built_in: whether the values follow from the images of the project's own data sets, so that they do not
            apply to a plug-in's data set.
    """

    values: Mapping[str, Any]
    match: Mapping[str, str]
    on_built_in: bool = False

    def matches(self, names: Mapping[str, Sequence[str]]) -> bool:
        """Whether it applies to a run.

        Args:
            names: the names of the run's parts, by the keys of ``match``.
        """
        return all(any(fnmatchcase(name, pattern) for name in names[key]) for key, pattern in self.match.items())


class _ProfileKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    note: str = ""
    stand_in: bool = False
    slow_on_cpu: bool = False
    device: str | None = None
    threads: Annotated[int, Meta(gt=0)] | None = None
    datasets: dict[str, str] = field(default_factory=dict)


class Profile(_ProfileKeys, frozen=True, kw_only=True):
    """The scale at which recipes are run.

    Attributes:
        name: ``paper``, ``quick``, ``short`` or ``digits``.
        title: one line for people.
        note: printed under its tables.
        stand_in: whether it replaces the paper's data and networks, so that published weights do not fit.
        slow_on_cpu: whether it takes days on a CPU.
        device: default device; None for the best available one.
        threads: of a process; None for one.
        datasets: data sets that replace the recipe's.
        overrides: changes of recipes.
    """

    name: str
    overrides: tuple[Override, ...]


class PublishedWeights(Strict):
    """torchvision's weights of a teacher: their name, and the beginning of the file's SHA-256."""

    weights: str
    sha256: str


class RecipeFile(Struct, frozen=True):
    """A recipe as it is written.

    Attributes:
        values: by dotted key.
        overrides: changes of the values.
        teachers: weights of teachers that are not trained here, by network.
    """

    values: Mapping[str, Any]
    overrides: tuple[Override, ...]
    teachers: Mapping[str, PublishedWeights]


class Preset(Struct, frozen=True):
    """Published values that override recipes and profiles.

    Attributes:
        title: one line for people.
        overrides: changes of recipes.
    """

    title: str
    overrides: tuple[Override, ...]


class _Changes(Strict):
    """Changes as they are written: nested or dotted keys."""

    match: dict[Literal["student", "teacher", "method", "recipe"], str] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)
    set_on_built_in_data: dict[str, Any] = field(default_factory=dict)


class _ProfileFile(_ProfileKeys, frozen=True, kw_only=True):
    set: dict[str, Any] = field(default_factory=dict)
    set_on_built_in_data: dict[str, Any] = field(default_factory=dict)
    overrides: tuple[_Changes, ...] = ()


class _PresetFile(Strict):
    title: str
    overrides: tuple[_Changes, ...]


class _RecipeFile(Struct):
    """The keys of a recipe that are no values."""

    overrides: tuple[_Changes, ...] = ()
    teachers: dict[str, PublishedWeights] = field(default_factory=dict)


def parse_changes(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse ``--set key=value`` arguments.

    Raises:
        UserError: an argument has no equals sign, a key is unknown, or a value is impossible.
    """
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair}: write --set KEY=VALUE, for instance --set epochs=30")
        changes[key] = _checked(key, parse_value(value), dict(defaults()))
    return changes


def load_profile(name: str) -> Profile:
    """Read a profile by name.

    Raises:
        UserError: the profile does not exist, cannot be read, or has a wrong key or value.
    """
    file = _read("profile", KINDS["profile"] / f"{name}.yaml")
    raw = file.convert(_ProfileFile)
    general = _Changes(set=raw.set, set_on_built_in_data=raw.set_on_built_in_data)
    overrides = (*_overrides(file, general), *_listed_overrides(file, raw.overrides))
    return Profile(name=name, overrides=overrides, **{key: getattr(raw, key) for key in _ProfileKeys.__struct_fields__})


def load_recipe(name: str) -> RecipeFile:
    """Read a recipe by name.

    Raises:
        UserError: the recipe does not exist, cannot be read, has a wrong key or value, or lacks a value.
    """
    return _read_recipe(KINDS["recipe"] / f"{name}.yaml")


@cache
def _read_recipe(path: Path) -> RecipeFile:
    file = _read("recipe", path)
    raw = file.convert(_RecipeFile)
    stated = {key: value for key, value in file.data.items() if key not in raw.__struct_fields__}
    values, overrides = _flatten(file, stated), _listed_overrides(file, raw.overrides)
    if lacking := next((key for key in RECIPE_KEYS if key not in values and key != "name"), None):
        raise UserError(f"recipe {path.stem} states no '{lacking}'")
    return RecipeFile(values, overrides, raw.teachers)


def load_preset(name: str) -> Preset:
    """Read a preset by name.

    Raises:
        UserError: the preset does not exist, cannot be read, or has a wrong key or value.
    """
    file = _read("preset", KINDS["preset"] / f"{name}.yaml")
    raw = file.convert(_PresetFile)
    return Preset(raw.title, _listed_overrides(file, raw.overrides))


def names(kind: str) -> list[str]:
    """All names of a kind: ``recipe``, ``profile`` or ``preset``."""
    return sorted(path.stem for path in KINDS[kind].glob("*.yaml"))


def defaults() -> Iterator[tuple[str, Any]]:
    """The methods' default values, by dotted key; a recipe does not have to state them."""
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


def method_recipe(info: catalog.MethodInfo) -> Override:
    """The values of the recipe that a method brings along.

    Raises:
        UserError: a key is unknown, or a value is impossible.
    """
    try:
        values = {key: _checked(key, value, {}) for key, value in info.recipe.items()}
    except UserError as error:
        raise UserError(f"{info.path}: the recipe of {info.name}: {error}") from None
    return Override(values, {})


def _read(kind: str, path: Path) -> YamlFile:
    name = str(path.relative_to(KINDS[kind]).with_suffix(""))
    if name not in names(kind):
        raise unknown(kind, name, names(kind))
    if not is_plain(name):
        raise UserError(f"{kind} '{name}': rename its file, since a name is made of {ALPHABET}")
    return yaml_schema.read(path, f"{kind} {name}")


def _listed_overrides(file: YamlFile, entries: Sequence[_Changes]) -> tuple[Override, ...]:
    return tuple(one for i, entry in enumerate(entries) for one in _overrides(file, entry, "overrides", i))


def _overrides(file: YamlFile, changes: _Changes, *place: str | int) -> Iterator[Override]:
    match = {str(key): pattern for key, pattern in changes.match.items()}
    for part, on_built_in in (("set", False), ("set_on_built_in_data", True)):
        if values := _flatten(file, getattr(changes, part), *place, part):
            yield Override(values, match, on_built_in)


def _flatten(file: YamlFile, values: Mapping[str, Any], *place: str | int) -> dict[str, Any]:
    """Nested recipe values by dotted key, checked."""
    known, flat = dict(defaults()), {}

    def add(values: Mapping[str, Any], *keys: str) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping):
                add(value, *keys, key)
            else:
                with file.at(*place, *keys, key):
                    dotted = ".".join((*keys, key))
                    flat[dotted] = _checked(dotted, value, known)

    add(values)
    return flat


def _checked(key: str, value: Any, dotted: Mapping[str, Any]) -> Any:
    """The value as it stands in a recipe.

    Args:
        key: its key.
        value: as parsed.
        dotted: the known keys of objectives and tuning.
    """
    known = dotted if "." in key else [plain for plain in RECIPE_KEYS if plain != "name"]
    if key not in known:
        raise unknown("recipe key", key, known)
    method, _, option = key.removeprefix("objectives.").partition(".options.")
    value = tuple(value) if isinstance(value, list) else value
    if option:
        return checked_options(catalog.method(method), {option: value})[option]
    check_value(key, value)
    return value
