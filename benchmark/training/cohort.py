"""The training loop of a cohort: jobs that share one stream of batches and one teacher.

Each batch goes through the members one after another. Images and teacher features are computed once and shared;
parameters, optimiser and random numbers belong to one member, so a run ends with the same weights alone and in a
cohort. A member that fails leaves the cohort and does not affect the others.
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

from benchmark.data.batch_stream import send
from benchmark.runs.job import Job
from benchmark.runs.store import DONE
from benchmark.training import job_kinds
from benchmark.training.capture import CAPTURE_DEVICES
from benchmark.training.checkpoints import StaleCheckpointError
from benchmark.training.context import TrainContext
from benchmark.training.cuda_streams import streams_for
from benchmark.training.evaluation import MetricAccumulator
from benchmark.training.failures import concerns_all
from benchmark.training.isolation import SharedStateError
from benchmark.training.pairs import make_pair
from benchmark.training.precision import set_matmul_precision
from benchmark.training.randomness import global_generators_restored, seed_globally
from benchmark.training.shared_state import SharedState
from benchmark.training.steps import EagerStep, GraphStep, Step
from benchmark.training.teacher import Teacher
from benchmark.training.trainable import Trainable
from benchmark.training.trained_network import trained_network
from benchmark.training.weights import load_weights, read_weights
from methods import Batch, Pair
from models import Features

_TEST_STREAMS = 4
"""Members that are tested in parallel on a GPU: test batches are large, and more of them may not fit."""
_SHOWN_METRICS = {"top1": "top-1", "loss": "loss"}


def train(jobs: Sequence[Job], context: TrainContext) -> None:
    """Train jobs that share stream, seed and teacher, and write their records.

    Raises:
        StoppedError: the user asked to stop.
        UserError: data or weights are missing.
    """
    with global_generators_restored():
        CohortTraining(jobs, context).run()
    gc.collect()  # frees reference cycles before the next cohort allocates memory


class CohortTraining:
    """Trains jobs that share stream, seed and teacher, from their checkpoints to their records.

    Attributes:
        members: the jobs that are still training.
        stream: the training batches.
        shared_state: teacher and training labels.
    """

    def __init__(self, jobs: Sequence[Job], context: TrainContext) -> None:
        self._context = context
        self._recipe = jobs[0].recipe
        self._size = len(jobs)
        self._device = context.source.device
        set_matmul_precision(self._recipe.precision)
        self.stream = context.source.stream(self._recipe, jobs[0].seed)
        self._streams = streams_for(self._device)
        self._recorded: set[Job] = set()
        self._teacher_job = jobs[0].teacher_job
        self.shared_state = self._load_shared_state()
        self._step = self._make_step()
        self.members: list[Trainable] = []
        for job in jobs:
            with self._guarded(job):
                self.members.append(self._resumed_member(job))
        self._begun = self._saved = time.monotonic()

    def run(self) -> None:
        """Train until every member has its record."""
        self._notify("resumed", [member for member in self.members if member.epoch])
        resumed = [member for member in self.members if member.finished]
        self._test(resumed)
        for member in self._still_training(resumed):
            self._finish(member)
        while self.members:
            # Members that resumed from an earlier epoch catch up first.
            epoch = min(member.epoch for member in self.members)
            self._train_epoch(epoch + 1, [member for member in self.members if member.epoch == epoch])
            self._save()

    def _train_epoch(self, epoch: int, active: list[Trainable]) -> None:
        start = time.monotonic()
        for _ in self.steps(epoch, active):
            self._context.check_stopped()
        active = self._still_training(active)
        for member in active:
            with self._guarded(member.job):
                member.end_epoch(self.stream.num_samples)
        active = self._still_training(active)
        self._test(active)
        active = self._still_training(active)
        self._report(active, time.monotonic() - start)
        for member in active:
            if member.finished:
                self._finish(member)

    def steps(self, epoch: int, active: Sequence[Trainable]) -> Iterator[None]:
        """Train one epoch of the active members; yields before every batch, where the caller can stop.

        Args:
            epoch: counted from 1.
            active: members whose next epoch this is.
        """
        for member in active:
            member.begin_epoch()
        progress = send(torch.arange(len(self.stream), dtype=torch.float64) / len(self.stream), self._device)
        strong = any(member.views > 1 for member in active)
        samples = zip(self.stream.epoch(epoch, strong=strong), progress, strict=True)
        for position, (sample, done) in enumerate(samples):
            yield
            active = self._still_training(active)
            if active:
                self._step(Batch(**sample._asdict(), progress=done, generator=None), position, active)

    def _test(self, members: list[Trainable]) -> None:
        """Save the weights of finished members, then test members that are due in one pass over the test images."""
        for member in members:
            if member.finished:
                with self._guarded(member.job):
                    member.save_weights(self._context.store)
        members = [member for member in self._still_training(members) if member.needs_test]
        accumulators = {member.job: member.accumulator() for member in members}
        batches = self._context.source.test_batches(self._recipe) if members else ()
        for position, (images, targets) in enumerate(batches):
            self._test_batch(images, targets, position, {member: accumulators[member.job] for member in members})
            members = self._still_training(members)
        for member in members:
            with self._guarded(member.job):
                member.record_test(accumulators[member.job].metrics())

    def _test_batch(
        self, images: Tensor, targets: Tensor, position: int, accumulators: Mapping[Trainable, MetricAccumulator]
    ) -> None:
        """Test members on a batch, several in parallel on a GPU; each gets a copy of the images."""
        with self._streams.fork_join(min(len(accumulators), _TEST_STREAMS)):
            for index, (member, accumulator) in enumerate(accumulators.items()):
                seed_globally("test", member.job.seed, member.epoch, position)
                with self._streams.stream(index), self._guarded(member.job):
                    accumulator.add(images.clone(), targets)

    def _still_training(self, active: Sequence[Trainable]) -> list[Trainable]:
        return [member for member in active if member in self.members]

    def _resumed_member(self, job: Job) -> Trainable:
        member = self._new_member(job)
        path = self._context.store.checkpoint_path(job)
        try:
            resumed = member.resume(path)
        except StaleCheckpointError as error:
            reason = str(error)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            if concerns_all(error):  # out of memory: keep the checkpoint for a smaller cohort
                raise
            reason = f"it does not fit ({type(error).__name__})"
        else:
            if resumed:
                self._context.store.log(job, f"resumed after epoch {member.epoch} of {job.recipe.epochs} from {path}")
            return member
        warnings.warn(f"checkpoint {path} is not used, {reason}: the run starts again", stacklevel=2)
        return self._new_member(job)

    def _new_member(self, job: Job) -> Trainable:
        member = job_kinds.trainable(job, self._device, self._context.weights)
        try:
            member.setup(self._pair(member))
        finally:
            changed = self.shared_state.restore(compare_contents=True)
        if changed is not None:
            raise SharedStateError(f"it changes {changed}, which other runs share")
        member.machines = [self._context.conditions]
        member.same_machine_only = job.id in self._context.replaced
        if self._teacher_job is not None and self._teacher_weights is not None:
            member.rests_on[self._teacher_job.id] = self._teacher_weights
        return member

    def _pair(self, member: Trainable) -> Pair | None:
        teacher = self.shared_state.teacher.network if self.shared_state.teacher else None
        return make_pair(
            member.network, teacher, self.shared_state.labels, self._recipe.batch_size, self._training_features
        )

    def _training_features(self) -> Iterator[tuple[Features, Tensor]]:
        """The teacher's features of all training images in the order of the data set, with their labels."""
        teacher = self.shared_state.teacher
        if teacher is None:
            raise ValueError("a run without a teacher has no features of one")
        for images, labels in self._context.source.training_images(self._recipe):
            yield teacher.run(images), labels

    def _load_shared_state(self) -> SharedState:
        """Load the teacher, whose weights are kept among the results, and the training labels."""
        job, context = self._teacher_job, self._context
        self._teacher_weights: str | None = None
        if job is None:
            return SharedState(None, self.stream.labels, dict)
        path = context.weights(job)
        if job.keeps_weights and path != context.store.teacher_path(job):
            path = context.store.keep_teacher(job, path)
        network = trained_network(job, self._device)
        self._teacher_weights = load_weights(network, path, job)
        teacher = Teacher(network, self._recipe.precision, self._streams)
        return SharedState(teacher, self.stream.labels, lambda: read_weights(path, job)[0])

    def _make_step(self) -> Step:
        eager = EagerStep(self.shared_state, self._streams, self._guarded)
        if self._device.type not in CAPTURE_DEVICES:
            return eager
        device = CAPTURE_DEVICES[self._device.type](self._device)
        return GraphStep(eager, device, self._context.say, capture=self._context.cuda_graphs)

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
            message = ", ".join(f"{word} {last[name]:.2f}" for name, word in _SHOWN_METRICS.items() if name in last)
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
            "passes": member.passes,
            "views": member.views,
        }

    def _write_record(self, job: Job, status: str, message: str, **parts: Any) -> None:
        if job in self._recorded:  # cleaning up after a failure may fail a second time
            return
        self.members = [member for member in self.members if member.job is not job]
        self._context.write_record(job, status, message, self._teacher_weights, **parts)
        self._recorded.add(job)  # after writing: if the record cannot be written, that failure is recorded

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
