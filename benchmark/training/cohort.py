"""The loop: one stream of batches, one teacher, and every student its own forward pass, loss and step.

A batch reaches the members one after another. What they share (images, the teacher's features) is computed once; what
could couple them (parameters, optimiser, random numbers) is each member's own, so a run ends with the same weights
alone and in company. A member that fails leaves; the others do not notice.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from benchmark.data.stream import send
from benchmark.runs.job import Job
from benchmark.runs.store import DONE
from benchmark.training import job_kinds
from benchmark.training.capture import CAPTURING
from benchmark.training.checkpoints import StaleCheckpointError
from benchmark.training.context import TrainContext
from benchmark.training.evaluation import MetricAccumulator
from benchmark.training.failures import concerns_all
from benchmark.training.isolation import SharedStateError
from benchmark.training.parts import DATA, each
from benchmark.training.precision import set_matmul_precision
from benchmark.training.randomness import global_state_kept, seed_globally
from benchmark.training.shared import Shared
from benchmark.training.steps import DeviceStep, EagerStep, Step
from benchmark.training.streams import streams_of
from benchmark.training.teacher import Teacher
from benchmark.training.trainable import Trainable
from benchmark.training.weights import load_weights, new_network, read_weights
from methods import Batch, Pair

_TEST_STREAMS = 4
"""A test batch is large: so many keep a GPU busy, and more of them may not fit."""
_SPOKEN = {"top1": "top-1", "loss": "loss"}


def train(jobs: Sequence[Job], context: TrainContext) -> None:
    """Train jobs that share stream, seed and teacher; each leaves a record.

    Raises:
        StoppedError: ``setting.stopped`` said so.
        UserError: data or weights are missing.
    """
    with global_state_kept():
        CohortTraining(jobs, context).run()
    gc.collect()  # its parts know each other, and would stay beside the next cohort's


class CohortTraining:
    """Jobs that share stream, seed and teacher, from their checkpoints to their records.

    Attributes:
        members: who is still being trained.
        stream: their batches.
        shared: what they have in common besides.
    """

    def __init__(self, jobs: Sequence[Job], context: TrainContext) -> None:
        self._context = context
        self._recipe = jobs[0].recipe
        self._size = len(jobs)
        self._device = context.source.device
        set_matmul_precision(self._recipe.precision)
        self.stream = context.source.stream(self._recipe, jobs[0].seed)
        self._streams = streams_of(self._device)
        self._left: set[Job] = set()
        self._teacher_job = jobs[0].teacher_job
        self.shared = self._share()
        self._step = self._make_step()
        self.members: list[Trainable] = []
        for job in jobs:
            with self._guarded(job):
                self.members.append(self._member(job))
        self._begun = self._saved = time.monotonic()

    def run(self) -> None:
        """Train until every member has left its record."""
        self._notify("resumed", [member for member in self.members if member.epoch])
        resumed = [member for member in self.members if member.finished]
        self._test(resumed)
        for member in self._still_here(resumed):
            self._finish(member)
        while self.members:
            # Who resumed from an earlier epoch catches up before the others join again.
            epoch = min(member.epoch for member in self.members)
            self._train_epoch(epoch + 1, [member for member in self.members if member.epoch == epoch])
            self._save()

    def _train_epoch(self, epoch: int, active: list[Trainable]) -> None:
        start = time.monotonic()
        for _ in self.steps(epoch, active):
            self._context.check_stopped()
        active = self._still_here(active)
        for member in active:
            with self._guarded(member.job):
                member.end_epoch(self.stream.num_samples)
        active = self._still_here(active)
        self._test(active)
        active = self._still_here(active)
        self._report(active, time.monotonic() - start)
        for member in active:
            if member.finished:
                self._finish(member)

    def steps(self, epoch: int, active: Sequence[Trainable]) -> Iterator[None]:
        """Begin an epoch and train it, one batch a turn, each through all of the active members.

        A turn comes before its batch is trained, so that whoever takes them can stop there.

        Args:
            epoch: counted from 1.
            active: members that stand before that epoch.
        """
        for member in active:
            member.begin_epoch()
        shares = send(torch.arange(len(self.stream), dtype=torch.float64) / len(self.stream), self._device)
        samples = zip(each(DATA, self.stream.epoch(epoch)), shares, strict=True)
        for position, (sample, share) in enumerate(samples):
            yield
            active = self._still_here(active)
            if active:
                self._step(Batch(*sample, progress=share, generator=None), position, active)

    def _test(self, members: list[Trainable]) -> None:
        """Keep what finished, and test whom it is time for, all in one pass over the test images."""
        for member in members:
            if member.finished:
                with self._guarded(member.job):
                    member.save_weights(self._context.store)
        members = [member for member in self._still_here(members) if member.tested]
        accumulators = {member.job: member.accumulator() for member in members}
        batches = self._context.source.test_batches(self._recipe) if members else ()
        for position, (images, targets) in enumerate(batches):
            self._test_batch(images, targets, position, {member: accumulators[member.job] for member in members})
            members = self._still_here(members)
        for member in members:
            with self._guarded(member.job):
                member.note_test(accumulators[member.job].metrics())

    def _test_batch(
        self, images: Tensor, targets: Tensor, position: int, accumulators: Mapping[Trainable, MetricAccumulator]
    ) -> None:
        """Let members see a batch of test images, some side by side on a GPU, each a copy of it."""
        with self._streams.fork_join(min(len(accumulators), _TEST_STREAMS)):
            for index, (member, accumulator) in enumerate(accumulators.items()):
                seed_globally("test", member.job.seed, member.epoch, position)
                with self._streams.stream(index), self._guarded(member.job):
                    accumulator.add(images.clone(), targets)

    def _still_here(self, active: Sequence[Trainable]) -> list[Trainable]:
        return [member for member in active if member in self.members]

    def _member(self, job: Job) -> Trainable:
        made = self._new_member(job)
        path = self._context.store.checkpoint_path(job)
        try:
            resumed = made.resume(path)
        except StaleCheckpointError as error:
            fault = str(error)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            if concerns_all(error):  # a checkpoint that finds no memory is kept for a smaller cohort
                raise
            fault = f"it does not fit ({type(error).__name__})"
        else:
            if resumed:
                self._context.store.log(job, f"resumed after epoch {made.epoch} of {job.recipe.epochs} from {path}")
            return made
        warnings.warn(f"checkpoint {path} is not used, {fault}: the run starts anew", stacklevel=2)
        return self._new_member(job)

    def _new_member(self, job: Job) -> Trainable:
        made = job_kinds.trainable(job, self._device, self._context.weights)
        try:
            made.setup(self._pair(made))
        finally:
            fault = self.shared.fault(thoroughly=True)
        if fault is not None:
            raise SharedStateError(f"it changes {fault}, which other runs share")
        made.machines = [self._context.conditions]
        made.only_here = job.id in self._context.replaced
        if self._teacher_job is not None and self._teacher_weights is not None:
            made.rests_on[self._teacher_job.id] = self._teacher_weights
        return made

    def _pair(self, made: Trainable) -> Pair | None:
        if self.shared.teacher is None:
            return None
        teacher = self.shared.teacher.network
        return Pair(
            student=made.network.shapes() if made.network else teacher.shapes(),
            teacher=teacher.shapes(),
            teacher_network=teacher,
            num_samples=self.stream.num_samples,
            num_classes=teacher.num_classes,
            labels=self.shared.labels,
        )

    def _share(self) -> Shared:
        """What all members have in common; the teacher is read from its file, which is kept among the results."""
        job, context = self._teacher_job, self._context
        self._teacher_weights: str | None = None
        if job is None:
            return Shared(None, self.stream.labels, dict)
        path = context.weights(job)
        if job.keeps_weights and path != context.store.teacher_path(job):
            path = context.store.keep_teacher(job, path)
        network = new_network(job, self._device)
        self._teacher_weights = load_weights(network, path, job)
        teacher = Teacher(network, self._recipe.precision, self._streams)
        return Shared(teacher, self.stream.labels, lambda: read_weights(path, job)[0])

    def _make_step(self) -> Step:
        eager = EagerStep(self.shared, self._streams, self._guarded)
        if self._device.type not in CAPTURING:
            return eager
        device = CAPTURING[self._device.type](self._device)
        return DeviceStep(eager, device, self._context.say, capture=self._context.cuda_graphs)

    def _guarded(self, job: Job) -> AbstractContextManager[None]:
        return self._context.guarded(job, self._fail)

    def _fail(self, job: Job, status: str, reason: str) -> None:
        self._write_record(job, status, reason, failure={"reason": reason})

    def _finish(self, member: Trainable) -> None:
        context, job = self._context, member.job
        with self._guarded(job):
            metrics = member.result()
            if context.store.teacher_path(job).is_file():
                context.store.keep_teacher(job)
            last = metrics["last"]
            message = ", ".join(f"{word} {last[name]:.2f}" for name, word in _SPOKEN.items() if name in last)
            parts = {"curves": member.curves.state, "cost": self._cost(member), "rests_on": member.rests_on}
            self._write_record(job, DONE, message, metrics=metrics, machines=member.machines, **parts)

    def _cost(self, member: Trainable) -> dict[str, Any]:
        measured = self._device.type == "cpu"
        return {
            "cohort_seconds": round(time.monotonic() - self._begun, 3),
            "cohort_estimated_seconds": round(self._context.estimated_seconds, 3),
            "cohort_members": self._size,
            "step_seconds": round(member.seconds, 3) if measured else None,
            "images": member.epoch * self.stream.num_samples,
            "extra_parameters": member.extra_parameters,
        }

    def _write_record(self, job: Job, status: str, message: str, **parts: Any) -> None:
        if job in self._left:  # what it leaves behind may show a second fault
            return
        self.members = [member for member in self.members if member.job is not job]
        self._context.write_record(job, status, message, self._teacher_weights, **parts)
        self._left.add(job)  # only now: a record that cannot be written is a failure to be recorded

    def _save(self) -> None:
        if time.monotonic() - self._saved < self._context.checkpoint_seconds:
            return
        for member in self.members:
            member.save(self._context.store.checkpoint_path(member.job))
        self._saved = time.monotonic()

    def _report(self, active: list[Trainable], seconds: float) -> None:
        rate = len(active) * self.stream.num_samples / max(seconds, 1e-9)
        for member in active:
            loss, top1 = member.curves.latest.values()
            test = "" if top1 is None else f", top-1 {top1:.2f}"
            text = f"epoch {member.epoch}/{member.job.recipe.epochs}, loss {loss:.4g}{test}"
            self._context.store.log(member.job, f"{text}, {rate:.0f} images/s in the cohort")
        self._notify("epoch", active, images_per_second=rate)

    def _notify(self, event: str, members: list[Trainable], **facts: float) -> None:
        """Send an event with the epoch, loss and last test of each member, by job id; nothing without members."""
        if members:
            runs = {member.job.id: {"epoch": member.epoch, **member.curves.latest} for member in members}
            self._context.notify({"event": event, "runs": runs, **facts})
