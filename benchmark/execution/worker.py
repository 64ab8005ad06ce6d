"""The main function of a worker process: trains one cohort after another and sends events to its parent.

An event is a mapping whose ``event`` is one of these:

* ``note``, ``warning``: ``message``, for the user.
* ``elsewhere``: ``id`` of a job that another command is working on.
* ``resumed``: ``runs``, the jobs of the cohort that continue from checkpoints; by id, the last trained ``epoch``, its
  mean training ``loss``, summed over the parts of the loss, and ``top1`` of the last test in percent, or None.
* ``epoch``: ``runs`` as above, for the jobs that finished an epoch; ``images_per_second`` of these jobs together.
* ``done``, ``failed``, ``not_applicable``: ``id`` of a job that has left its record, and ``message``.
* ``idle``: the cohort is finished. ``user_error``, ``broken``: it was given up; ``message``.
* ``not_captured``, ``out_of_memory``, ``device_lost``: ``message``. The process exits; a new one continues.
"""

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

NOT_CAPTURED, OUT_OF_MEMORY, DEVICE_LOST = FATAL = ("not_captured", "out_of_memory", "device_lost")

Notify = Callable[[Mapping[str, Any]], None]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class WorkerConfig:
    """Options that all workers of a command share.

    Attributes:
        store: holds records, weights and checkpoints.
        data_dir: folder of the data sets; None for ``$KD_DATA`` or a download.
        cache_dir: folder of decoded data.
        threads: CPU threads of a process.
        checkpoint_seconds: time between two checkpoints.
        retry: whether to train failed jobs again.
        cuda_graphs: whether a GPU captures training steps and replays them.
        replaced: provenance of the records to replace, by job id.
        processes: number of workers on this machine.
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
        """The final status of a job, None if it has to be done, see `Store.settled`."""
        return self.store.settled(job, retry=retry, needed=needed, replaced=self.replaced.get(job.id))


@dataclass(frozen=True)
class CohortTask:
    """A cohort as it is sent to a worker.

    Attributes:
        runs: to be claimed and trained.
        estimated_seconds: the plan's estimate of their time.
        needed: ids of jobs whose weights other jobs of this command need.
        cuda_graphs: False if the steps of these jobs cannot be captured.
    """

    runs: tuple[Job, ...]
    estimated_seconds: float
    needed: frozenset[str] = frozenset()
    cuda_graphs: bool = True


def serve(connection: Connection, config: WorkerConfig, device: str) -> None:
    """Train the tasks that the connection delivers, until it delivers None or is closed, and send events over it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(config.threads)))

    def warn(message: Warning | str, *_: Any) -> None:
        with suppress(OSError):  # if the parent is gone, the job that warns must not fail
            connection.send({"event": "warning", "message": " ".join(str(message).split())})

    @cache
    def trainer() -> Callable[[CohortTask], None]:
        return _trainer(connection, config, device)

    with warnings.catch_warnings(), suppress(EOFError, OSError):  # the parent is gone
        warnings.showwarning = warn  # type: ignore[assignment]
        while (task := connection.recv()) is not None:
            connection.send(_attempt(trainer, task, config.store))


def _attempt(trainer: Callable[[], Callable[[CohortTask], None]], task: CohortTask, store: Store) -> dict[str, str]:
    """Train a task and return its last event."""
    try:
        trainer()(task)
    except UserError as error:
        return {"event": "user_error", "message": str(error)}
    except Exception as error:  # noqa: BLE001 - the parent decides whether to try the jobs again
        for job in task.runs:
            store.log(job, traceback.format_exc())
        return {"event": "broken", "message": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"event": "idle"}


def _trainer(connection: Connection, config: WorkerConfig, device: str) -> Callable[[CohortTask], None]:
    """Import torch, which takes seconds and is not needed before the first task; returns what trains a task."""
    import torch

    from benchmark.training import work
    from benchmark.training.context import TrainContext
    from benchmark.training.cuda_streams import configure_device
    from benchmark.training.data_source import DataSource
    from benchmark.training.failures import StoppedError

    configure_device(device, config.threads)

    def notify(event: Mapping[str, Any]) -> None:
        try:
            connection.send(event)
        except OSError as error:  # the parent is gone
            raise StoppedError from error

    def announce(text: str) -> None:
        notify({"event": "note", "message": text})

    source = DataSource(torch.device(device), config.data_dir, config.cache_dir, announce, processes=config.processes)

    def run(task: CohortTask) -> None:
        # The only message to a busy worker is None, and a closed connection can be read, too: both stop the training.
        # A multiprocessing.Event would stay locked for all processes if one is killed while it reads the event.
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
            if (fatal := _fatal_event(error)) is not None:
                _exit(fatal, error, locks, config.store, notify)
            raise
        finally:
            for lock in locks.values():
                lock.release()

    return run


def _fatal_event(error: Exception) -> str | None:
    """The event of an error after which this process cannot use its device or its memory; None for other errors."""
    from benchmark.training.failures import concerns_all, is_out_of_memory
    from benchmark.training.steps import CaptureError

    if isinstance(error, CaptureError):
        return NOT_CAPTURED
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    return DEVICE_LOST if concerns_all(error) else None


def _exit(event: str, error: Exception, jobs: Iterable[Job], store: Store, notify: Notify) -> NoReturn:
    """Report why this process exits, and exit."""
    for job in jobs:
        store.log(job, traceback.format_exc())
    notify({"event": event, "message": str(error).partition("\n")[0]})
    raise SystemExit(1) from error


def _claim(task: CohortTask, config: WorkerConfig, notify: Notify) -> dict[Job, HeldLocks]:
    """Claim the jobs that no other command is training or has finished since the plan was made."""
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
