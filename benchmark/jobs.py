"""Jobs: what is trained, frozen and validated, with an id that says all that could change the result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from benchmark import catalog
from benchmark.errors import UserError, unknown

NUMERICS = 1
"""Version of the engine's arithmetic: raise it when the loop, the stream or the initial weights change results."""

STUDENT = "student"
"""Name of the objective without terms: cross-entropy alone."""


def canonical_json(value: object) -> str:
    """One text for one value: keys sorted, no spaces, 1 and 1.0 alike."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class MethodName:
    """What ``--methods`` and tables call an objective: ``student``, ``kd``, ``srrl[sr]``, ``kd+srrl``.

    Attributes:
        terms: ``(method, options)`` by method name; empty for the plain student.
    """

    terms: tuple[tuple[str, Mapping[str, Any]], ...]

    @property
    def name(self) -> str:
        """The canonical spelling: terms sorted, default options dropped, variants by their short name."""
        return "+".join(_term_name(name, options) for name, options in self.terms) or STUDENT


_TERM = re.compile(r"(?P<name>[^\[\]+]+)(?:\[(?P<options>[^\]]*)\])?")


def parse_method(text: str) -> MethodName:
    """Read a method's name.

    Raises:
        UserError: the spelling is wrong, or a method, a variant, an option or a value is unknown.
    """
    if text == STUDENT:
        return MethodName(())
    parts = re.split(r"\+(?![^\[]*\])", text)
    terms = dict(_parse_term(text, part) for part in parts)
    if len(terms) < len(parts):
        raise UserError(f"method '{text}' names a term twice")
    return MethodName(tuple(sorted(terms.items())))


def _parse_term(text: str, part: str) -> tuple[str, Mapping[str, Any]]:
    match = _TERM.fullmatch(part.strip())
    if match is None:
        raise UserError(f"cannot read method '{text}': write NAME, NAME[variant], NAME[option=value] or NAME+NAME")
    info = catalog.method(match["name"])
    options: dict[str, Any] = {}
    for word in filter(None, (match["options"] or "").split(",")):
        key, equals, value = word.partition("=")
        if equals:
            options[key] = parse_value(value)
        elif key in info.variants:
            options |= info.variants[key]
        else:
            raise unknown(f"variant of {info.name}", key, [*info.variants, *(f"{name}=..." for name in info.options)])
    return info.name, checked_options(info, options)


def checked_options(info: catalog.MethodInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from a method's defaults.

    Raises:
        UserError: an option is unknown or its value is of another kind than its default.
    """
    for key, value in options.items():
        if key not in info.options:
            raise unknown(f"option of {info.name}", key, info.options)
        default = info.options[key]
        number = isinstance(default, int | float) and not isinstance(default, bool)
        fits = isinstance(value, int | float) if number else isinstance(value, type(default))
        if not fits or (isinstance(default, int) and isinstance(value, float) and not value.is_integer()):
            raise UserError(
                f"option {key} of {info.name} is a {type(default).__name__} like {default!r}, not {value!r}"
            )
    return {key: value for key, value in sorted(options.items()) if value != info.options[key]}


def parse_value(text: str) -> Any:
    """A value as typed on the command line: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _term_name(name: str, options: Mapping[str, Any]) -> str:
    if not options:
        return name
    for variant, meant in catalog.method(name).variants.items():
        if dict(meant) == dict(options):
            return f"{name}[{variant}]"
    return f"{name}[{','.join(f'{key}={_canonical(value)}' for key, value in sorted(options.items()))}]"


@dataclass(frozen=True)
class Term:
    """One weighted loss of an objective.

    Attributes:
        name: the method.
        weight: its factor.
        options: the options that differ from the method's defaults.
        revision: of the method's code.
    """

    name: str
    weight: float
    options: Mapping[str, Any]
    revision: int


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
        """The objective as it stands in a record."""
        terms = {
            term.name: {"weight": term.weight, "options": dict(term.options), "revision": term.revision}
            for term in self.terms
        }
        return {"ce": self.ce, "terms": terms}

    @property
    def folder(self) -> str:
        """A readable name that follows from the terms and their options."""
        return "+".join(_term_name(term.name, term.options) for term in self.terms) or STUDENT


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _share(value: float) -> bool:
    return 0 <= value <= 1


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in names), f"one of {', '.join(names)}"


_NUMBER = (int, float)
_CHECKS: Mapping[str, tuple[tuple[type, ...], Callable[[Any], bool], str]] = MappingProxyType(
    {
        "name": ((str,), bool, "a name"),
        "dataset": ((str,), bool, "a data set's name"),
        "epochs": ((int,), _positive, "a whole number above 0"),
        "batch_size": ((int,), lambda value: value > 1, "a whole number above 1"),
        "optimizer": ((str,), *_one_of("sgd")),
        "lr": (_NUMBER, _positive, "a number above 0"),
        "milestones": (
            (tuple,),
            lambda value: all(isinstance(item, int) and item > 0 for item in value) and list(value) == sorted(value),
            "a rising list of epochs, like [100,150]",
        ),
        "lr_decay": (_NUMBER, _positive, "a number above 0"),
        "momentum": (_NUMBER, _share, "a number from 0 to 1"),
        "nesterov": ((bool,), lambda _: True, "true or false"),
        "weight_decay": (_NUMBER, _not_negative, "a number from 0"),
        "crop_padding": ((int,), _not_negative, "a whole number from 0"),
        "pad_mode": ((str,), *_one_of("zero", "reflect")),
        "flip": (_NUMBER, _share, "a probability from 0 to 1"),
        "mean": ((tuple,), lambda value: len(value) == 3, "three numbers, like [0.5,0.5,0.5]"),
        "std": ((tuple,), lambda value: len(value) == 3 and min(value) > 0, "three numbers above 0"),
        "train_limit": ((int, type(None)), lambda value: value is None or value > 1, "a whole number above 1, or null"),
        "precision": ((str,), *_one_of("bf16", "tf32", "fp32")),
        "evaluate_every": ((int,), _positive, "a whole number above 0"),
        "in_size": ((int,), lambda value: value >= 8, "a side in pixels from 8"),
        "width": (_NUMBER, _positive, "a factor above 0"),
    }
)


@dataclass(frozen=True)
class Recipe:
    """Everything that trains a network and could change its accuracy, except the objective.

    Attributes:
        name: ``C100`` ...
        dataset: name of the data set.
        epochs: length of the training.
        batch_size: images a step.
        optimizer: ``sgd``.
        lr: first learning rate.
        milestones: epochs after which the rate is multiplied by ``lr_decay``.
        lr_decay: factor at each milestone.
        momentum: of SGD.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: on all parameters.
        crop_padding: pixels added on each side before a random crop; 0 for none.
        pad_mode: ``zero`` or ``reflect``.
        flip: probability of a horizontal flip.
        mean: of the channels, in units of [0, 1] pixels.
        std: of the channels, in the same units.
        train_limit: use only so many training images.
        precision: ``bf16`` autocast, ``tf32`` or ``fp32``; losses and weights are float32 in all three.
        evaluate_every: epochs between two test evaluations; the last epoch always has one.
        in_size: side of the network's input in pixels; images of another size are resized.
        width: factor on the network's channels.
    """

    name: str
    dataset: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    milestones: tuple[int, ...]
    lr_decay: float
    momentum: float
    nesterov: bool
    weight_decay: float
    crop_padding: int
    pad_mode: str
    flip: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_limit: int | None
    precision: str
    evaluate_every: int
    in_size: int
    width: float

    def __post_init__(self) -> None:
        for key, (kinds, valid, meaning) in _CHECKS.items():
            value = getattr(self, key)
            boolean = isinstance(value, bool) and bool not in kinds
            if boolean or not isinstance(value, kinds) or not valid(value):
                raise UserError(f"recipe value {key}={value!r}: it must be {meaning}")

    @property
    def stream(self) -> tuple[Any, ...]:
        """What a batch stream depends on besides the seed: runs that agree in it can share one."""
        keys = ("dataset", "batch_size", "crop_padding", "pad_mode", "flip", "mean", "std", "train_limit", "precision")
        return tuple(getattr(self, key) for key in keys)


RECIPE_KEYS = tuple(item.name for item in fields(Recipe))


@dataclass(frozen=True)
class Job:
    """A run: a network trained by a recipe and an objective, under a teacher or alone.

    Attributes:
        recipe: resolved for this network.
        network: registry name of the trained network.
        objective: resolved.
        teacher: the run that trained the teacher.
        seed: of everything random.
        method: the name by which the objective was asked for; not part of the id.
    """

    recipe: Recipe
    network: str
    objective: Objective
    teacher: Job | None
    seed: int
    method: str = field(default=STUDENT, compare=False)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """All that could change the result, and nothing else."""
        teacher = None if self.teacher is None else {"network": self.teacher.network, "id": self.teacher.id}
        return {
            "kind": "train",
            "numerics": NUMERICS,
            "recipe": asdict(self.recipe),
            "network": self.network,
            "objective": self.objective.spec,
            "teacher": teacher,
            "seed": self.seed,
        }

    @cached_property
    def id(self) -> str:
        """SHA-256 of the spec's canonical JSON."""
        return digest(self.spec)

    @property
    def pair(self) -> str:
        """``TEACHER--STUDENT``, ``none`` standing for no teacher."""
        return f"{self.teacher.network if self.teacher else 'none'}--{self.network}"

    @property
    def path(self) -> str:
        """Where records, checkpoints and logs of this run lie below their roots, without suffix."""
        return f"{self.recipe.name}/{self.pair}/{self.objective.folder}/seed{self.seed}-{self.id[:12]}"

    def __str__(self) -> str:
        return f"{self.pair.replace('--', ':')} {self.method} seed {self.seed}"

    def __hash__(self) -> int:
        return hash(self.id)
