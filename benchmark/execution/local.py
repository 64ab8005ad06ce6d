"""Cohorts in parallel processes of this machine; workers are reused, and replaced when they die."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import MappingProxyType
from typing import Any, Protocol

from benchmark import devices
from benchmark.errors import UserError
from benchmark.execution.worker import (
    DEVICE_LOST,
    ENDINGS,
    NOT_CAPTURED,
    OUT_OF_MEMORY,
    CohortTask,
    WorkerConfig,
    serve,
)
from benchmark.planning.plan import Cohort
from benchmark.runs import provenance
from benchmark.runs.job import Job
from benchmark.runs.store import DONE, FAILED, KEPT, NOT_APPLICABLE

POLL_SECONDS = 0.5
STOP_SECONDS = 20.0
MAX_DEATHS = 2
BLOCKED = "blocked"


class Observer(Protocol):
    """Who wants to know how it goes."""

    def started(self, slot: int, cohort: Cohort) -> None:
        """A worker begins a cohort."""

    def epoch(self, slot: int, event: Mapping[str, Any]) -> None:
        """A cohort finished an epoch."""

    def ended(self, job: Job, status: str, message: str) -> None:
        """A job left its record, or never will: ``done``, ``failed``, ``not_applicable`` or ``blocked``."""

    def idle(self, slot: int) -> None:
        """A worker has nothing to do."""

    def note(self, message: str) -> None:
        """A worker says what takes time."""


@dataclass
class Outcome:
    """What became of the runs.

    Attributes:
        done: ids of finished jobs, those that turned out not to be applicable among them.
        failed: jobs that left a failure record, with the reason.
        blocked: jobs that could not start, since one that they need failed.
        out_of_time: whether the time was over before all was done.
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
    ending: Mapping[str, Any] | None = None


class LocalExecutor:
    """Runs cohorts on this machine.

    Args:
        config: shared by all workers.
        devices: one worker for each, as in ``["cpu", "cpu"]`` or ``["cuda:0", "cuda:1"]``.
        observer: told what happens.
    """

    def __init__(self, config: WorkerConfig, devices: Sequence[str], observer: Observer) -> None:
        self._config = config
        self._devices = tuple(devices)
        self._observer = observer
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, _Worker] = {}
        self._waiting: list[Cohort] = []
        self._open: dict[str, Job] = {}
        self._elsewhere: dict[str, Job] = {}
        self._needed: frozenset[str] = frozenset()
        self._deaths: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._uncaptured: set[str] = set()
        self.outcome = Outcome()

    def run(self, cohorts: Sequence[Cohort], deadline: float = math.inf) -> Outcome:
        """Work on cohorts in the given order, each as soon as what it needs is there.

        Args:
            cohorts: what is to be done.
            deadline: of `time.monotonic`, when all work is stopped, to be resumed from its checkpoints.

        Raises:
            UserError: data are missing or a folder cannot be written; finished runs are kept.
            KeyboardInterrupt: passed on after the workers have stopped.
        """
        self._waiting = list(cohorts)
        self._open = {job.id: job for cohort in cohorts for job in cohort.runs}
        self._needed = frozenset(need.id for cohort in cohorts for need in cohort.needs)
        try:
            while self._open:
                if time.monotonic() >= deadline:
                    self.outcome.out_of_time = True
                    break
                self._dispatch()
                self._listen()
                self._look_elsewhere()
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
            try:
                captured = not any(job.id in self._uncaptured for job in cohort.runs)
                worker.connection.send(CohortTask(cohort.runs, cohort.seconds, self._needed, cuda_graphs=captured))
            except OSError:  # it died while it had nothing to do
                self._bury(worker)

    def _ready(self, cohort: Cohort) -> bool:
        return not any(need.id in self._open for need in cohort.needs)

    def _start(self, slot: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._config, self._devices[slot])
        # No daemon: a daemon may not have the processes that decode ImageNet. It ends with its connection all the same.
        process = self._context.Process(target=serve, args=arguments)
        with _interrupts_held():
            process.start()
        theirs.close()
        self._workers[slot] = _Worker(slot, process, ours)
        return self._workers[slot]

    def _listen(self) -> None:
        busy = {worker.connection: worker for worker in self._workers.values() if worker.cohort is not None}
        if not busy:
            time.sleep(POLL_SECONDS if self._elsewhere else 0)
            return
        for connection in wait(list(busy), timeout=POLL_SECONDS):
            worker = busy[connection]  # type: ignore[index]
            try:
                event = worker.connection.recv()
            except (EOFError, OSError):  # closed, in the midst of a message, or with one unread
                self._bury(worker)
            else:
                self._handle(worker, event)

    def _handle(self, worker: _Worker, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind in (DONE, FAILED, NOT_APPLICABLE):
            if event["id"] in self._open:  # what a job leaves behind may show a second fault
                self._settle(self._open[event["id"]], kind, event["message"])
        elif kind == "elsewhere":
            self._elsewhere[event["id"]] = self._open[event["id"]]
        elif kind == "epoch":
            self._observer.epoch(worker.slot, event)
        elif kind in ENDINGS:
            worker.ending = event
        elif kind == "note":
            self._observer.note(event["message"])
        elif kind == "warning":
            warnings.warn(event["message"], stacklevel=2)
        elif kind == "user_error":
            raise UserError(event["message"])
        else:
            self._try_smaller(self._release(worker), worker.slot, event.get("message", "it ended without a record"))

    def _release(self, worker: _Worker) -> list[Job]:
        """Take the cohort from a worker; returns the runs that it did not settle."""
        cohort, worker.cohort = worker.cohort, None
        self._observer.idle(worker.slot)
        runs = cohort.runs if cohort else ()
        return [job for job in runs if job.id in self._open and job.id not in self._elsewhere]

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        code = worker.process.exitcode or 0
        del self._workers[worker.slot]
        runs = self._release(worker)
        if worker.ending is None:
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            self._try_smaller(runs, worker.slot, f"its process died ({how}), perhaps for want of memory")
        elif worker.ending["event"] == NOT_CAPTURED:
            self._without_graph(runs, worker.ending["message"])
        else:
            self._try_smaller(runs, worker.slot, f"{_ENDED[worker.ending['event']]}: {worker.ending['message']}")

    def _without_graph(self, runs: list[Job], reason: str) -> None:
        """Go on in halves, of which one can be captured; a run that cannot be even alone goes on without a graph."""
        if len(runs) == 1:
            self._uncaptured.add(runs[0].id)
            self._observer.note(f"{runs[0]} is launched step by step, since it cannot be captured: {reason}")
        self._halve(runs)

    def _try_smaller(self, runs: list[Job], slot: int, reason: str) -> None:
        """Go on from the checkpoints in halves; a run that breaks its process alone and repeatedly has failed."""
        for job in runs:
            self._count_death(job)
        if len(runs) == 1 and self._deaths[runs[0].id] >= MAX_DEATHS:
            facts = provenance.describe(devices.name(self._devices[slot]), self._config.threads)
            if not self._config.store.write(runs[0], FAILED, facts, failure={"reason": reason}):
                reason = f"{reason}; {KEPT}"
            self._config.store.log(runs[0], f"{FAILED}: {reason}")
            self._settle(runs[0], FAILED, reason)
        else:
            self._halve(runs)

    def _count_death(self, job: Job) -> None:
        """Deaths of a job's process count as long as nothing is gained between them: others may kill it, too."""
        kept = self._config.store.checkpoint_time(job)
        gained = kept != self._kept.get(job.id, 0)
        self._kept[job.id] = kept
        self._deaths[job.id] = 1 if gained else self._deaths.get(job.id, 0) + 1

    def _halve(self, runs: list[Job]) -> None:
        middle = (len(runs) + 1) // 2
        self._waiting[:0] = [Cohort(tuple(half)) for half in (runs[:middle], runs[middle:]) if half]

    def _settle(self, job: Job, status: str, message: str) -> None:
        del self._open[job.id]
        self._elsewhere.pop(job.id, None)
        if status == FAILED:
            self.outcome.failed[job] = message
        else:
            self.outcome.done.add(job.id)
        self._observer.ended(job, status, message)
        if status != DONE:
            self._block(job)

    def _block(self, lost: Job) -> None:
        """Give up, step by step, what needs a job that left no result."""
        blocked = [job for cohort in self._waiting for job in cohort.runs if lost in job.needs]
        left = (cohort.without(blocked) for cohort in self._waiting)
        self._waiting = [cohort for cohort in left if cohort.runs]
        for job in blocked:
            del self._open[job.id]
            self.outcome.blocked.append(job)
            self._observer.ended(job, BLOCKED, f"it needs {lost}")
            self._block(job)

    def _look_elsewhere(self) -> None:
        """Take note of what other processes finished, and take over what they left."""
        store = self._config.store
        for job in list(self._elsewhere.values()):
            # Whoever holds the claim still trains, whatever a record of an earlier attempt says.
            if (lock := store.claim(job)) is None:
                continue
            lock.release()
            if (status := self._config.settled(job, needed=job.id in self._needed)) is not None:
                self._settle(job, status, "by another process")
            else:
                del self._elsewhere[job.id]
                self._waiting.append(Cohort((job,)))

    def _shut_down(self) -> None:
        """Let all workers stop with checkpoints, unless that takes too long or the user cannot wait."""
        try:
            for worker in self._workers.values():
                with suppress(OSError):
                    worker.connection.send(None)
            deadline = time.monotonic() + STOP_SECONDS
            for worker in self._workers.values():
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows takes no time, and is not cut short
            for worker in self._workers.values():
                worker.process.kill()
                worker.process.join()
            signal.signal(signal.SIGINT, before)


_ENDED: Mapping[str, str] = MappingProxyType(
    {OUT_OF_MEMORY: "it does not fit into memory, even alone", DEVICE_LOST: "its device failed"}
)
"""Why a run failed whose process ended so."""


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C, which reaches all processes of a terminal, from one that starts now: it is told when to stop."""
    resource_tracker.ensure_running()  # its own start, at the first process, would end the hold
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
