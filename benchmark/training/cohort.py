"""The loop: one stream of batches, one teacher, and every student its own forward pass, loss and step.

A batch reaches the members one after another. What they share (images, the teacher's features) is computed once; what
could couple them (parameters, optimiser, random numbers) is each member's own, so a run ends with the same weights
alone and in company. A member that fails leaves; the others do not notice.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from benchmark.data.stream import send
from benchmark.jobs import Job
from benchmark.store import DONE
from benchmark.training import trainees
from benchmark.training.lanes import lanes
from benchmark.training.member import Member
from benchmark.training.parts import DATA, each
from benchmark.training.precision import set_matmul_precision
from benchmark.training.setting import Setting
from benchmark.training.steps import CudaGraphs, EagerStep, RecordedStep, Step
from benchmark.training.views import Teacher
from benchmark.training.weights import load_weights, new_network
from methods import Batch, Pair

_SPOKEN = {"top1": "top-1", "loss": "loss"}


def train(jobs: Sequence[Job], setting: Setting) -> None:
    """Train jobs that share stream, seed and teacher; each leaves a record.

    Raises:
        StoppedError: ``setting.stopped`` said so.
        UserError: data or weights are missing.
    """
    CohortTraining(jobs, setting).run()
    gc.collect()  # its parts know each other, and would stay beside the next cohort's


class CohortTraining:
    """Jobs that share stream, seed and teacher, from their checkpoints to their records.

    Attributes:
        members: who is still being trained.
        stream: their batches.
    """

    def __init__(self, jobs: Sequence[Job], setting: Setting) -> None:
        self._setting = setting
        self._recipe = jobs[0].recipe
        self._size = len(jobs)
        self._device = setting.source.device
        set_matmul_precision(self._recipe.precision)
        self.stream = setting.source.stream(self._recipe, jobs[0].seed)
        self._lanes = lanes(self._device)
        self._teacher, self._teacher_weights = self._load_teacher(jobs[0].teacher_job)
        self._step = self._make_step()
        self.members: list[Member] = []
        for job in jobs:
            with self._guarded(job):
                self.members.append(self._member(job))
        self._begun = self._saved = time.monotonic()

    def run(self) -> None:
        """Train until every member has left its record."""
        resumed = [member for member in self.members if member.finished]
        self._test(resumed)
        for member in self._still_here(resumed):
            self._finish(member)
        while self.members:
            # Who resumed from an earlier epoch catches up before the others join again.
            epoch = min(member.epoch for member in self.members)
            self._train_epoch(epoch + 1, [member for member in self.members if member.epoch == epoch])
            self._save()

    def _train_epoch(self, epoch: int, active: list[Member]) -> None:
        start = time.monotonic()
        for _ in self.steps(epoch, active):
            self._setting.check_stopped()
        active = self._still_here(active)
        for member in active:
            with self._guarded(member.job):
                member.end_epoch(self.stream.num_samples)
        active = self._still_here(active)
        self._test(active)
        active = self._still_here(active)
        self._report(epoch, active, time.monotonic() - start)
        for member in active:
            if member.finished:
                self._finish(member)

    def steps(self, epoch: int, active: Sequence[Member]) -> Iterator[None]:
        """Begin an epoch and train it, one batch a turn, each through all of the active members.

        A turn comes before its batch is trained, so that whoever takes them can stop there.

        Args:
            epoch: counted from 1.
            active: members that stand before that epoch.
        """
        for member in active:
            member.begin_epoch()
        shares = send(torch.arange(len(self.stream), dtype=torch.float64) / len(self.stream), self._device)
        for sample, share in zip(each(DATA, self.stream.epoch(epoch)), shares, strict=True):
            yield
            active = self._still_here(active)
            if active:
                self._step(Batch(*sample, progress=share, generator=None), active)

    def _test(self, members: list[Member]) -> None:
        """Keep what finished, and test whom it is time for, all in one pass over the test images."""
        for member in members:
            if member.finished:
                with self._guarded(member.job):
                    member.keep(self._setting.store)
        members = [member for member in self._still_here(members) if member.tested]
        tallies = {member.job: member.tally() for member in members}
        for images, targets in self._setting.source.test_batches(self._recipe) if members else ():
            for member in members:
                with self._guarded(member.job):
                    tallies[member.job].add(images, targets)
            members = self._still_here(members)
        for member in members:
            with self._guarded(member.job):
                member.note_test(tallies[member.job].metrics())

    def _still_here(self, active: Sequence[Member]) -> list[Member]:
        return [member for member in active if member in self.members]

    def _member(self, job: Job) -> Member:
        made = self._new_member(job)
        path = self._setting.store.checkpoint_path(job)
        try:
            resumed = made.resume(path)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            warnings.warn(f"checkpoint {path} does not fit ({type(error).__name__}): the run starts anew", stacklevel=2)
            return self._new_member(job)
        if resumed:
            self._setting.store.log(job, f"resumed after epoch {made.epoch} from {path}")
        return made

    def _new_member(self, job: Job) -> Member:
        made = trainees.member(job, self._device, self._setting.weights)
        made.equip(self._pair(made))
        return made

    def _pair(self, made: Member) -> Pair | None:
        if self._teacher is None:
            return None
        teacher = self._teacher.network
        return Pair(
            student=made.network.shapes() if made.network else teacher.shapes(),
            teacher=teacher.shapes(),
            teacher_network=teacher,
            num_samples=self.stream.num_samples,
            num_classes=teacher.num_classes,
            labels=self.stream.labels,
        )

    def _load_teacher(self, job: Job | None) -> tuple[Teacher | None, str | None]:
        if job is None:
            return None, None
        path = self._setting.weights(job)
        if job.keeps_weights and path != self._setting.store.teacher_path(job):
            path = self._setting.store.keep_teacher(job, path)
        network = new_network(job, self._device)
        sha = load_weights(network, path, job)
        return Teacher(network, self._recipe.precision, self._lanes), sha

    def _make_step(self) -> Step:
        eager = EagerStep(self._teacher, self._lanes, self._guarded)
        if self._device.type == "cuda" and self._setting.recorded:
            return RecordedStep(eager, CudaGraphs(), self._setting.say)
        return eager

    def _guarded(self, job: Job) -> AbstractContextManager[None]:
        return self._setting.guarded(job, self._fail)

    def _fail(self, job: Job, status: str, reason: str) -> None:
        self._leave(job, status, reason, failure={"reason": reason})

    def _finish(self, member: Member) -> None:
        setting, job = self._setting, member.job
        with self._guarded(job):
            metrics = member.result()
            if setting.store.teacher_path(job).is_file():
                setting.store.keep_teacher(job)
            last = metrics["last"]
            message = ", ".join(f"{word} {last[name]:.2f}" for name, word in _SPOKEN.items() if name in last)
            self._leave(job, DONE, message, metrics=metrics, curves=member.curves.state, cost=self._cost(member))

    def _cost(self, member: Member) -> dict[str, Any]:
        measured = self._device.type == "cpu"
        return {
            "cohort_seconds": round(time.monotonic() - self._begun, 3),
            "cohort_estimated_seconds": round(self._setting.estimated_seconds, 3),
            "cohort_members": self._size,
            "step_seconds": round(member.seconds, 3) if measured else None,
            "images": member.epoch * self.stream.num_samples,
            "extra_parameters": member.extra_parameters,
        }

    def _leave(self, job: Job, status: str, message: str, **parts: Any) -> None:
        self._setting.leave(job, status, message, self._teacher_weights, **parts)
        self.members = [member for member in self.members if member.job is not job]

    def _save(self) -> None:
        if time.monotonic() - self._saved < self._setting.checkpoint_seconds:
            return
        for member in self.members:
            member.save(self._setting.store.checkpoint_path(member.job))
        self._saved = time.monotonic()

    def _report(self, epoch: int, active: list[Member], seconds: float) -> None:
        if not active:
            return
        rate = len(active) * self.stream.num_samples / max(seconds, 1e-9)
        for member in active:
            best = member.curves.best_top1
            text = "" if best is None else f", best top-1 {best:.2f}"
            text = f"epoch {epoch}/{member.job.recipe.epochs}{text}, {rate:.0f} images/s in the cohort"
            self._setting.store.log(member.job, text)
        tops = [best for member in active if (best := member.curves.best_top1) is not None]
        epochs = max(member.job.recipe.epochs for member in active)
        event = {"event": "epoch", "epoch": epoch, "epochs": epochs, "images_per_second": rate}
        self._setting.notify({**event, "best": max(tops, default=None), "members": len(self.members)})
