"""Estimated seconds of jobs on this machine: from its records, else from counted operations.

The seconds of a step (forward pass, backward pass, update of one batch) come from records of the same network and
method; else from the network's records times the method's relative cost on other networks; else from networks with a
similar number of operations. Without any record, operations are divided by a rate, and the estimate is rough.
"""

from __future__ import annotations

import math
import timeit
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

from benchmark import devices
from benchmark.data import describe
from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.job import Job, Run, Stage
from benchmark.runs.names import STUDENT
from benchmark.runs.objective import Term
from benchmark.runs.record import ANALYSE, DONE, PROBE, STAGE, TRAIN, Cost, Record
from benchmark.runs.record_file import UnfitError, read

BACKWARD = 2.0
"""Operations of a backward pass, relative to a forward pass."""
COHORT_SECONDS, MEMBER_SECONDS, LAUNCH_SECONDS = 0.3, 0.15, 0.01
"""Fixed seconds of a cohort, of each member and of each step: building networks, saving weights, launching kernels."""
GPU_RATE = 5e12
"""Multiply-accumulates per second of a data-centre GPU on these small networks: an assumption, not a measurement."""
MOST_RECORDS = 2000
"""Number of records that are read at most, which takes about 0.1 s."""

_BF16, _EMULATED_BF16 = 2.5, 0.3  # speed relative to float32 on a CPU
_ANALYSIS_SECONDS = 2.0  # per thousand images, of clusters and t-SNE, the slowest measures
_NEIGHBOURS, _REACH = 5, math.log(30)  # nearest known steps, within a factor of 30 in operations


class StepCost(NamedTuple):
    """What the seconds of a step depend on, besides machine and method."""

    network: str
    in_size: int
    width: float
    batch_size: int
    precision: str

    @property
    def operations(self) -> float:
        """Multiply-accumulates of a forward and a backward pass."""
        return (1 + BACKWARD) * self.batch_size * macs(self.network, self.in_size, self.width)

    def distance(self, other: StepCost) -> float:
        """Distance to another step in log operations; infinite between precisions."""
        same = self.precision == other.precision
        return abs(math.log(self.operations / other.operations)) if same else math.inf


Known = Mapping[StepCost, Mapping[str, Sequence[float]]]
"""Recorded seconds of a step by method, one value per record, without the teacher's forward pass."""


def macs(network: str, in_size: int, width: float) -> float:
    """Multiply-accumulates of a forward pass over one image of ``in_size`` pixels at a width factor."""
    info = catalog.networks()[network]
    return info.macs * (in_size / info.in_size) ** 2 * width**2


def measured_rate(threads: int, precision: str) -> float:
    """Multiply-accumulates per second of a CPU process: the best of 20 matrix products, about 0.1 s."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    matrix = np.ones((512, 512), dtype=np.float32)
    with threadpool_limits(threads):
        seconds = timeit.repeat(lambda: matrix @ matrix, number=1, repeat=20)
    bf16 = _EMULATED_BF16 if devices.emulates_bf16("cpu") else _BF16
    return len(matrix) ** 3 / min(seconds) * (bf16 if precision == "bf16" else 1.0)


def load_estimates(results: Path, device: str, threads: int) -> Estimates:
    """Estimates for one process from the records of all profiles, which are read when first needed."""
    machine = {"processor": devices.processor(), "device": devices.name(device), "threads": threads}
    rate = partial(measured_rate, threads) if device == "cpu" else (lambda _: GPU_RATE)
    return Estimates(rate, lambda: recorded_seconds(_records(results), machine))


class Estimates:
    """Estimated seconds of cohorts, each in one process.

    Args:
        rate: gives multiply-accumulates per second in a precision; called once, and only without records.
        known: gives the recorded seconds; called once.
    """

    def __init__(self, rate: Callable[[str], float], known: Callable[[], Known] = dict) -> None:
        self._rate = cache(rate)
        self._known = cache(known)
        self._of_job = cache(self._job_seconds)
        self._of_step = cache(self._step_seconds)
        self._used: set[tuple[StepCost, str]] = set()
        self.rough = False

    def estimated_seconds(self, jobs: Sequence[Job]) -> float:
        """Seconds of a cohort of these jobs: each job's own, and once the teacher's forward passes that they share."""
        own, shared = COHORT_SECONDS, dict[tuple[StepCost, bool, int], float]()
        for more, passes in map(self._of_job, jobs):
            own += more
            shared |= {key: max(seconds, shared.get(key, 0.0)) for key, seconds in passes.items()}
        return own + sum(shared.values())

    @property
    def basis(self) -> str:
        """What the estimates so far rest on, as a message."""
        if self.rough:
            return "rough: from counted operations"
        count = sum(len(self._known()[step][method]) for step, method in self._used)
        return f"from {count} record{'s' * (count != 1)} of this machine"

    def seconds(self, step: StepCost, method: str = STUDENT) -> float:
        """Seconds of a training step without the teacher's forward pass; methods of a sum are sorted and joined."""
        return self._of_step(step, method)

    def _step_seconds(self, step: StepCost, method: str) -> float:
        known = self._known()
        if method in known.get(step, ()):
            return self._recorded(step, method)
        if method != STUDENT:
            return self.seconds(step) * self._factor(method, step.precision)
        if step in known:
            plain = (self._recorded(step, other) / self._factor(other, step.precision) for other in known[step])
            return median_low(plain)
        if near := sorted((other for other in known if step.distance(other) < _REACH), key=step.distance)[:_NEIGHBOURS]:
            return step.operations * median_low(self.seconds(other) / other.operations for other in near)
        self.rough = True
        return LAUNCH_SECONDS + step.operations / self._rate(step.precision)

    def _recorded(self, step: StepCost, method: str) -> float:
        """The lower median of records, since other work only slows a machine down."""
        self._used.add((step, method))
        return median_low(self._known()[step][method])

    def _factor(self, method: str, precision: str) -> float:
        """Relative cost of a method: its step seconds over the plain student's, where records have both; else 1."""
        alike = (known for step, known in self._known().items() if step.precision == precision)
        both = [known for known in alike if {method, STUDENT} <= known.keys()]
        return median_low(median_low(known[method]) / median_low(known[STUDENT]) for known in both) if both else 1.0

    def _job_seconds(self, job: Job) -> tuple[float, Mapping[tuple[StepCost, bool, int], float]]:
        """Seconds of a job's own work, and of the teacher's forward passes that it needs, by step, mode and view."""
        if isinstance(job, Run) and not job.applies:
            return 0.0, {}
        step, (batches, tests) = step_cost(job, job), batch_counts(job)
        forward = self.seconds(step) / (1 + BACKWARD)
        terms, training = tuple[Term, ...](), forward  # without a student that learns there is next to no backward pass
        if isinstance(job, Run):
            terms = job.objective.terms
            training = self.seconds(step, "+".join(sorted(term.name for term in terms)) or STUDENT)
        elif isinstance(job, Stage):
            terms, training = (job.term,), self.seconds(step) if job.student else forward
        own = MEMBER_SECONDS + batches * training + tests * forward
        if job.kind == ANALYSE:
            own += _ANALYSIS_SECONDS * describe(job.recipe.dataset).num_test / 1000
        if job.teacher_job is None:
            return own, {}
        methods = [catalog.method(term.name) for term in terms]
        passes = {("teacher_in_train_mode" in info.requires, view) for info in methods for view in range(info.views)}
        taught = step_cost(job, job.teacher_job)
        return own, {(taught, *each): batches * self.seconds(taught) / (1 + BACKWARD) for each in passes}


def step_cost(job: Job, network: Job) -> StepCost:
    """A batch of a job through the network of another job, at the scale of that job's recipe."""
    scale, recipe = network.recipe, job.recipe
    return StepCost(network.network, scale.in_size, scale.width, recipe.batch_size, recipe.precision)


def batch_counts(job: Job) -> tuple[float, float]:
    """Number of batches that a job trains on and tests on, the last one as a fraction."""
    recipe, data = job.recipe, describe(job.recipe.dataset)
    epochs = recipe.epochs if job.kind in (TRAIN, STAGE, PROBE) else 0
    tests = -(-epochs // recipe.evaluate_every) or 1
    train = min(recipe.train_limit or math.inf, data.num_train - recipe.holdout)
    test = 0 if job.kind == STAGE else recipe.holdout or data.num_test
    return epochs * train / recipe.batch_size, tests * test / recipe.batch_size


def recorded_seconds(records: Iterable[Record], machine: Mapping[str, Any]) -> Known:
    """Seconds of steps from the records that a machine made; records of unknown networks are skipped."""
    found: dict[StepCost, dict[str, list[float]]] = {}
    for record in records:
        if (record.kind, record.status, record.provenance.machine) != (TRAIN, DONE, machine) or record.cost is None:
            continue
        with suppress(LookupError, ZeroDivisionError):
            step, seconds = _measured(record.spec, record.cost)
            method = "+".join(sorted(record.spec["objective"]["terms"])) or STUDENT
            if seconds > 0:
                found.setdefault(step, {}).setdefault(method, []).append(seconds)
    return found


def _measured(spec: Mapping[str, Any], cost: Cost) -> tuple[StepCost, float]:
    """Seconds of a run's step: its own where measured, else (on a GPU) its share of the cohort's time."""
    step = StepCost(spec["network"], *(spec["recipe"][key] for key in StepCost._fields[1:]))
    own, steps = step.operations, (cost.images or 0) / step.batch_size
    if cost.step_seconds is not None:
        return step, cost.step_seconds / steps
    members, teacher = cost.cohort_members, spec["teacher"]
    # At the student's scale, because a record does not state its teacher's.
    forward = step._replace(network=teacher["network"]).operations / (1 + BACKWARD) if teacher else 0.0
    return step, cost.cohort_seconds / members / steps * own / (own + forward / members)


def _records(results: Path) -> Iterator[Record]:
    """Records of all profiles, thinned out evenly beyond `MOST_RECORDS`; unreadable files are skipped."""
    paths = sorted(results.glob("*/records/*/*/*/seed*.json"))
    for path in paths[:: -(-len(paths) // MOST_RECORDS) or 1]:
        with suppress(UnfitError, UserError):
            if (record := read(path)) is not None:
                yield record
