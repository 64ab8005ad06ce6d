"""Records, weights, checkpoints and logs: found by a job's path, written atomically, claimed by one process."""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from benchmark.canonical import digest, short_id
from benchmark.errors import UserError
from benchmark.jobs import Job

SCHEMA = 1
DONE, FAILED, NOT_APPLICABLE = "done", "failed", "not_applicable"
ELSEWHERE = "it belongs to another run than its path says"
_PARTS = {"schema": int, "id": str, "spec": dict, "status": str, "metrics": dict, "provenance": dict}

Record = Mapping[str, Any]


class SetAsideWarning(UserWarning):
    """A record that cannot be trusted was moved out of the way."""


@dataclass(frozen=True)
class Store:
    """Two folders: ``results`` for what is measured and kept, ``checkpoints`` for what can be made again.

    Attributes:
        results: ``RESULTS/PROFILE``, with records, tables and teachers.
        checkpoints: ``CHECKPOINTS/PROFILE``, with checkpoints, weights, logs and claims.
    """

    results: Path
    checkpoints: Path

    def record_path(self, job: Job) -> Path:
        """Where the job's record lies."""
        return _below(self.results / "records", job, ".json")

    def checkpoint_path(self, job: Job) -> Path:
        """Where the state of an unfinished run lies."""
        return _below(self.checkpoints / "checkpoints", job, ".pt")

    def checkpoint_time(self, job: Job) -> int:
        """When the checkpoint of an unfinished run was written, in nanoseconds; 0 where there is none."""
        try:
            return self.checkpoint_path(job).stat().st_mtime_ns
        except OSError:
            return 0

    def log_path(self, job: Job) -> Path:
        """Where the job's log lies."""
        return _below(self.checkpoints / "logs", job, ".log")

    def read(self, job: Job) -> Record | None:
        """The job's record, or None where there is none that can be trusted.

        A record that is no JSON, lacks a part or whose id does not follow from its spec is moved to ``set-aside``,
        with a ``SetAsideWarning`` that names it.
        """
        path = self.record_path(job)
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            self._set_aside(path, f"it cannot be read ({error})")
            return None
        try:
            record = parse_record(text)
        except ValueError as error:
            self._set_aside(path, str(error))
            return None
        if record["id"] != job.id:
            self._set_aside(path, ELSEWHERE)
            return None
        return record

    def write(self, job: Job, status: str, provenance: Mapping[str, Any], **parts: Any) -> None:
        """Keep a record, whole or not at all.

        Args:
            job: what the record is of.
            status: ``done``, ``failed`` or ``not_applicable``.
            provenance: code, versions, machine and data.
            parts: ``metrics``, ``curves``, ``cost``; ``failure`` with a ``reason``.
        """
        head = {"schema": SCHEMA, "id": job.id, "kind": job.spec["kind"], "status": status, "metrics": {}}
        record = head | parts | {"spec": job.spec, "provenance": provenance}
        text = json.dumps(record, indent=1, allow_nan=False)
        write_atomically(self.record_path(job), (_compact_lists(text) + "\n").encode())

    def weights(self, job: Job) -> Path | None:
        """The trained network's weights file, if it is here: among the kept teachers, else among the checkpoints."""
        return self.weights_of(job.path, self.teacher_path(job).name)

    def weights_of(self, place: str, kept: str) -> Path | None:
        """The same of a job of which only its ``path`` is known, and the name of its file among the teachers."""
        places = (self.results / "teachers" / kept, self.checkpoints / "weights" / f"{place}.safetensors")
        return next((path for path in places if path.is_file()), None)

    def settled(self, job: Job, *, retry: bool = False) -> str | None:
        """What became of the job: its record's status, or None where it is (again) to be trained.

        That is where there is no record, where the weights of a finished run are gone, and where a failed run is to be
        retried.
        """
        record = self.read(job)
        if record is None:
            return None
        if record["status"] == DONE:
            return DONE if not job.leaves_weights or self.weights(job) is not None else None
        return None if retry and record["status"] == FAILED else str(record["status"])

    def weights_path(self, job: Job) -> Path:
        """Where a finished run leaves its weights."""
        return _below(self.checkpoints / "weights", job, ".safetensors")

    def terms_path(self, job: Job) -> Path:
        """Where a finished run leaves what its objective trained beside the network."""
        return _below(self.checkpoints / "weights", job, ".terms.safetensors")

    def teacher_path(self, job: Job) -> Path:
        """Where a teacher's weights are kept beside the results."""
        return self.results / "teachers" / teacher_file(job.network, job.recipe.name, job.seed, job.id)

    def keep_teacher(self, job: Job) -> Path:
        """Put a trained network's weights among the teachers and return the file there."""
        kept = self.teacher_path(job)
        write_atomically(kept, self.weights_path(job).read_bytes())
        return kept

    def claim(self, job: Job) -> FileLock | None:
        """Become the only process that trains this job, until the lock is released or the process ends.

        Returns:
            The lock, or None where somebody else holds it.

        Raises:
            UserError: the folder cannot be written.
        """
        path = _below(self.checkpoints / "claims", job, ".lock")
        lock = FileLock(path)
        with _named(path.parent, "--checkpoints"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return None
        return lock

    def log(self, job: Job, text: str) -> None:
        """Add to the job's log."""
        path = self.log_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {job}: {text.rstrip()}\n")

    def check_writable(self) -> None:
        """Find out before training whether results can be kept.

        Raises:
            UserError: one of the folders cannot be written.
        """
        for folder, option in ((self.results, "--results"), (self.checkpoints, "--checkpoints")):
            with _named(folder, option):
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / f".probe-{os.getpid()}"
                probe.write_bytes(b"")
                probe.unlink()

    def disk_use(self) -> int:
        """Bytes below the checkpoints folder."""
        return sum(_size(Path(folder, name)) for folder, _, names in os.walk(self.checkpoints) for name in names)

    def _set_aside(self, path: Path, fault: str) -> None:
        place = self.results / "set-aside" / path.relative_to(self.results / "records")
        place = next(p for n in range(10**6) if not (p := place.with_suffix(f".{n}.json")).exists())
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)
            outcome = f"moved to {place}"
        except OSError as error:
            outcome = f"left in place, not used ({error})"
        warnings.warn(f"record {path}: {fault}; {outcome}", SetAsideWarning, stacklevel=3)


def teacher_file(network: str, recipe: str, seed: int, job_id: str) -> str:
    """Name of a network's weights among the teachers."""
    return f"{network}-{recipe}-seed{seed}-{short_id(job_id)}.safetensors"


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside ``path``, then move it there.

    Raises:
        UserError: the folder cannot be written.
    """
    with _named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(folder: Path, option: str = "--results or --checkpoints") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose a writable folder with {option}"
        ) from error


def _below(root: Path, job: Job, suffix: str) -> Path:
    return root / f"{job.path}{suffix}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just removed it
        return 0


def parse_record(text: str) -> Record:
    """A record that can be trusted by itself, wherever it lies.

    Raises:
        ValueError: what is wrong with it.
    """
    try:
        record = json.loads(text)
        fault = _fault(record)
    except ValueError as error:  # also where its spec holds a number that is not finite
        raise ValueError(f"it is no complete JSON ({error})") from None
    if fault:
        raise ValueError(fault)
    found: Record = record
    return found


def _fault(record: Any) -> str | None:
    parts = record if isinstance(record, dict) else {}
    missing = [name for name, kind in _PARTS.items() if not isinstance(parts.get(name), kind)]
    if missing:
        return f"it lacks '{missing[0]}'"
    if parts["schema"] != SCHEMA:
        return f"its schema is {parts['schema']}, not {SCHEMA}"
    if parts["status"] not in (DONE, FAILED, NOT_APPLICABLE):
        return f"its status '{parts['status']}' is unknown"
    if parts["status"] == DONE and not _measured(parts["metrics"]):
        return "its metrics are not numbers"
    return None if digest(parts["spec"]) == parts["id"] else "its id does not match its spec"


def _measured(metrics: Mapping[str, Any]) -> bool:
    """Whether the last epoch's metrics are numbers, and the best one's if they are there."""
    epochs = (metrics.get("last"), metrics.get("best", {}))
    return all(isinstance(epoch, dict) and {*map(type, epoch.values())} <= {int, float} for epoch in epochs)


def _compact_lists(text: str) -> str:
    """Curves on one line each: a record is for people, too."""
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
