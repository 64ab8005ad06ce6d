"""Execution of cohorts in parallel processes of this machine; a process that dies is replaced."""

from __future__ import annotations

import math
import multiprocessing
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import MappingProxyType
from typing import Any

from benchmark import devices
from benchmark.errors import UserError
from benchmark.execution.interrupts import Interrupts, sigint_blocked
from benchmark.execution.progress import Progress
from benchmark.execution.worker import (
    DEVICE_LOST,
    FATAL,
    NOT_CAPTURED,
    OUT_OF_MEMORY,
    CohortTask,
    WorkerConfig,
    serve,
)
from benchmark.planning.cohorts import Cohort
from benchmark.runs import provenance
from benchmark.runs.job import Job
from benchmark.runs.store import DONE, FAILED, KEPT

POLL_SECONDS = 0.5
STOP_SECONDS = 20.0
MAX_CRASHES = 2
BLOCKED = "blocked"

_REASONS: Mapping[str, str] = MappingProxyType(
    {OUT_OF_MEMORY: "it does not fit into memory, even alone", DEVICE_LOST: "its device failed"}
)
"""Why a job failed, by the last event of its process."""


@dataclass
class Outcome:
    """Final statuses of jobs.

    Attributes:
        done: ids of finished jobs, including jobs that turned out not to be applicable.
        failed: jobs that left a failure record, with the reason.
        blocked: jobs that could not start because a job that they need failed.
        out_of_time: whether the deadline passed before all jobs were done.
    """

    done: set[str] = field(default_factory=set)
    failed: dict[Job, str] = field(default_factory=dict)
    blocked: list[Job] = field(default_factory=list)
    out_of_time: bool = False


@dataclass
class _Worker:
    slot: int
    process: BaseProcess
    connection: Connection
    cohort: Cohort | None = None
    fatal_event: Mapping[str, Any] | None = None


class LocalExecutor:
    """Runs cohorts on this machine, each in a worker process.

    Args:
        config: shared by all workers.
        devices: device of each worker, as in ``["cpu", "cpu"]`` or ``["cuda:0", "cuda:1"]``.
        observer: receives the progress.
        serve: main function of a worker process, picklable.
    """

    def __init__(
        self,
        config: WorkerConfig,
        devices: Sequence[str],
        observer: Progress,
        serve: Callable[[Connection, WorkerConfig, str], None] = serve,
    ) -> None:
        self._config = config
        self._devices = tuple(devices)
        self._observer = observer
        self._serve = serve
        self._context = multiprocessing.get_context("spawn")
        self._interrupts = Interrupts()
        self._workers: dict[int, _Worker] = {}
        self._waiting: list[Cohort] = []
        self._unsettled: dict[str, Job] = {}
        self._elsewhere: dict[str, Job] = {}
        self._needed: frozenset[str] = frozenset()
        self._crashes: dict[str, int] = {}
        self._checkpoint_times: dict[str, int] = {}
        self._uncaptured: set[str] = set()
        self.outcome = Outcome()

    def run(self, cohorts: Sequence[Cohort], deadline: float = math.inf) -> Outcome:
        """Run cohorts in the given order, each as soon as the jobs that it needs are done.

        Args:
            cohorts: to be run.
            deadline: time of `time.monotonic` at which all work stops; a later call resumes from the checkpoints.

        Raises:
            UserError: data are missing or a folder cannot be written; finished jobs are kept.
            KeyboardInterrupt: the user interrupted; the workers have stopped.
        """
        self._waiting = list(cohorts)
        self._unsettled = {job.id: job for cohort in cohorts for job in cohort.runs}
        self._needed = frozenset(need.id for cohort in cohorts for need in cohort.needs)
        with self._interrupts:
            try:
                while self._unsettled:
                    if time.monotonic() >= deadline:
                        self.outcome.out_of_time = True
                        break
                    self._dispatch()
                    self._listen()
                    self._poll_elsewhere()
                self._interrupts.check()
            except KeyboardInterrupt:
                self._observer.stopping()
                raise
            finally:
                self._shut_down()
        return self.outcome

    def _dispatch(self) -> None:
        for slot in range(len(self._devices)):
            worker = self._workers.get(slot)
            if worker is not None and worker.cohort is not None:
                continue
            cohort = next((cohort for cohort in self._waiting if self._ready(cohort)), None)
            if cohort is None:
                continue
            self._waiting.remove(cohort)
            worker = worker or self._start(slot)
            worker.cohort = cohort
            self._observer.started(slot, cohort)
            captured = not any(job.id in self._uncaptured for job in cohort.runs)
            try:
                worker.connection.send(CohortTask(cohort.runs, cohort.seconds, self._needed, cuda_graphs=captured))
            except OSError:  # the process died while it was idle
                self._handle_exit(worker)

    def _ready(self, cohort: Cohort) -> bool:
        return not any(need.id in self._unsettled for need in cohort.needs)

    def _start(self, slot: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._config, self._devices[slot])
        # Not a daemon: a daemon cannot start the processes that decode ImageNet. A worker ends when its connection is
        # closed, so none outlives this process.
        process = self._context.Process(target=self._serve, args=arguments, name=f"worker-{slot}")
        with sigint_blocked():
            process.start()
        theirs.close()
        self._workers[slot] = _Worker(slot, process, ours)
        return self._workers[slot]

    def _listen(self) -> None:
        busy = {worker.connection: worker for worker in self._workers.values() if worker.cohort is not None}
        with self._interrupts.waiting():
            if not busy:
                time.sleep(POLL_SECONDS if self._elsewhere else 0)
            ready = wait(list(busy), timeout=POLL_SECONDS) if busy else []
        for connection in ready:
            worker = busy[connection]  # type: ignore[index]
            try:
                event = worker.connection.recv()
            except (EOFError, OSError):  # the process died, perhaps while it sent a message or before it read one
                self._handle_exit(worker)
            else:
                self._handle_event(worker, event)

    def _handle_event(self, worker: _Worker, event: Mapping[str, Any]) -> None:
        match kind := event["event"]:
            case "done" | "failed" | "not_applicable":
                if event["id"] in self._unsettled:  # one job may report two failures
                    self._settle(self._unsettled[event["id"]], kind, event["message"])
            case "elsewhere":
                self._elsewhere[event["id"]] = self._unsettled[event["id"]]
                self._observer.elsewhere(self._unsettled[event["id"]])
            case "epoch":
                self._observer.epoch(worker.slot, event)
            case "resumed":
                self._observer.resumed(worker.slot, event)
            case "note":
                self._observer.note(event["message"])
            case "warning":
                warnings.warn(event["message"], stacklevel=2)
            case "user_error":
                raise UserError(event["message"])
            case _ if kind in FATAL:
                worker.fatal_event = event
            case _:  # idle or broken
                reason = event.get("message", "it ended without a record")
                self._retry_smaller(self._release(worker), worker.slot, reason)

    def _release(self, worker: _Worker) -> list[Job]:
        """Take the cohort from a worker; returns the jobs that it left unsettled."""
        cohort, worker.cohort = worker.cohort, None
        self._observer.idle(worker.slot)
        runs = cohort.runs if cohort else ()
        return [job for job in runs if job.id in self._unsettled and job.id not in self._elsewhere]

    def _handle_exit(self, worker: _Worker) -> None:
        """Requeue the jobs of a process that exited."""
        with self._interrupts.waiting():
            worker.process.join()
        code = worker.process.exitcode or 0
        del self._workers[worker.slot]
        runs = self._release(worker)
        if worker.fatal_event is None:
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            self._retry_smaller(runs, worker.slot, f"its process died ({how}), perhaps because memory ran out")
        elif worker.fatal_event["event"] == NOT_CAPTURED:
            self._retry_without_graph(runs, worker.fatal_event["message"])
        else:
            reason = f"{_REASONS[worker.fatal_event['event']]}: {worker.fatal_event['message']}"
            self._retry_smaller(runs, worker.slot, reason)

    def _retry_without_graph(self, runs: list[Job], reason: str) -> None:
        """Requeue in halves, which may be captured; a single job that cannot be trains without a CUDA graph."""
        if len(runs) == 1:
            self._uncaptured.add(runs[0].id)
            self._observer.note(f"{runs[0]} trains without a CUDA graph, since it cannot be captured: {reason}")
        self._requeue_in_halves(runs)

    def _retry_smaller(self, runs: list[Job], slot: int, reason: str) -> None:
        """Requeue in halves, from the checkpoints; a single job that crashes its process repeatedly fails."""
        for job in runs:
            self._count_crash(job)
        if len(runs) != 1 or self._crashes[runs[0].id] < MAX_CRASHES:
            self._requeue_in_halves(runs)
            return
        [job] = runs
        facts = provenance.describe(devices.name(self._devices[slot]), self._config.threads)
        if not self._config.store.write(job, FAILED, facts, failure={"reason": reason}):
            reason = f"{reason}; {KEPT}"
        self._config.store.log(job, f"{FAILED}: {reason}")
        self._settle(job, FAILED, reason)

    def _count_crash(self, job: Job) -> None:
        """Count crashes without a new checkpoint between them: with progress, the cause may lie outside the job."""
        saved = self._config.store.checkpoint_time(job)
        progress = saved != self._checkpoint_times.get(job.id, 0)
        self._checkpoint_times[job.id] = saved
        self._crashes[job.id] = 1 if progress else self._crashes.get(job.id, 0) + 1

    def _requeue_in_halves(self, runs: list[Job]) -> None:
        middle = (len(runs) + 1) // 2
        self._waiting[:0] = [Cohort(tuple(half)) for half in (runs[:middle], runs[middle:]) if half]

    def _settle(self, job: Job, status: str, message: str) -> None:
        del self._unsettled[job.id]
        self._elsewhere.pop(job.id, None)
        if status == FAILED:
            self.outcome.failed[job] = message
        else:
            self.outcome.done.add(job.id)
        self._observer.ended(job, status, message)
        if status != DONE:
            self._block_dependents(job)

    def _block_dependents(self, lost: Job) -> None:
        """Give up the jobs that need a job without a result, directly or through others."""
        blocked = [job for cohort in self._waiting for job in cohort.runs if lost in job.needs]
        left = (cohort.without(blocked) for cohort in self._waiting)
        self._waiting = [cohort for cohort in left if cohort.runs]
        for job in blocked:
            del self._unsettled[job.id]
            self.outcome.blocked.append(job)
            self._observer.ended(job, BLOCKED, f"it needs {lost}")
            self._block_dependents(job)

    def _poll_elsewhere(self) -> None:
        """Settle the jobs that other commands finished, and requeue those that they gave up."""
        store = self._config.store
        for job in list(self._elsewhere.values()):
            # As long as the claim is held the job is trained, even if a record of an earlier attempt exists.
            if (lock := store.claim(job)) is None:
                continue
            lock.release()
            if (status := self._config.settled(job, needed=job.id in self._needed)) is not None:
                self._settle(job, status, "by another process")
            else:
                del self._elsewhere[job.id]
                self._waiting.append(Cohort((job,)))

    def _shut_down(self) -> None:
        """Tell all workers to stop; kill those still running after ``STOP_SECONDS`` or at a second interrupt."""
        try:
            self._interrupts.stop_begins()
            for worker in self._workers.values():
                with suppress(OSError):
                    worker.connection.send(None)
            patience = STOP_SECONDS if self._interrupts.count == 1 else 0.0
            deadline = time.monotonic() + patience
            for worker in self._workers.values():
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            self._interrupts.ignore()  # the rest takes no time and has to be completed
            for worker in self._workers.values():
                worker.process.kill()
                worker.process.join()
