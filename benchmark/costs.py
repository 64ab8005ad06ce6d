"""What work takes: so many steps of each sort, times the seconds of one, measured where possible and counted where not.

A step's seconds come from the records of this machine, else from its calibration (`benchmark.calibration`), else from
what is known of the same network or the same method, else from counted operations at the speed of the family's others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmark import catalog
from benchmark.data import describe
from benchmark.jobs import Job, Run, Stage
from benchmark.objectives import STUDENT, Term
from benchmark.store import Record

BACKWARD = 2.0
"""Cost of a backward pass in forward passes."""

LOOK, LOOK_IN_TRAIN_MODE, PROBE = "look", "look in train mode", "probe"
COHORT_SECONDS, MEMBER_SECONDS = 0.3, 0.15
"""To begin a cohort, and for each of its members: networks are built, first steps are slow, weights are kept."""

_LIKE_A_LOOK = LOOK_IN_TRAIN_MODE, PROBE  # next to nothing is passed backward
_ANALYSIS_SECONDS = 2.0  # a thousand images, roughly: clusters and t-SNE, the costliest


class Step(NamedTuple):
    """What the seconds of one batch depend on, besides the machine.

    Attributes:
        network: its name; empty where nothing but a method's own modules is trained.
        in_size: side of its input in pixels.
        width: factor of its channels.
        batch_size: images.
        precision: of the forward pass.
        work: ``student`` for a training step with cross-entropy alone, a method's or first stage's name for one with
            its loss, ``look`` for a forward pass in evaluation mode, ``look in train mode`` or ``probe``.
    """

    network: str
    in_size: int
    width: float
    batch_size: int
    precision: str
    work: str

    @property
    def plain(self) -> Step:
        """The training step of the same network with cross-entropy alone."""
        return self._replace(work=STUDENT)

    @property
    def anywhere(self) -> Step:
        """The same work on such batches, whatever the network."""
        return self._replace(network="", in_size=0, width=0.0)


@dataclass(frozen=True)
class Speed:
    """How fast a machine is, roughly, and how its records can be told.

    Attributes:
        macs: multiply-accumulates a second of one process.
        launch: seconds of a training step however small the network is.
        machine: what stands in the provenance of all records of this machine.
    """

    macs: float
    launch: float
    machine: Mapping[str, Any] = field(default_factory=dict)


SPEEDS: Mapping[str, Speed] = MappingProxyType(
    {"cpu": Speed(macs=2e11, launch=0.020), "cuda": Speed(macs=5e12, launch=0.006)}
)
"""Before anything is measured: two recent CPU cores in bf16, one data-centre GPU in bf16."""


def macs(network: str, in_size: int, width: float) -> float:
    """Multiply-accumulates of a network's forward pass over one image, at a size and a factor of its channels."""
    info = catalog.networks()[network]
    return info.macs * (in_size / info.in_size) ** 2 * width**2


class Prices:
    """The seconds of steps and of cohorts on one machine.

    Args:
        speed: for what is not measured.
        measured: seconds by step.
    """

    def __init__(self, speed: Speed, measured: Mapping[Step, float] | None = None) -> None:
        self.speed = speed
        self.measured = dict(measured or {})
        self._seconds = dict(self.measured)

    def besides(self, more: Mapping[Step, float]) -> Prices:
        """The prices where more is measured; what is known already stays."""
        return Prices(self.speed, {**more, **self.measured})

    def price(self, jobs: Sequence[Job]) -> float:
        """Seconds of a cohort of these jobs in one process: each job's own, and once what they share."""
        fixed = COHORT_SECONDS + sum(MEMBER_SECONDS + _analysis(job) for job in jobs if applies(job))
        return fixed + sum(count * self.seconds(step) for step, count in demand(jobs).items())

    def seconds(self, step: Step) -> float:
        """Seconds of one step."""
        if step not in self._seconds:
            self._seconds[step] = self._guess(step)
        return self._seconds[step]

    def knows(self, step: Step) -> bool:
        """Whether a step's seconds follow from what was measured of its network and of its method."""
        if step.work in _LIKE_A_LOOK:
            return step in self.measured or step._replace(work=LOOK) in self.measured
        return step in self.measured or (step.plain in self.measured and step.anywhere in self.extras)

    def counted(self, step: Step) -> float:
        """Seconds of a training step of the network, from its operations alone."""
        if not step.network:
            return self.speed.launch
        operations = (1 + BACKWARD) * step.batch_size * macs(step.network, step.in_size, step.width)
        return self.speed.launch + operations / self.speed.macs

    def _guess(self, step: Step) -> float:
        if step.work == LOOK:
            return self.seconds(step.plain) / (1 + BACKWARD)
        if step.work in _LIKE_A_LOOK:
            return self.seconds(step._replace(work=LOOK))
        if step != step.plain:
            plain = self.seconds(step.plain)
            return max(plain + self.extras.get(step.anywhere, 0.0), plain / (1 + BACKWARD))
        with_methods = self._plain.get(step)
        return median(with_methods) if with_methods else self.counted(step) * self._ratio(step)

    @cached_property
    def extras(self) -> Mapping[Step, float]:
        """What methods add to a step, whatever the network: the median of what was measured with and without."""
        found = defaultdict(list)
        for step, seconds in self._steps():
            if step.plain in self.measured:
                found[step.anywhere].append(seconds - self.measured[step.plain])
        return {step: median(seconds) for step, seconds in found.items()}

    @cached_property
    def _plain(self) -> Mapping[Step, list[float]]:
        """Seconds of plain steps, from steps with a method less what the method adds."""
        found = defaultdict(list)
        for step, seconds in self._steps():
            found[step.plain].append(seconds - self.extras.get(step.anywhere, 0.0))
        return found

    @cached_property
    def _ratios(self) -> Mapping[tuple[Step | str, ...], list[float]]:
        """Measured over counted seconds of plain steps: on such batches by family, on such batches, and of all."""
        found = defaultdict(list)
        for step, seconds in self._plain.items():
            for key in _kin(step) if step.network else ():
                found[key].append(median(seconds) / self.counted(step))
        return found

    def _ratio(self, step: Step) -> float:
        ratios = next((self._ratios[key] for key in _kin(step) if key in self._ratios), [1.0])
        return median(ratios)

    def _steps(self) -> Iterator[tuple[Step, float]]:
        """What was measured of training steps."""
        return ((step, s) for step, s in self.measured.items() if step.work not in (LOOK, *_LIKE_A_LOOK))


def _kin(step: Step) -> list[tuple[Step | str, ...]]:
    """Groups of steps that a step is like, the closest first."""
    family = catalog.networks()[step.network].family if step.network else ""
    return [(step.anywhere, family), (step.anywhere,), ()]


def recorded(records: Iterable[tuple[Job, Record]], speed: Speed) -> dict[Step, float]:
    """What finished jobs took a step, the median of those of one sort; those of other machines say nothing of this one.

    Only a CPU's records tell: on a GPU a step's end is not waited for.
    """
    found = defaultdict(list)
    for job, record in records:
        seconds = record.cost.step_seconds if record.cost else None
        here = speed.machine and speed.machine.items() <= record.provenance.machine.items()
        if seconds and here and job.kind in _TRAINED:
            found[step_of(job)].append(seconds / steps(job))
    return {step: median(seconds) for step, seconds in found.items()}


def demand(jobs: Sequence[Job]) -> dict[Step, float]:
    """How many steps of each sort a cohort of these jobs takes."""
    own, shared = defaultdict[Step, float](float), dict[Step, float]()
    for job in filter(applies, jobs):
        for step, count in _OWN[job.kind](job):
            own[step] += count
        for step in taught_by(job):
            shared[step] = max(shared.get(step, 0.0), steps(job))
    for step, count in shared.items():  # an own one, too, where teacher and student are the same network
        own[step] += count
    return dict(own)


def step_of(job: Job) -> Step:
    """The step that a job trains by."""
    step = _step(job, job, _TRAINED[job.kind](job))
    if isinstance(job, Stage) and not job.student:  # the teacher's forward pass is shared
        return step._replace(network="", in_size=0, width=0.0)
    return step


def taught_by(job: Job) -> set[Step]:
    """The teacher's forward passes that a job needs of every batch."""
    teacher = job.teacher_job
    if teacher is None or job.kind not in _TERMS:
        return set()
    terms = _TERMS[job.kind](job)
    modes = {"teacher_in_train_mode" in catalog.method(term.name).requires for term in terms}
    return {_step(job, teacher, LOOK_IN_TRAIN_MODE if mode else LOOK) for mode in modes}


def steps(job: Job) -> int:
    """Optimiser steps of a job that trains."""
    return job.recipe.epochs * -(-_samples(job) // job.recipe.batch_size)


def _step(job: Job, network: Job, work: str) -> Step:
    scale, recipe = network.recipe, job.recipe
    return Step(network.network, scale.in_size, scale.width, recipe.batch_size, recipe.precision, work)


_Counts = Iterator[tuple[Step, float]]
_TRAINED: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {"train": lambda job: job.folder, "stage": lambda job: job.folder, "probe": lambda _: PROBE}
)
_TERMS: Mapping[str, Callable[[Any], Sequence[Term]]] = MappingProxyType(
    {"train": lambda job: job.objective.terms, "stage": lambda job: [job.term]}
)


def _trained(job: Job) -> _Counts:
    yield step_of(job), steps(job)


def _trained_and_tested(job: Job) -> _Counts:
    yield from _trained(job)
    yield _step(job, job, LOOK), -(-job.recipe.epochs // job.recipe.evaluate_every) * _test_passes(job)


def _looked_at(job: Job) -> _Counts:
    yield _step(job, job, LOOK), _test_passes(job)


_OWN: Mapping[str, Callable[[Job], _Counts]] = MappingProxyType(
    {
        "train": _trained_and_tested,
        "stage": _trained,
        "probe": _trained_and_tested,
        "evaluate": _looked_at,
        "analyse": _looked_at,
    }
)


def _analysis(job: Job) -> float:
    return _ANALYSIS_SECONDS * describe(job.recipe.dataset).num_test / 1000 if job.kind == "analyse" else 0.0


def applies(job: Job) -> bool:
    """Whether there is anything to do."""
    return not isinstance(job, Run) or job.applies


def _test_passes(job: Job) -> float:
    """One test in batches of the training's size, of images held out where there are such."""
    return (job.recipe.holdout or describe(job.recipe.dataset).num_test) / job.recipe.batch_size


def _samples(job: Job) -> int:
    recipe = job.recipe
    return min(recipe.train_limit or 10**12, describe(recipe.dataset).num_train - recipe.holdout)


def spoken(seconds: float) -> str:
    """A duration for people: ``40 s``, ``12 min``, ``3.5 h``, ``9 days``."""
    for limit, unit, name in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{1 if name == 'h' else 0}f} {name}"
    return f"{seconds / 86400:.0f} days"
