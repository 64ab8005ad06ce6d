"""The context of training: store, data, settings, and how failures and records of jobs are handled."""

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
    """What training needs beside its jobs.

    Attributes:
        store: holds records, weights and checkpoints.
        source: data sets on the device.
        checkpoint_seconds: time between two checkpoints of a cohort.
        estimated_seconds: the plan's estimate, recorded beside the measured time.
        notify: receives an event at the end of every epoch and every job.
        stopped: returns whether the user asked to stop.
        cuda_graphs: whether a GPU captures steps as CUDA graphs.
        replaced: ids of jobs of another machine that are trained again on this one.
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
        """Write a job's record, delete its checkpoint and send an event."""
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
        """Properties of this process and machine that can change numbers."""
        return provenance.conditions(self._device_name(), torch.get_num_threads())

    @contextmanager
    def guarded(self, job: Job, fail: Callable[[Job, str, str], None]) -> Iterator[None]:
        """A context in which a failure, or a change of process-wide settings, ends this job alone.

        Args:
            job: that the block works on.
            fail: called with the job, its status and the reason.

        Raises:
            StoppedError, UserError: always passed on.
            Exception: passed on if it concerns all jobs, as running out of memory does.
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
        # Workers ignore Ctrl-C, so interrupts and exits here come from the code of a method or network.
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if concerns_all(error):
                raise
            self.store.log(job, traceback.format_exc())
            fail(job, FAILED, _reason(f"{type(error).__name__}: {error}".splitlines()[0]))
        else:
            if changed:
                fail(job, FAILED, f"it changes {changed[0]} for the whole process")

    def fail(self, job: Job, status: str, reason: str) -> None:
        """Write the record of a failed job."""
        self.write_record(job, status, reason, failure={"reason": reason})

    def say(self, text: str) -> None:
        """Show the user a message."""
        self.notify({"event": "note", "message": text})

    def check_stopped(self) -> None:
        """Raise ``StoppedError`` if the user asked to stop."""
        if self.stopped():
            raise StoppedError

    def weights(self, job: Job) -> Path:
        """The file with the weights of a finished job.

        Raises:
            UserError: it is missing, or its SHA-256 is not the one in the job's record.
        """
        path = self.store.trusted_weights(job)
        if path is None:
            raise UserError(f"the weights of {job} ({short_id(job.id)}) are gone: run the command again")
        return path

    def _device_name(self) -> str:
        device = self.source.device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _reason(text: str) -> str:
    """The text without lone surrogates, which JSON cannot encode, and never empty."""
    return text.encode(errors="replace").decode() or "it gives no reason"
