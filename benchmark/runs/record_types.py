"""Types that records are made of: kinds, states, scalars, and the form of a job's spec by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from msgspec import Meta, Struct

DONE, FAILED, NOT_APPLICABLE = STATUSES = ("done", "failed", "not_applicable")
TRAIN, STAGE, EVALUATE, PROBE, ANALYSE = KINDS = ("train", "stage", "evaluate", "probe", "analyse")

if TYPE_CHECKING:
    Part = TypeVar("Part")
    Maybe: TypeAlias = Part | None
else:

    class Maybe:
        """The type of a part that may be absent and is None then; a written null is refused."""

        def __class_getitem__(cls, part: Any) -> Any:
            return part


LARGEST = 2**63 - 1
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Number = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)] | float
"""A finite number: decoding refuses NaN and infinity."""
Seconds = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Words = Annotated[str, Meta(min_length=1)]
Conditions: TypeAlias = Mapping[str, str | int | None]
"""What can change the numbers of equal runs: ``processor, device, threads, torch``; None if unknown."""


class _Named(Struct, frozen=True):
    network: str
    id: Sha256


class _View(Struct, frozen=True):
    """What of a recipe matters where a network is only looked at."""

    name: Words
    dataset: Words
    precision: str
    in_size: Count
    width: float
    top_k: Count
    holdout: Count
    crop: str
    crop_size: Count | None
    resize: Count | None
    mean: list[float]
    std: list[float]


class _Recipe(_View, frozen=True):
    epochs: Count
    batch_size: Count
    optimizer: str
    lr: float
    weight_decay: float


class _Method(Struct, frozen=True):
    name: str
    options: dict[str, Any]
    revision: Maybe[Count] = None
    sha256: Maybe[str] = None


class _Term(Struct, frozen=True):
    weight: float
    options: dict[str, Any]
    revision: Maybe[Count] = None
    sha256: Maybe[str] = None


class _Objective(Struct, frozen=True):
    ce: float
    terms: dict[str, _Term]


class _Measure(Struct, frozen=True):
    name: Words
    revision: Count


class _Spec(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What all specs have in common; which job is meant is told by their kind."""

    network: str
    seed: Count
    numerics: Count
    code: dict[str, str] = {}
    data: dict[str, str | Count] = {}

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class _Train(_Spec, frozen=True, kw_only=True, tag=TRAIN):
    recipe: _Recipe
    objective: _Objective
    teacher: _Named | None
    stages: list[Sha256] = []


class _Stage(_Spec, frozen=True, kw_only=True, tag=STAGE):
    recipe: _Recipe
    method: _Method
    teacher: _Named


class _Evaluate(_Spec, frozen=True, kw_only=True, tag=EVALUATE):
    recipe: _View
    weights: str


class _Probe(_Spec, frozen=True, kw_only=True, tag=PROBE):
    recipe: _Recipe
    base: _Named


class _Analyse(_Spec, frozen=True, kw_only=True, tag=ANALYSE):
    measure: _Measure
    subject: _Named
    teacher: _Named | None


SPECS: Any = _Train | _Stage | _Evaluate | _Probe | _Analyse
"""Every form of a spec."""
