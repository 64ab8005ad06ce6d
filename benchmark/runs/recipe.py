"""Recipes: every value that trains a network and could change its accuracy, and its valid range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from benchmark.errors import UserError

_NUMBER = (int, float)
_MAYBE_INTEGER = (int, type(None))


def _positive(value: Any) -> bool:
    return bool(value > 0)


def _not_negative(value: Any) -> bool:
    return bool(value >= 0)


def _fraction(value: Any) -> bool:
    return bool(0 <= value <= 1)


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in names), f"one of {', '.join(names)}"


def _above(least: int) -> Callable[[Any], bool]:
    return lambda value: value is None or bool(value > least)


def _numbers(value: tuple[Any, ...], count: int = 3) -> bool:
    return len(value) == count and all(type(item) in _NUMBER for item in value)


def _rising(value: tuple[Any, ...]) -> bool:
    return all(type(item) is int and item > 0 for item in value) and list(value) == sorted({*value})


_CHECKS: Mapping[str, tuple[tuple[type, ...], Callable[[Any], bool], str]] = MappingProxyType(
    {
        "name": ((str,), bool, "a name"),
        "dataset": ((str,), bool, "a data set's name"),
        "epochs": ((int,), _positive, "a whole number above 0"),
        "batch_size": ((int,), _above(1), "a whole number above 1"),
        "optimizer": ((str,), *_one_of("sgd", "adam")),
        "lr": (_NUMBER, _positive, "a number above 0"),
        "milestones": ((tuple,), _rising, "a rising list of epochs, like [100,150]"),
        "lr_decay": (_NUMBER, _positive, "a number above 0"),
        "momentum": (_NUMBER, _fraction, "a number from 0 to 1"),
        "beta2": ((*_NUMBER, type(None)), lambda value: value is None or 0 <= value < 1, "a number below 1, or null"),
        "nesterov": ((bool,), lambda _: True, "true or false"),
        "weight_decay": (_NUMBER, _not_negative, "a number from 0"),
        "crop": ((str,), *_one_of("pad", "resized")),
        "crop_padding": ((int,), _not_negative, "a whole number from 0"),
        "pad_mode": ((str,), *_one_of("zero", "reflect")),
        "crop_size": (_MAYBE_INTEGER, _above(7), "a side in pixels from 8, or null"),
        "crop_scale": (
            (tuple, type(None)),
            lambda value: value is None or (_numbers(value, 2) and 0 < value[0] <= value[1] <= 1),
            "two rising shares of the image's area, like [0.08,1], or null",
        ),
        "resize": (_MAYBE_INTEGER, _above(7), "a side in pixels from 8, or null"),
        "flip": (_NUMBER, _fraction, "a probability from 0 to 1"),
        "mean": ((tuple,), _numbers, "three numbers, like [0.5,0.5,0.5]"),
        "std": ((tuple,), lambda value: _numbers(value) and min(value) > 0, "three numbers above 0"),
        "train_limit": (_MAYBE_INTEGER, _above(1), "a whole number above 1, or null"),
        "holdout": ((int,), _not_negative, "a whole number from 0"),
        "precision": ((str,), *_one_of("bf16", "fp16", "tf32", "fp32")),
        "evaluate_every": ((int,), _positive, "a whole number above 0"),
        "in_size": ((int,), _above(7), "a side in pixels from 8"),
        "width": (_NUMBER, lambda value: bool(0.001 <= value <= 1000), "a factor from 0.001 to 1000"),
        "top_k": ((int,), _positive, "a whole number above 0"),
    }
)
_WEIGHT = (_NUMBER, _not_negative, "a number from 0")
# At least one: without held-out images the test images would choose.
_TUNING_CHECKS = {"tuning.holdout": _CHECKS["epochs"]}
_STAGE_CHECKS = {"epochs": _CHECKS["epochs"], "lr": ((*_NUMBER, type(None)), _above(0), "a number above 0, or null")}


def check_value(key: str, value: Any) -> None:
    """Check a value of a recipe, an objective or a pretraining stage.

    Raises:
        UserError: the value is invalid.
    """
    stage = _STAGE_CHECKS.get(key.rpartition(".")[2]) if ".stage." in key else None
    kinds, valid, meaning = stage or _TUNING_CHECKS.get(key) or _CHECKS.get(key, _WEIGHT)
    boolean = isinstance(value, bool) and bool not in kinds
    if boolean or not isinstance(value, kinds) or not valid(value):
        raise UserError(f"recipe value {key}={value!r}: it must be {meaning}")


@dataclass(frozen=True)
class Recipe:
    """Everything that trains a network and could change its accuracy, except the objective.

    Attributes:
        name: name of the recipe, as ``C100``.
        dataset: name of the data set.
        epochs: number of epochs.
        batch_size: images per step.
        optimizer: ``sgd`` or ``adam``.
        lr: initial learning rate.
        milestones: epochs after which the learning rate is multiplied by ``lr_decay``.
        lr_decay: factor at each milestone.
        momentum: momentum of SGD, or Adam's decay rate of the first moment.
        beta2: Adam's decay rate of the second moment; None for SGD.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: weight decay on all parameters.
        crop: ``pad`` (a random crop of the padded image) or ``resized`` (a random part of the image, resized).
        crop_padding: pixels added on each side before a random crop; 0 for none.
        pad_mode: ``zero`` or ``reflect``.
        crop_size: side of a resized crop in pixels; None if images keep their size.
        crop_scale: smallest and largest fraction of the image's area in a resized crop; None for ``pad``.
        resize: shorter side of a test image before its central crop, or the side to which stored images are resized
            before padding; None for neither.
        flip: probability of a horizontal flip.
        mean: channel means, for pixels in [0, 1].
        std: channel standard deviations, for pixels in [0, 1].
        train_limit: number of training images to use; None for all.
        holdout: number of training images to hold out and test on, instead of the test images.
        precision: ``bf16`` or ``fp16`` autocast, the latter with a scaled loss, ``tf32`` or ``fp32``; losses and
            weights are float32 in all of them.
        evaluate_every: epochs between tests; the last epoch is always tested.
        in_size: side of the network's input in pixels; images of another size are resized.
        width: factor on the network's channels.
        top_k: number of guesses that the second accuracy counts.
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
    beta2: float | None
    nesterov: bool
    weight_decay: float
    crop: str
    crop_padding: int
    pad_mode: str
    crop_size: int | None
    crop_scale: tuple[float, ...] | None
    resize: int | None
    flip: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_limit: int | None
    holdout: int
    precision: str
    evaluate_every: int
    in_size: int
    width: float
    top_k: int

    def __post_init__(self) -> None:
        for key in _CHECKS:
            check_value(key, getattr(self, key))

    @property
    def stream(self) -> tuple[Any, ...]:
        """What a batch stream depends on besides the seed: runs with equal values can share one."""
        return self._only(_STREAM)

    @property
    def view(self) -> dict[str, Any]:
        """The values that matter when a network is only tested: those of the test images and of the network."""
        return dict(zip(_VIEW, self._only(_VIEW), strict=True))

    def _only(self, keys: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(getattr(self, key) for key in keys)


_TEST = ("dataset", "crop", "crop_size", "resize", "mean", "std", "holdout", "precision")
_STREAM = (*_TEST, "batch_size", "crop_padding", "pad_mode", "crop_scale", "flip", "train_limit")
_VIEW = (*_TEST, "in_size", "width", "top_k")
RECIPE_KEYS = tuple(item.name for item in fields(Recipe))
