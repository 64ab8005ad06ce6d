"""A process that works on one cohort after another and tells what happens."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from benchmark.errors import UserError
from benchmark.runs.job import Job
from benchmark.runs.locks import HeldLocks
from benchmark.runs.record import Provenance
from benchmark.runs.store import Store

NOT_CAPTURED, OUT_OF_MEMORY, DEVICE_LOST = ENDINGS = ("not_captured", "out_of_memory", "device_lost")
"""Events after which a process ends, and its cohort goes on in a new one."""

Notify = Callable[[Mapping[str, Any]], None]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker of a command shares.

    Attributes:
        store: where records, weights and checkpoints go.
        data_dir: where data sets lie; None for ``$KD_DATA`` or a download.
        cache_dir: where decoded data are kept.
        threads: of a process on a CPU.
        checkpoint_seconds: time between two checkpoints.
        retry: train failed runs again.
        cuda_graphs: whether a GPU replays captured steps.
        replaced: by job id, where the records come from that are to be replaced.
        processes: how many workers there are on this machine.
    """

    store: Store
    data_dir: Path | None
    cache_dir: Path
    threads: int
    checkpoint_seconds: float
    retry: bool
    cuda_graphs: bool = True
    replaced: Mapping[str, Provenance] = field(default_factory=dict)
    processes: int = 1

    def settled(self, job: Job, *, needed: bool, retry: bool = False) -> str | None:
        """What became of a job, None where it is to be done, see `Store.settled`."""
        return self.store.settled(job, retry=retry, needed=needed, replaced=self.replaced.get(job.id))


@dataclass(frozen=True)
class CohortTask:
    """A cohort as a worker gets it.

    Attributes:
        runs: to be claimed and trained.
        estimated_seconds: the plan's estimate of their time.
        needed: ids of jobs whose weights others need here.
        cuda_graphs: whether a GPU replays captured steps, if all are meant to.
    """

    runs: tuple[Job, ...]
    estimated_seconds: float
    needed: frozenset[str] = frozenset()
    cuda_graphs: bool = True


def serve(connection: Connection, config: WorkerConfig, device: str) -> None:
    """Train tasks from the connection until it says None or its other end is gone; events go back over it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(config.threads)))

    def warn(message: Warning | str, *_: Any) -> None:
        with suppress(OSError):  # a parent that is gone is no fault of the run that warns
            connection.send({"event": "warning", "message": " ".join(str(message).split())})

    @cache
    def trainer() -> Callable[[CohortTask], None]:
        return _trainer(connection, config, device)

    with warnings.catch_warnings(), suppress(EOFError, OSError):  # without a parent there is nobody left to tell
        warnings.showwarning = warn  # type: ignore[assignment]
        while (task := connection.recv()) is not None:
            connection.send(_attempt(trainer, task, config.store))


def _attempt(trainer: Callable[[], Callable[[CohortTask], None]], task: CohortTask, store: Store) -> dict[str, str]:
    """Train a task; returns the event that ends it."""
    try:
        trainer()(task)
    except UserError as error:
        return {"event": "user_error", "message": str(error)}
    except Exception as error:  # noqa: BLE001 - reported to the parent, which decides what becomes of the runs
        for job in task.runs:
            store.log(job, traceback.format_exc())
        return {"event": "broken", "message": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"event": "idle"}


def _trainer(connection: Connection, config: WorkerConfig, device: str) -> Callable[[CohortTask], None]:
    """Import torch, which takes seconds, once a process and only when there is work."""
    import torch

    from benchmark.training import work
    from benchmark.training.context import TrainContext
    from benchmark.training.data_source import DataSource
    from benchmark.training.failures import StoppedError
    from benchmark.training.streams import configure_device

    configure_device(device, config.threads)

    def notify(event: Mapping[str, Any]) -> None:
        try:
            connection.send(event)
        except OSError as error:  # the parent is gone
            raise StoppedError from error

    def announce(text: str) -> None:
        notify({"event": "note", "message": text})

    place = torch.device(device)
    source = DataSource(place, config.data_dir, config.cache_dir, announce, processes=config.processes)

    def run(task: CohortTask) -> None:
        # A busy worker is sent nothing but the word to stop, and a parent that is gone counts as that word. No event
        # of multiprocessing: a process that is killed while it looks at one leaves it locked for all others.
        stopped = connection.poll
        times = config.checkpoint_seconds, task.estimated_seconds
        cuda_graphs = config.cuda_graphs and task.cuda_graphs
        replaced = frozenset(config.replaced)
        context = TrainContext(
            config.store, source, *times, notify, stopped, cuda_graphs=cuda_graphs, replaced=replaced
        )
        locks = _claim(task, config, notify)
        try:
            if locks:
                work(list(locks), context)
        except StoppedError:
            pass
        except Exception as error:
            if (ending := _ending(error)) is not None:
                _end(ending, error, locks, config.store, notify)
            raise
        finally:
            for lock in locks.values():
                lock.release()

    return run


def _ending(error: Exception) -> str | None:
    """The event that tells why this process has to end, where it has: its device or its memory is of no use now."""
    from benchmark.training.failures import concerns_all, is_out_of_memory
    from benchmark.training.steps import CaptureError

    if isinstance(error, CaptureError):
        return NOT_CAPTURED
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    return DEVICE_LOST if concerns_all(error) else None


def _end(ending: str, error: Exception, jobs: Iterable[Job], store: Store, notify: Notify) -> NoReturn:
    """Tell why this process ends, and end it."""
    for job in jobs:
        store.log(job, traceback.format_exc())
    notify({"event": ending, "message": str(error).partition("\n")[0]})
    raise SystemExit(1) from error


def _claim(task: CohortTask, config: WorkerConfig, notify: Notify) -> dict[Job, HeldLocks]:
    """Claim what nobody else trains and nobody has finished since the plan was made."""
    store, locks = config.store, dict[Job, HeldLocks]()
    for job in task.runs:
        lock = store.claim(job)
        if lock is None:
            notify({"event": "elsewhere", "id": job.id})
        elif (status := config.settled(job, needed=job.id in task.needed, retry=config.retry)) is not None:
            lock.release()
            notify({"event": status, "id": job.id, "message": "by another process"})
        else:
            locks[job] = lock
    return locks
