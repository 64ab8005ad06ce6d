"""The store: records, weights, checkpoints, logs and locks of jobs, each at a path that follows from the job."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import UserError, writing
from benchmark.files import below, temporary_path, write_atomically
from benchmark.runs.job import Job
from benchmark.runs.names import path_part
from benchmark.runs.record import DONE, FAILED, NOT_APPLICABLE, SCHEMA, Provenance, Record
from benchmark.runs.record_file import ELSEWHERE, UnfitError, UnreadableError, encoded, leave_out, read
from benchmark.runs.weight_files import SHARED, WeightFiles, check_weights
from benchmark.text import visible

if TYPE_CHECKING:
    from benchmark.runs.locks import HeldLocks

__all__ = ["DONE", "FAILED", "KEPT", "NOT_APPLICABLE", "Record", "SetAsideWarning", "Store"]

KEPT = "its earlier record stays"
"""Said of a finished job that fails when it is trained again."""


class SetAsideWarning(UserWarning):
    """A file that is not the record of its job was moved out of the way."""


class Store(WeightFiles):
    """Two folders: ``results`` for what is measured and kept, ``checkpoints`` for what can be recreated."""

    @property
    def has_records(self) -> bool:
        """Whether any record is there."""
        return next((self.results / "records").rglob("*.json"), None) is not None

    def record_path(self, job: Job) -> Path:
        """Path of the job's record."""
        return _below(self.results / "records", job, ".json")

    def checkpoint_path(self, job: Job) -> Path:
        """Path of the checkpoint of an unfinished run."""
        return _below(self.checkpoints / "checkpoints", job, ".pt")

    def checkpoint_time(self, job: Job) -> int:
        """Modification time of the checkpoint in nanoseconds; 0 if there is none."""
        try:
            return self.checkpoint_path(job).stat().st_mtime_ns
        except OSError:
            return 0

    def log_path(self, job: Job) -> Path:
        """Path of the job's log."""
        return _below(self.checkpoints / "logs", job, ".log")

    def read(self, job: Job) -> Record | None:
        """The job's record, or None if there is none. Reading changes nothing in the store.

        A file in its place that is not this record is named in an ``UnfitRecordWarning``.

        Raises:
            UserError: a newer revision of the project wrote it, or its folder cannot be entered.
        """
        try:
            return self._read(job)
        except UnfitError as error:
            leave_out(self.record_path(job), error)
            return None

    def check_places(self, jobs: Iterable[Job]) -> None:
        """Check before training that the records of these jobs can be written.

        Raises:
            UserError: a file that must not be replaced is in the way.
        """
        for job in jobs:
            with suppress(UnfitError):  # such a file is set aside
                self._check_place(job)

    def write(self, job: Job, status: str, provenance: Mapping[str, Any], **parts: Any) -> bool:
        """Write a job's record atomically; a file in its place that is not this job's record is set aside.

        If the job left weights, the record states their SHA-256. A finished job keeps its record if it fails when it is
        trained again.

        Args:
            job: the job.
            status: ``done``, ``failed`` or ``not_applicable``.
            provenance: code, versions, machine and data.
            parts: ``metrics``, ``curves``, ``cost``; ``failure`` with a ``reason``.

        Returns:
            Whether the record was written.

        Raises:
            UnfitError: the parts do not form a valid record.
            UserError: the folder cannot be written, or a file that must not be replaced is in the way.
        """
        head = {"schema": SCHEMA, "id": job.id, "kind": job.spec["kind"], "status": status, "metrics": {}}
        stated = self.digests(job) if status == DONE else {}
        record = head | parts | stated | _named(job) | {"spec": job.spec, "provenance": provenance}
        content = encoded(record)
        path = self.record_path(job)
        before = self._known(job)
        if before is not None and before.status == DONE != status:
            self.drop_unrecorded(job, before)
            return False
        try:
            self._check_place(job)
        except UnfitError as error:
            self._set_aside(path, str(error))
        self.share(job, stated)
        write_atomically(path, content)
        return True

    def trusted_weights(self, job: Job) -> Path | None:
        """As `weights`, after checking their SHA-256 against the job's record.

        Raises:
            UserError: they differ.
        """
        path, record = self.weights(job), self._known(job)
        if path is not None and record is not None:
            check_weights(path, record.weights)
        return path

    def trusted_terms(self, job: Job) -> Path | None:
        """The file of the modules trained beside the network, if there is one, checked against the job's record.

        Raises:
            UserError: the file differs from the record, or is gone.
        """
        path, record = self.terms(job), self._known(job)
        stated = record.terms if record else None
        if path is not None:
            check_weights(path, stated)
        elif stated is not None:
            raise UserError(
                f"the modules that {job} trained beside its network are gone: remove its record "
                f"{self.record_path(job)}, and it is trained again"
            )
        return path

    def settled(
        self, job: Job, *, retry: bool = False, needed: bool = True, replaced: Provenance | None = None
    ) -> str | None:
        """The status of the job's record, or None if the job has to be trained.

        It has to be trained if it has no record, if its record is to be replaced, if its needed weights are gone, or
        if it failed and is retried.

        Args:
            job: the job.
            retry: whether a failed run is retried.
            needed: whether other jobs need its weights.
            replaced: provenance of the record that is to be replaced; any other record counts.
        """
        record = self._known(job)
        if record is None or record.provenance == replaced:
            return None
        if record.status == DONE:
            return DONE if not (job.leaves_weights and needed) or self.weights(job) is not None else None
        return None if retry and record.status == FAILED else record.status

    def claim(self, job: Job) -> HeldLocks | None:
        """Become the only process that trains this job, until the locks are released or the process ends.

        Both folders are locked, always in the same order, so of two commands that share either folder one gets the job.

        Returns:
            The locks, or None if another process holds one of them.

        Raises:
            UserError: a folder cannot be written.
        """
        from benchmark.runs.locks import claim  # it takes longer to import than all records of a table to read

        folders = {"--results": self.results / SHARED / "claims", "--checkpoints": self.checkpoints / "claims"}
        return claim({option: _below(folder, job, ".lock") for option, folder in folders.items()})

    def log(self, job: Job, text: str) -> None:
        """Append a line to the job's log."""
        path = self.log_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(visible(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {job}: {text.rstrip()}\n"))

    def check_writable(self) -> None:
        """Check before training that both folders can be written.

        Raises:
            UserError: one of them cannot be written.
        """
        for folder, option in ((self.results, "--results"), (self.checkpoints, "--checkpoints")):
            with writing(folder, option):
                folder.mkdir(parents=True, exist_ok=True)
                probe = temporary_path(folder)
                probe.touch(exist_ok=False)
                probe.unlink()

    def disk_use(self) -> int:
        """Bytes of all files below the checkpoints folder."""
        return sum(_size(Path(folder, name)) for folder, _, names in os.walk(self.checkpoints) for name in names)

    def _read(self, job: Job) -> Record | None:
        record = read(self.record_path(job))
        if record is not None and record.id != job.id:
            raise UnfitError(ELSEWHERE)
        return record

    def _known(self, job: Job) -> Record | None:
        """As `read`, without a warning, because planning has given it already."""
        try:
            return self._read(job)
        except UnfitError:
            return None

    def _check_place(self, job: Job) -> None:
        """Check that the job's record can be written.

        Raises:
            UnfitError: the file in its place is certainly not this job's record and may be set aside.
            UserError: the file in its place cannot be read, or a newer revision wrote it.
        """
        try:
            self._read(job)
        except UnreadableError as error:
            raise UserError(
                f"record {self.record_path(job)} is in the way, and {error}: make it readable, or move it away, and "
                "repeat the command"
            ) from None

    def _set_aside(self, path: Path, fault: str) -> None:
        """Move a file out of the way of a record."""
        place = self.results / "set-aside" / path.relative_to(self.results / "records")
        place = next(p for n in range(10**6) if not (p := place.with_suffix(f".{n}.json")).exists())
        with writing(place.parent, "--results"):
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        warnings.warn(f"record {path}: {fault}; moved to {place}", SetAsideWarning, stacklevel=3)


def _below(root: Path, job: Job, suffix: str) -> Path:
    return below(root, f"{job.path}{suffix}")


def _named(job: Job) -> dict[str, str]:
    """The name of the job's objective, if its path had to be cut."""
    return {} if path_part(job.folder) == job.folder else {"method": job.folder.partition("@")[0]}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # removed by another process
        return 0
