"""A process that trains one cohort after another and tells what happens."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmark.errors import UserError
from benchmark.jobs import Job
from benchmark.store import Store

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Settings:
    """What every worker of a command shares.

    Attributes:
        store: where records, weights and checkpoints go.
        data_dir: where data sets lie; None for ``$KD_DATA`` or a download.
        cache_dir: where decoded data are kept.
        threads: of a process on a CPU.
        checkpoint_seconds: time between two checkpoints.
        retry: train failed runs again.
    """

    store: Store
    data_dir: Path | None
    cache_dir: Path
    threads: int
    checkpoint_seconds: float
    retry: bool


@dataclass(frozen=True)
class Task:
    """A cohort as a worker gets it.

    Attributes:
        runs: to be claimed and trained.
        counted_seconds: the uncorrected estimate of their time.
    """

    runs: tuple[Job, ...]
    counted_seconds: float


def serve(connection: Connection, stop: Event, settings: Settings, device: str) -> None:
    """Train tasks from the connection until it says None; events go back over it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(settings.threads)))
    trainer: Callable[[Task], None] | None = None
    while (task := connection.recv()) is not None:
        try:
            trainer = trainer or _trainer(connection, stop, settings, device)
            trainer(task)
            connection.send({"event": "idle"})
        except UserError as error:
            connection.send({"event": "user_error", "message": str(error)})
        except Exception as error:  # noqa: BLE001 - reported to the parent, which decides what becomes of the runs
            for job in task.runs:
                _log(settings.store, job, traceback.format_exc())
            connection.send({"event": "broken", "message": f"{type(error).__name__}: {error}".splitlines()[0]})


def _trainer(connection: Connection, stop: Event, settings: Settings, device: str) -> Callable[[Task], None]:
    """Import torch, which takes seconds, once a process and only when there is work."""
    import torch

    from benchmark.training.cohort import Setting, StoppedError, train
    from benchmark.training.data import Source

    torch.set_num_threads(settings.threads)
    source = Source(torch.device(device), settings.data_dir, settings.cache_dir)

    def run(task: Task) -> None:
        setting = Setting(
            settings.store, source, settings.checkpoint_seconds, task.counted_seconds, connection.send, stop.is_set
        )
        locks = _claim(task.runs, settings, connection.send)
        try:
            if locks:
                train(list(locks), setting)
        except StoppedError:
            pass
        finally:
            for lock in locks.values():
                lock.release()

    return run


def _claim(runs: Sequence[Job], settings: Settings, notify: Callable[[Mapping[str, Any]], None]) -> dict[Job, FileLock]:
    """Claim what nobody else trains and nobody has finished since the plan was made."""
    locks: dict[Job, FileLock] = {}
    for job in runs:
        lock = settings.store.claim(job)
        if lock is None:
            notify({"event": "elsewhere", "id": job.id})
        elif (status := settings.store.settled(job, retry=settings.retry)) is not None:
            lock.release()
            notify({"event": status, "id": job.id, "message": "by another process"})
        else:
            locks[job] = lock
    return locks


def _log(store: Store, job: Job, text: str) -> None:
    path = store.log_path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
