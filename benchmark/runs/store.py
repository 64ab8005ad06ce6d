"""The store: records, weights, checkpoints, logs and locks of jobs, each at a path that follows from the job."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from benchmark.errors import UserError, writing
from benchmark.files import below, temporary_path, write_atomically
from benchmark.ids import file_digest, short_id
from benchmark.runs.job import Job, path_part
from benchmark.runs.record import DONE, FAILED, NOT_APPLICABLE, SCHEMA, Provenance, Record
from benchmark.runs.record_file import ELSEWHERE, UnfitError, UnreadableError, leave_out, parse, read
from benchmark.text import visible

if TYPE_CHECKING:
    from benchmark.runs.locks import HeldLocks

__all__ = [
    "DONE",
    "FAILED",
    "KEPT",
    "NOT_APPLICABLE",
    "Record",
    "SetAsideWarning",
    "Store",
    "check_weights",
    "teacher_file",
]

_LEFT: Mapping[str, str] = MappingProxyType({"weights": ".safetensors", "terms": ".terms.safetensors"})
"""Suffixes of the files that a job leaves, by the part of the record that states their SHA-256."""

_SHARED = ".shared"
"""Folder below the results for locks and pointers between commands that share the results."""

KEPT = "its earlier record stays"
"""Said of a finished job that fails when it is trained again."""


class SetAsideWarning(UserWarning):
    """A file that is not the record of its job was moved out of the way."""


@dataclass(frozen=True)
class Store:
    """Two folders: ``results`` for what is measured and kept, ``checkpoints`` for what can be recreated.

    Attributes:
        results: ``RESULTS/PROFILE``, with records, tables and teachers.
        checkpoints: ``CHECKPOINTS/PROFILE``, with checkpoints, weights and logs.
    """

    results: Path
    checkpoints: Path

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
        stated = self._stated(job) if status == DONE else {}
        record = head | parts | stated | _named(job) | {"spec": job.spec, "provenance": provenance}
        content = (_compact_lists(json.dumps(record, indent=1)) + "\n").encode()
        parse(content)
        path = self.record_path(job)
        before = self._known(job)
        if before is not None and before.status == DONE != status:
            self._drop_unrecorded_weights(job, before)
            return False
        try:
            self._check_place(job)
        except UnfitError as error:
            self._set_aside(path, str(error))
        for part in stated:
            file = next(self._left(job.path, _LEFT[part]))
            write_atomically(self._pointer(job.path, _LEFT[part]), os.fsencode(file.resolve()))
        write_atomically(path, content)
        return True

    def weights(self, job: Job) -> Path | None:
        """The weights file of the trained network, among the teachers or the checkpoints; None if there is none."""
        return self.weights_of(job.path, self.teacher_path(job).name)

    def weights_of(self, place: str, kept: str) -> Path | None:
        """As `weights`, from a job's ``path`` and the name of its file among the teachers."""
        return _first([below(self.results / "teachers", kept), *self._left(place, _LEFT["weights"])])

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
        path, record = _first(self._left(job.path, _LEFT["terms"])), self._known(job)
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

    def weights_path(self, job: Job) -> Path:
        """Path of a finished run's weights."""
        return _below(self.checkpoints / "weights", job, _LEFT["weights"])

    def terms_path(self, job: Job) -> Path:
        """Path of the modules that a finished run trained beside its network."""
        return _below(self.checkpoints / "weights", job, _LEFT["terms"])

    def teacher_path(self, job: Job) -> Path:
        """Path of a teacher's weights among the results."""
        name = teacher_file(job.network, job.recipe.name, job.seed, job.id)
        return below(self.results / "teachers", name)

    def keep_teacher(self, job: Job, weights: Path | None = None) -> Path:
        """Copy a trained network's weights to the teachers and return the path of the copy.

        Args:
            job: the job that trained it.
            weights: the file to copy; None for the one below the checkpoints.
        """
        kept = self.teacher_path(job)
        write_atomically(kept, (weights or self.weights_path(job)).read_bytes())
        return kept

    def claim(self, job: Job) -> HeldLocks | None:
        """Become the only process that trains this job, until the locks are released or the process ends.

        Both folders are locked, always in the same order, so of two commands that share either folder one gets the job.

        Returns:
            The locks, or None if another process holds one of them.

        Raises:
            UserError: a folder cannot be written.
        """
        from benchmark.runs.locks import claim  # it takes longer to import than all records of a table to read

        folders = {"--results": self.results / _SHARED / "claims", "--checkpoints": self.checkpoints / "claims"}
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

    def _stated(self, job: Job) -> dict[str, str]:
        """SHA-256 of the files that the job left."""
        files = {part: _below(self.checkpoints / "weights", job, suffix) for part, suffix in _LEFT.items()}
        return {part: file_digest(path) for part, path in files.items() if job.leaves_weights and path.is_file()}

    def _drop_unrecorded_weights(self, job: Job, record: Record) -> None:
        """Remove files below the checkpoints that differ from the job's record."""
        for part, suffix in _LEFT.items():
            path, stated = _below(self.checkpoints / "weights", job, suffix), getattr(record, part)
            if stated is not None and path.is_file() and file_digest(path) != stated:
                path.unlink()

    def _left(self, place: str, suffix: str) -> Iterator[Path]:
        """Candidate paths of a weights file: below these checkpoints, and where the command that trained it put it."""
        yield below(self.checkpoints / "weights", f"{place}{suffix}")
        pointer = self._pointer(place, suffix)
        with suppress(OSError, ValueError):
            if pointer.is_file():  # reading a pipe would block
                yield Path(os.fsdecode(pointer.read_bytes()))

    def _pointer(self, place: str, suffix: str) -> Path:
        """Path of a file that tells other commands that share the results where a weights file lies."""
        return below(self.results / _SHARED / "weights", f"{place}{suffix}.path")

    def _set_aside(self, path: Path, fault: str) -> None:
        """Move a file out of the way of a record."""
        place = self.results / "set-aside" / path.relative_to(self.results / "records")
        place = next(p for n in range(10**6) if not (p := place.with_suffix(f".{n}.json")).exists())
        with writing(place.parent, "--results"):
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        warnings.warn(f"record {path}: {fault}; moved to {place}", SetAsideWarning, stacklevel=3)


def teacher_file(network: str, recipe: str, seed: int, job_id: str) -> str:
    """File name of a network's weights among the teachers."""
    return f"{network}-{recipe}-seed{seed}-{short_id(job_id)}.safetensors"


def check_weights(path: Path, stated: str | None) -> None:
    """Check a weights file against the SHA-256 in a record; older records state none.

    Raises:
        UserError: the file cannot be read, or differs.
    """
    if stated is None:
        return
    try:
        found = file_digest(path)
    except OSError as error:
        advice = "make them readable, or remove them, and the run is trained again"
        raise UserError(f"weights {path} cannot be read ({error.strerror}): {advice}") from None
    if found != stated:
        raise UserError(
            f"weights {path} are not those that were measured: their SHA-256 begins with {short_id(found)}, and the "
            f"record states {short_id(stated)}. Put the file back as it was, or remove it, and the run is trained again"
        )


def _below(root: Path, job: Job, suffix: str) -> Path:
    return below(root, f"{job.path}{suffix}")


def _named(job: Job) -> dict[str, str]:
    """The name of the job's objective, if its path had to be cut."""
    return {} if path_part(job.folder) == job.folder else {"method": job.folder.partition("@")[0]}


def _first(paths: Iterable[Path]) -> Path | None:
    """The first path that is a file."""
    for path in paths:
        with suppress(OSError):
            if path.is_file():
                return path
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # removed by another process
        return 0


def _compact_lists(text: str) -> str:
    """Put each list of numbers on one line, so that people can read a record."""
    lines: list[str] = []
    inside: list[str] | None = None
    for line in text.split("\n"):
        if inside is not None:
            inside.append(line.strip())
            if line.strip() in ("]", "],"):
                lines.append("".join(f"{item} " if item.endswith(",") else item for item in inside).rstrip())
                inside = None
        elif line.endswith("["):
            inside = [line]
        else:
            lines.append(line)
    return "\n".join(lines)
