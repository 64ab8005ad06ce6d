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
    "COHORT_OF_ONE",
    "DONE",
    "EVALUATE",
    "FAILED",
    "KINDS",
    "NOT_APPLICABLE",
    "PROBE",
    "SCHEMA",
    "STAGE",
    "STATUSES",
    "STEPS",
    "TRAIN",
    "Conditions",
    "Cost",
    "Curves",
    "Data",
    "Metrics",
    "Provenance",
    "Record",
]

SCHEMA = 1
STEPS, COHORT_OF_ONE = "steps", "cohort of one"


class Metrics(Struct, frozen=True):
    """The measured numbers.

    Attributes:
        last: numbers of the last epoch, or of an analysis, by name; accuracies in percent, losses in nats.
        best: numbers of the epoch with the highest top-1 accuracy on the test images.
        params: number of the network's parameters.
    """

    last: dict[str, Number] = {}
    best: dict[str, Number] = {}
    params: Maybe[Count] = None

    def __post_init__(self) -> None:
        for epoch in (self.last, self.best):
            if type(epoch.get("epoch", 0)) is not int:
                raise ValueError(f"the epoch {epoch['epoch']!r} is no whole number")

    def of(self, selection: str) -> Mapping[str, Number]:
        """The numbers of ``last`` or ``best``."""
        return self.last if selection == "last" else self.best


class Evaluations(Struct, frozen=True):
    """Tests during training: lists of one length, by epoch; a pretraining stage has none."""

    epoch: list[Count] = []
    top1: list[float] = []
    topk: list[float] = []
    loss: list[float] = []

    def __post_init__(self) -> None:
        _check_lengths(self)


class Curves(Struct, frozen=True):
    """Training curves: learning rate and parts of the loss by epoch, and the tests."""

    epoch: list[Count] = []
    lr: list[float] = []
    parts: dict[str, list[float]] = {}
    test: Evaluations = msgspec.field(default_factory=Evaluations)


class Cost(Struct, frozen=True):
    """The cost of the training.

    Attributes:
        cohort_seconds: seconds of the whole cohort.
        cohort_members: number of jobs that trained together.
        extra_parameters: number of parameters trained beside the network and dropped.
        cohort_estimated_seconds: the plan's estimate of ``cohort_seconds``.
        step_seconds: seconds of the job's own steps; None on a GPU, where the loop does not wait for a step to end.
        images: number of images that the job has seen.
        passes: forward passes of the trained network in a step; older records, of one pass, state none.
        views: views of each image; older records, of one view, state none.
    """

    cohort_seconds: Seconds
    cohort_members: Annotated[int, Meta(ge=1, le=LARGEST)]
    extra_parameters: Count
    cohort_estimated_seconds: Maybe[Seconds] = None
    step_seconds: Seconds | None = None
    images: Maybe[Count] = None
    passes: Count = 1
    views: Count = 1

    @property
    def own_seconds(self) -> tuple[str, float] | None:
        """Seconds of this job alone, with their kind; None if it shared its cohort's seconds with others."""
        if self.step_seconds is not None:
            return STEPS, self.step_seconds
        return (COHORT_OF_ONE, self.cohort_seconds) if self.cohort_members == 1 else None


class Failure(Struct, frozen=True):
    """Why a job has no result."""

    reason: Words


class Points(Struct, frozen=True):
    """A point cloud: coordinates and class of each point."""

    x: Annotated[list[float], Meta(min_length=1)]
    y: Annotated[list[float], Meta(min_length=1)]
    label: Annotated[list[Number], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _check_lengths(self)


class Data(Struct, frozen=True):
    """The data of a job.

    Attributes:
        name: name of the data set.
        fingerprint: SHA-256 of its images and labels.
        official: whether these are the published data; None if unknown.
    """

    name: Maybe[str] = None
    fingerprint: Maybe[str] = None
    official: bool | None = None


class Provenance(Struct, frozen=True):
    """The origin of a record. Unknown parts are None.

    Attributes:
        revision: git revision of the code.
        dirty: whether files differed from the revision.
        versions: versions of Python and libraries, by name.
        processor: name of the processor.
        device: ``cpu``, or a GPU's name.
        threads: number of threads of the process.
        finished: time at which the job finished.
        data: the data of the job.
        teacher_weights: SHA-256 of the teacher's weights file.
        rests_on: SHA-256 of all weights files that the job read, by the id of the job that left them; older records
            state none.
        machines: conditions of all machines that the run trained on, if there were several.
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
        """The conditions under which times can be compared."""
        return {what: value for what, value in self.conditions.items() if what != "torch"}

    @property
    def conditions(self) -> Conditions:
        """The conditions under which numbers can be compared; of several machines as in ``1, then 2``."""
        machine = {"processor": self.processor, "device": self.device, "threads": self.threads}
        last: Conditions = {**machine, "torch": self.versions.get("torch")}
        every = {what: [*dict.fromkeys([each.get(what) for each in self.machines] or [last[what]])] for what in last}
        return {what: ", then ".join(map(str, values)) if values[1:] else values[0] for what, values in every.items()}


class Record(Struct, frozen=True):
    """The result of a job.

    Attributes:
        schema: version of the record's form.
        id: SHA-256 of the spec's canonical JSON.
        kind: kind of the job, one of `KINDS`.
        status: one of `STATUSES`.
        metrics: the measured numbers.
        spec: everything that could change the result; plain JSON whose form is checked.
        provenance: code, versions, machine and data.
        curves: training curves.
        cost: cost of the training.
        failure: why there is no result.
        given: facts about given weights, such as the name of their ``file``.
        points: the point cloud of an analysis.
        weights: SHA-256 of the weights file that the job left; older records do not state it.
        terms: SHA-256 of the file of the modules trained beside the network.
        method: name of the job's objective, if the record's path had to be cut.
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
        """Why there is no result; empty if there is one."""
        return self.failure.reason if self.failure else ""

    def rests_on_earlier(self, other: Record) -> bool:
        """Whether the job read other weights than the ones that ``other`` states now; False if unknown."""
        used = self.provenance.rests_on.get(other.id)
        return used is not None and other.weights is not None and used != other.weights

    def _reason_fault(self) -> str | None:
        return None if self.failure else f"it is {self.status} without a reason"

    def _done_fault(self) -> str | None:
        """The number that a finished job of this kind must have and that the record lacks."""
        if self.kind == ANALYSE and not self.metrics.last and self.points is None:
            return "it is done without a number"
        selections, names = _REQUIRED.get(self.kind, ((), ()))
        for selection in selections:
            for name in names:
                if name not in self.metrics.of(selection):
                    return f"it is done without '{name}' of the {selection} epoch"
        return None


_REQUIRED: Mapping[str, tuple[Sequence[str], Sequence[str]]] = MappingProxyType(
    {
        TRAIN: (("last", "best"), ("epoch", "top1", "topk", "loss")),
        PROBE: (("last", "best"), ("epoch", "top1", "topk", "loss")),
        EVALUATE: (("last",), ("top1", "topk", "loss")),
        STAGE: (("last",), ("loss",)),
    }
)
"""By kind, the epochs of which a finished job must have numbers, and the names of these numbers."""


def _check_lengths(lists: Struct) -> None:
    """Check that all lists that are not empty have one length."""
    lengths = {len(values) for name in lists.__struct_fields__ if (values := getattr(lists, name))}
    if len(lengths) > 1:
        raise ValueError(f"{', '.join(lists.__struct_fields__)} are of different lengths")
