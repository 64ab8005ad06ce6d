"""Jobs: what is trained, frozen and validated, with an id that says all that could change the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from benchmark.canonical import digest
from benchmark.errors import UserError
from benchmark.objectives import STUDENT, Objective

NUMERICS = 1
"""Version of the engine's arithmetic: raise it when the loop, the stream or the initial weights change results."""


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _share(value: float) -> bool:
    return 0 <= value <= 1


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in names), f"one of {', '.join(names)}"


def _numbers(value: tuple[Any, ...]) -> bool:
    return len(value) == 3 and all(type(item) in _NUMBER for item in value)


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
            lambda value: all(type(item) is int and item > 0 for item in value) and list(value) == sorted({*value}),
            "a rising list of epochs, like [100,150]",
        ),
        "lr_decay": (_NUMBER, _positive, "a number above 0"),
        "momentum": (_NUMBER, _share, "a number from 0 to 1"),
        "nesterov": ((bool,), lambda _: True, "true or false"),
        "weight_decay": (_NUMBER, _not_negative, "a number from 0"),
        "crop_padding": ((int,), _not_negative, "a whole number from 0"),
        "pad_mode": ((str,), *_one_of("zero", "reflect")),
        "flip": (_NUMBER, _share, "a probability from 0 to 1"),
        "mean": ((tuple,), _numbers, "three numbers, like [0.5,0.5,0.5]"),
        "std": ((tuple,), lambda value: _numbers(value) and min(value) > 0, "three numbers above 0"),
        "train_limit": ((int, type(None)), lambda value: value is None or value > 1, "a whole number above 1, or null"),
        "precision": ((str,), *_one_of("bf16", "tf32", "fp32")),
        "evaluate_every": ((int,), _positive, "a whole number above 0"),
        "in_size": ((int,), lambda value: value >= 8, "a side in pixels from 8"),
        "width": (_NUMBER, _positive, "a factor above 0"),
    }
)
_WEIGHT = (_NUMBER, _not_negative, "a number from 0")


def check_value(key: str, value: Any) -> None:
    """See that a recipe's value, or an objective's weight, makes sense.

    Raises:
        UserError: it does not.
    """
    kinds, valid, meaning = _CHECKS.get(key, _WEIGHT)
    boolean = isinstance(value, bool) and bool not in kinds
    if boolean or not isinstance(value, kinds) or not valid(value):
        raise UserError(f"recipe value {key}={value!r}: it must be {meaning}")


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
        for key in _CHECKS:
            check_value(key, getattr(self, key))

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
