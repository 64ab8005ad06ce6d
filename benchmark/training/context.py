"""What work needs to know beyond its jobs, and how a job leaves its record."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from benchmark.errors import UserError
from benchmark.ids import short_id
from benchmark.runs import provenance
from benchmark.runs.job import Job
from benchmark.runs.record import Conditions
from benchmark.runs.store import FAILED, KEPT, NOT_APPLICABLE, Store
from benchmark.training.data_source import DataSource
from benchmark.training.failures import DivergedError, StoppedError, concerns_all
from benchmark.training.isolation import ProcessState, SharedStateError
from methods import NotApplicableError


@dataclass(frozen=True)
class TrainContext:
    """What a cohort needs to know beyond its jobs.

    Attributes:
        store: where records, weights and checkpoints go.
        source: data sets on the device.
        checkpoint_seconds: time between two checkpoints of a cohort.
        estimated_seconds: the plan's estimate, kept beside the measured time.
        notify: told of every epoch's end and every job's end.
        stopped: whether to stop.
        cuda_graphs: whether a GPU replays recorded steps.
        replaced: ids of jobs that are trained again since another machine left them.
    """

    store: Store
    source: DataSource
    checkpoint_seconds: float
    estimated_seconds: float
    notify: Callable[[Mapping[str, Any]], None]
    stopped: Callable[[], bool] = field(default=lambda: False)
    cuda_graphs: bool = True
    replaced: frozenset[str] = frozenset()

    def write_record(
        self,
        job: Job,
        status: str,
        message: str,
        teacher_weights: str | None = None,
        rests_on: Mapping[str, str] = MappingProxyType({}),
        machines: Sequence[Conditions] = (),
        **parts: Any,
    ) -> None:
        """Write a job's record, drop its checkpoint and tell."""
        facts = provenance.describe(self._device_name(), torch.get_num_threads())
        facts |= {"data": self.source.facts(job.recipe), "teacher_weights": teacher_weights}
        facts |= {"rests_on": {**rests_on}} if rests_on else {}
        facts |= {"machines": [*machines]} if len(machines) > 1 else {}
        if not self.store.write(job, status, facts, **parts):
            message = f"{message}; {KEPT}"
        self.store.checkpoint_path(job).unlink(missing_ok=True)
        self.store.log(job, f"{status}: {message}")
        self.notify({"event": status, "id": job.id, "message": message})

    @property
    def conditions(self) -> Conditions:
        """What this process trains on, as far as it can change numbers."""
        return provenance.conditions(self._device_name(), torch.get_num_threads())

    @contextmanager
    def guarded(self, job: Job, fail: Callable[[Job, str, str], None]) -> Iterator[None]:
        """A failure inside ends this job alone, and so does a change of what holds for the whole process.

        Args:
            job: what is worked on.
            fail: told the job, its status and the reason.

        Raises:
            StoppedError, UserError: passed on.
            Exception: passed on where it concerns all jobs, as want of memory does.
        """
        process = ProcessState()
        try:
            try:
                yield
            finally:
                changed = process.restore()
        except (StoppedError, UserError):
            raise
        except NotApplicableError as error:
            fail(job, NOT_APPLICABLE, _reason(str(error)))
        except (DivergedError, SharedStateError) as error:
            fail(job, FAILED, _reason(str(error)))
        # A worker ignores interrupts and ends by itself: these come from a method's or a network's code.
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if concerns_all(error):
                raise
            self.store.log(job, traceback.format_exc())
            fail(job, FAILED, _reason(f"{type(error).__name__}: {error}".splitlines()[0]))
        else:
            if changed:
                fail(job, FAILED, f"it changes {changed[0]} for the whole process")

    def fail(self, job: Job, status: str, reason: str) -> None:
        """Leave the record of a job that came to nothing."""
        self.write_record(job, status, reason, failure={"reason": reason})

    def say(self, text: str) -> None:
        """Tell the user."""
        self.notify({"event": "note", "message": text})

    def check_stopped(self) -> None:
        """Raise ``StoppedError`` where the user asked to stop."""
        if self.stopped():
            raise StoppedError

    def weights(self, job: Job) -> Path:
        """The file that a job left.

        Raises:
            UserError: it is gone, or another one than its record states.
        """
        path = self.store.trusted_weights(job)
        if path is None:
            raise UserError(f"the weights of {job} ({short_id(job.id)}) are gone: run the command again")
        return path

    def _device_name(self) -> str:
        device = self.source.device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _reason(text: str) -> str:
    """Words that a record can hold: not empty, nor with halves of characters."""
    return text.encode(errors="replace").decode() or "it gives no reason"
