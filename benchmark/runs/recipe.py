"""Recipes: every value that trains a network and could change its accuracy, and its valid range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from benchmark.errors import UserError
from benchmark.yaml_schema import in_words

_Text = Annotated[str, Meta(min_length=1)]
_Count = Annotated[int, Meta(ge=1)]
_Size = Annotated[int, Meta(ge=0)]
_Images = Annotated[int, Meta(ge=2)]
_Side = Annotated[int, Meta(ge=8)]
_Positive = Annotated[float, Meta(gt=0)]
_Weight = Annotated[float, Meta(ge=0)]
_Fraction = Annotated[float, Meta(ge=0, le=1)]
_Width = Annotated[float, Meta(ge=0.001, le=1000)]
_Share = Annotated[float, Meta(gt=0, le=1)]


@dataclass(frozen=True)
class Recipe:
    """Everything that trains a network and could change its accuracy, except the objective.

    Attributes:
        name: name of the recipe, as ``C100``.
        dataset: name of the data set.
        epochs: number of epochs.
        batch_size: images per step.
        optimizer: ``sgd``, ``adam`` or ``dot`` (two SGD steps, for cross-entropy and for the other losses).
        lr: initial learning rate.
        milestones: epochs after which the learning rate is multiplied by ``lr_decay``.
        lr_decay: factor at each milestone.
        momentum: momentum of SGD, or Adam's decay rate of the first moment.
        beta2: Adam's decay rate of the second moment; None for the others.
        delta: DOT's difference of momenta: cross-entropy has ``momentum - delta``, the other losses ``momentum +
            delta``; None for the others.
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

    name: _Text
    dataset: _Text
    epochs: _Count
    batch_size: _Images
    optimizer: Annotated[str, Meta(pattern="^(sgd|adam|dot)$")]
    lr: _Positive
    milestones: tuple[_Count, ...]
    lr_decay: _Positive
    momentum: _Fraction
    beta2: Annotated[float, Meta(ge=0, lt=1)] | None
    delta: Annotated[float, Meta(ge=0, lt=1)] | None
    nesterov: bool
    weight_decay: _Weight
    crop: Annotated[str, Meta(pattern="^(pad|resized)$")]
    crop_padding: _Size
    pad_mode: Annotated[str, Meta(pattern="^(zero|reflect)$")]
    crop_size: _Side | None
    crop_scale: tuple[_Share, _Share] | None
    resize: _Side | None
    flip: _Fraction
    mean: tuple[float, float, float]
    std: tuple[_Positive, _Positive, _Positive]
    train_limit: _Images | None
    holdout: _Size
    precision: Annotated[str, Meta(pattern="^(bf16|fp16|tf32|fp32)$")]
    evaluate_every: _Count
    in_size: _Side
    width: _Width
    top_k: _Count

    def __post_init__(self) -> None:
        for key in RECIPE_KEYS:
            check_value(key, getattr(self, key))
        if self.optimizer == "dot" and (self.delta is None or self.nesterov or self.precision == "fp16"):
            raise UserError(
                f"recipe {self.name}: optimizer=dot needs a delta, as --set delta=0.075, nesterov=false and another "
                "precision than fp16"
            )
        if self.optimizer == "dot" and self.delta is not None and not self.delta <= self.momentum < 1 - self.delta:
            raise UserError(
                f"recipe {self.name}: optimizer=dot takes momentum - delta and momentum + delta, both from 0 to "
                f"below 1, which those of {self.momentum} and {self.delta} are not"
            )

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The values as they stand in an id: a value that came later is left out where it is None, so that ids stay."""
        return {key: value for key in RECIPE_KEYS if (value := getattr(self, key)) is not None or key not in _LATER}

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
_LATER = {"delta"}
_VIEW = (*_TEST, "in_size", "width", "top_k")
RECIPE_KEYS = tuple(item.name for item in fields(Recipe))
_KINDS: Mapping[str, Any] = get_type_hints(Recipe, include_extras=True)
# At least one image is held out: without any the test images would choose.
_OTHER_KINDS = {"stage.epochs": _Count, "stage.lr": _Positive | None, "tuning.holdout": _Count}


def check_value(key: str, value: Any) -> None:
    """Check a value of a recipe, an objective or a pretraining stage.

    Raises:
        UserError: the value is invalid.
    """
    kind = _KINDS.get(key) or _OTHER_KINDS.get(".".join(key.split(".")[-2:]), _Weight)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"recipe value {key}={value!r}: {in_words(str(error))}") from None
    if key in ("milestones", "crop_scale") and value and list(value) != sorted(value):
        raise UserError(f"recipe value {key}={value!r}: expected rising numbers")
