"""The record that a job leaves: a typed value. Parts that a later revision of the same schema adds are ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from benchmark.ids import digest
from benchmark.runs.record_types import (
    ANALYSE,
    DONE,
    EVALUATE,
    FAILED,
    KINDS,
    LARGEST,
    NOT_APPLICABLE,
    PROBE,
    SPECS,
    STAGE,
    STATUSES,
    TRAIN,
    Conditions,
    Count,
    Maybe,
    Number,
    Seconds,
    Sha256,
    Words,
)

__all__ = [
    "ANALYSE",
    "DONE",
    "EVALUATE",
    "FAILED",
    "KINDS",
    "NOT_APPLICABLE",
    "PROBE",
    "STAGE",
    "STATUSES",
    "TRAIN",
    "Conditions",
    "Cost",
    "Curves",
    "Data",
    "Metrics",
    "Provenance",
    "Record",
    "STEPS",
    "COHORT_OF_ONE",
    "SCHEMA",
]

SCHEMA = 1
STEPS, COHORT_OF_ONE = "steps", "cohort of one"


class Metrics(Struct, frozen=True):
    """What was measured.

    Attributes:
        last: numbers of the last epoch, or of an analysis, by name; accuracies in percent, losses in nats.
        best: the same of the epoch with the highest top-1 accuracy on the test images.
        params: of the network.
    """

    last: dict[str, Number] = {}
    best: dict[str, Number] = {}
    params: Maybe[Count] = None

    def __post_init__(self) -> None:
        for epoch in (self.last, self.best):
            if type(epoch.get("epoch", 0)) is not int:
                raise ValueError(f"the epoch {epoch['epoch']!r} is no whole number")

    def of(self, selection: str) -> Mapping[str, Number]:
        """The numbers of ``last`` or ``best``; empty where there are none."""
        return self.last if selection == "last" else self.best


class Evaluations(Struct, frozen=True):
    """Tests during the training: lists of one length, by epoch; a first stage has none."""

    epoch: list[Count] = []
    top1: list[float] = []
    topk: list[float] = []
    loss: list[float] = []

    def __post_init__(self) -> None:
        _check_lengths(self)


class Curves(Struct, frozen=True):
    """The course of the training: learning rate and parts of the loss by epoch, and the tests."""

    epoch: list[Count] = []
    lr: list[float] = []
    parts: dict[str, list[float]] = {}
    test: Evaluations = msgspec.field(default_factory=Evaluations)


class Cost(Struct, frozen=True):
    """What the training took.

    Attributes:
        cohort_seconds: of the whole cohort, since the process took it up.
        cohort_members: jobs that were trained together.
        extra_parameters: trained beside the network and dropped.
        cohort_estimated_seconds: the plan's estimate.
        step_seconds: of the job's own steps; None on a GPU, where the end of a step is not waited for.
        images: that the job has seen.
    """

    cohort_seconds: Seconds
    cohort_members: Annotated[int, Meta(ge=1, le=LARGEST)]
    extra_parameters: Count
    cohort_estimated_seconds: Maybe[Seconds] = None
    step_seconds: Seconds | None = None
    images: Maybe[Count] = None

    @property
    def own_seconds(self) -> tuple[str, float] | None:
        """Seconds that are this job's alone, after what they are of; None where it shared those of its cohort."""
        if self.step_seconds is not None:
            return STEPS, self.step_seconds
        return (COHORT_OF_ONE, self.cohort_seconds) if self.cohort_members == 1 else None


class Failure(Struct, frozen=True):
    """Why a job came to nothing."""

    reason: Words


class Points(Struct, frozen=True):
    """A picture: where each point lies, and the number of its class."""

    x: Annotated[list[float], Meta(min_length=1)]
    y: Annotated[list[float], Meta(min_length=1)]
    label: Annotated[list[Number], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _check_lengths(self)


class Data(Struct, frozen=True):
    """Which data were seen.

    Attributes:
        name: of the data set.
        fingerprint: SHA-256 of its images and labels.
        official: whether these are the published data; None where that is not known.
    """

    name: Maybe[str] = None
    fingerprint: Maybe[str] = None
    official: bool | None = None


class Provenance(Struct, frozen=True):
    """Where a record comes from. What it does not tell is None.

    Attributes:
        revision: of the code, where it lies in a git repository.
        dirty: whether files differed from it.
        versions: of Python and libraries, by name.
        processor: of the machine.
        device: ``cpu``, or a GPU's name.
        threads: of the process.
        finished: when.
        data: which were seen.
        teacher_weights: SHA-256 of the weights file that the teacher was read from.
        rests_on: the same of all files that the job read, by the id of the job that left it; older records state none.
        machines: the conditions of all machines that a run was trained on one after another, where these are several.
    """

    revision: str | None = None
    dirty: bool | None = None
    versions: dict[str, str] = {}
    processor: Maybe[str] = None
    device: Maybe[str] = None
    threads: Maybe[Count] = None
    finished: Maybe[Annotated[datetime, Meta(tz=True)]] = None
    data: Maybe[Data] = None
    teacher_weights: str | None = None
    rests_on: dict[str, str] = {}
    machines: list[dict[str, str | int | None]] = []

    @property
    def machine(self) -> dict[str, str | int | None]:
        """What times can be compared on."""
        return {what: value for what, value in self.conditions.items() if what != "torch"}

    @property
    def conditions(self) -> Conditions:
        """What numbers can be compared on; of a run that was gone on with elsewhere, as in ``1, then 2``."""
        machine = {"processor": self.processor, "device": self.device, "threads": self.threads}
        last: Conditions = {**machine, "torch": self.versions.get("torch")}
        every = {what: [*dict.fromkeys([each.get(what) for each in self.machines] or [last[what]])] for what in last}
        return {what: ", then ".join(map(str, values)) if values[1:] else values[0] for what, values in every.items()}


class Record(Struct, frozen=True):
    """What a job leaves.

    Attributes:
        schema: version of this form.
        id: SHA-256 of the spec's canonical JSON.
        kind: of the job, one of `KINDS`.
        status: one of `STATUSES`.
        metrics: what was measured.
        spec: all that could change the result; plain JSON, whose form is checked.
        provenance: code, versions, machine and data.
        curves: the course of the training.
        cost: what the training took.
        failure: why there is no result.
        given: about weights that somebody gave, such as the name of their ``file``.
        points: the picture that an analysis made.
        weights: SHA-256 of the weights file that the job left; older records do not state it.
        terms: the same of the file of what was trained beside the network.
        method: name of the job's objective, stated where the record's path is too short for it.
    """

    schema: Annotated[int, Meta(ge=1)]
    id: Sha256
    kind: str
    status: str
    metrics: Metrics
    spec: dict[str, Any]
    provenance: Provenance
    curves: Maybe[Curves] = None
    cost: Maybe[Cost] = None
    failure: Maybe[Failure] = None
    given: Maybe[dict[str, str | Number]] = None
    points: Maybe[Points] = None
    weights: Maybe[Sha256] = None
    terms: Maybe[Sha256] = None
    method: Maybe[Words] = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"its status '{self.status}' is unknown")
        if self.kind != msgspec.convert(self.spec, SPECS).kind:
            raise ValueError(f"its kind '{self.kind}' is not that of its spec")
        if fault := self._done_fault() if self.status == DONE else self._reason_fault():
            raise ValueError(fault)
        if digest(self.spec) != self.id:
            raise ValueError("its id does not match its spec")

    @property
    def reason(self) -> str:
        """Why there is no result; empty where there is one."""
        return self.failure.reason if self.failure else ""

    def rests_on_earlier(self, other: Record) -> bool:
        """Whether the job read other weights than those that are the other one's now; False where that is unknown."""
        used = self.provenance.rests_on.get(other.id)
        return used is not None and other.weights is not None and used != other.weights

    def _reason_fault(self) -> str | None:
        return None if self.failure else f"it is {self.status} without a reason"

    def _done_fault(self) -> str | None:
        """What a finished job of this kind promises, and the record lacks."""
        if self.kind == ANALYSE and not self.metrics.last and self.points is None:
            return "it is done without a number"
        selections, names = _PROMISED.get(self.kind, ((), ()))
        for selection in selections:
            for name in names:
                if name not in self.metrics.of(selection):
                    return f"it is done without '{name}' of the {selection} epoch"
        return None


_PROMISED: Mapping[str, tuple[Sequence[str], Sequence[str]]] = MappingProxyType(
    {
        TRAIN: (("last", "best"), ("epoch", "top1", "topk", "loss")),
        PROBE: (("last", "best"), ("epoch", "top1", "topk", "loss")),
        EVALUATE: (("last",), ("top1", "topk", "loss")),
        STAGE: (("last",), ("loss",)),
    }
)
"""By kind, the epochs of which a finished job has numbers, and their names."""


def _check_lengths(lists: Struct) -> None:
    """See that lists which belong together are of one length, but for those that are empty."""
    lengths = {len(values) for name in lists.__struct_fields__ if (values := getattr(lists, name))}
    if len(lengths) > 1:
        raise ValueError(f"{', '.join(lists.__struct_fields__)} are of different lengths")
