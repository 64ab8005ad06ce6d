"""Records, weights, checkpoints and logs: found by a job's path, written atomically, claimed by one process."""

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
"""How the names of the files end that a job leaves, by the part of its record that states the SHA-256."""

_SHARED = ".shared"
"""Below the results, what commands that share them tell each other; it is of no use to anybody else."""


KEPT = "its earlier record stays"
"""What happens where a job that was done comes to nothing when it is done again."""


class SetAsideWarning(UserWarning):
    """A record that cannot be trusted was moved out of the way."""


@dataclass(frozen=True)
class Store:
    """Two folders: ``results`` for what is measured and kept, ``checkpoints`` for what can be made again.

    Attributes:
        results: ``RESULTS/PROFILE``, with records, tables and teachers.
        checkpoints: ``CHECKPOINTS/PROFILE``, with checkpoints, weights and logs.
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
        """The job's record, or None where there is none that can be trusted; nothing is moved, made or removed.

        A file in its place that is no such record is named in an ``UnfitRecordWarning``.

        Raises:
            UserError: a newer revision of the project wrote it, or its folder cannot be entered.
        """
        try:
            return self._read(job)
        except UnfitError as error:
            leave_out(self.record_path(job), error)
            return None

    def check_places(self, jobs: Iterable[Job]) -> None:
        """Find out before training whether the records of these jobs can be written.

        Raises:
            UserError: a file is in the way that must not be replaced.
        """
        for job in jobs:
            with suppress(UnfitError):  # that is set aside
                self._check_place(job)

    def write(self, job: Job, status: str, provenance: Mapping[str, Any], **parts: Any) -> bool:
        """Keep a record, whole or not at all; what lay in its place and was no record of this job is set aside.

        Where the job has left weights, the record states their SHA-256. A job that was done before keeps that record
        where it came to nothing when it was done again.

        Args:
            job: what the record is of.
            status: ``done``, ``failed`` or ``not_applicable``.
            provenance: code, versions, machine and data.
            parts: ``metrics``, ``curves``, ``cost``; ``failure`` with a ``reason``.

        Returns:
            Whether it was kept.

        Raises:
            UnfitError: the parts make no record that could be read.
            UserError: the folder cannot be written, or something is in the way that must not be replaced.
        """
        head = {"schema": SCHEMA, "id": job.id, "kind": job.spec["kind"], "status": status, "metrics": {}}
        stated = self._stated(job) if status == DONE else {}
        record = head | parts | stated | _named(job) | {"spec": job.spec, "provenance": provenance}
        content = (_compact_lists(json.dumps(record, indent=1)) + "\n").encode()
        parse(content)
        path = self.record_path(job)
        before = self._known(job)
        if before is not None and before.status == DONE != status:
            self._drop_weights_of_others(job, before)
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
        """The trained network's weights file, if it is here: among the kept teachers, else among the checkpoints."""
        return self.weights_of(job.path, self.teacher_path(job).name)

    def weights_of(self, place: str, kept: str) -> Path | None:
        """The same of a job of which only its ``path`` is known, and the name of its file among the teachers."""
        return _first([below(self.results / "teachers", kept), *self._left(place, _LEFT["weights"])])

    def trusted_weights(self, job: Job) -> Path | None:
        """The same, after a look at whether they are those that the job's record states.

        Raises:
            UserError: they are not.
        """
        path, record = self.weights(job), self._known(job)
        if path is not None and record is not None:
            check_weights(path, record.weights)
        return path

    def trusted_terms(self, job: Job) -> Path | None:
        """What the job trained beside the network, if it left such a file, after the same look.

        Raises:
            UserError: it is not what the record states, or gone.
        """
        path, record = _first(self._left(job.path, _LEFT["terms"])), self._known(job)
        stated = record.terms if record else None
        if path is not None:
            check_weights(path, stated)
        elif stated is not None:
            raise UserError(
                f"what {job} trained beside its network is gone: remove its record {self.record_path(job)}, and it is "
                "trained again"
            )
        return path

    def settled(
        self, job: Job, *, retry: bool = False, needed: bool = True, replaced: Provenance | None = None
    ) -> str | None:
        """What became of the job: its record's status, or None where it is (again) to be trained.

        That is where there is no record, or one that is to be replaced, where the weights of a finished run are gone,
        and where a failed run is to be retried.

        Args:
            job: what is asked about.
            retry: whether a failed run is to be retried.
            needed: whether other jobs need its weights; else a record is enough.
            replaced: where the record comes from that is to be replaced; any other one counts.
        """
        record = self._known(job)
        if record is None or record.provenance == replaced:
            return None
        if record.status == DONE:
            return DONE if not (job.leaves_weights and needed) or self.weights(job) is not None else None
        return None if retry and record.status == FAILED else record.status

    def weights_path(self, job: Job) -> Path:
        """Where a finished run leaves its weights."""
        return _below(self.checkpoints / "weights", job, _LEFT["weights"])

    def terms_path(self, job: Job) -> Path:
        """Where a finished run leaves what its objective trained beside the network."""
        return _below(self.checkpoints / "weights", job, _LEFT["terms"])

    def teacher_path(self, job: Job) -> Path:
        """Where a teacher's weights are kept beside the results."""
        name = teacher_file(job.network, job.recipe.name, job.seed, job.id)
        return below(self.results / "teachers", name)

    def keep_teacher(self, job: Job, weights: Path | None = None) -> Path:
        """Put a trained network's weights among the teachers and return the file there.

        Args:
            job: what trained it.
            weights: the file; None for the one below the checkpoints.
        """
        kept = self.teacher_path(job)
        write_atomically(kept, (weights or self.weights_path(job)).read_bytes())
        return kept

    def claim(self, job: Job) -> HeldLocks | None:
        """Become the only process that trains this job, until the claim is released or the process ends.

        Of two commands that share either folder one gets it: both folders are locked, always in the same order.

        Returns:
            The claim, or None where somebody else holds it.

        Raises:
            UserError: a folder cannot be written.
        """
        from benchmark.runs.locks import claim  # it takes longer to import than all records of a table to read

        folders = {"--results": self.results / _SHARED / "claims", "--checkpoints": self.checkpoints / "claims"}
        return claim({option: _below(folder, job, ".lock") for option, folder in folders.items()})

    def log(self, job: Job, text: str) -> None:
        """Add to the job's log."""
        path = self.log_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(visible(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {job}: {text.rstrip()}\n"))

    def check_writable(self) -> None:
        """Find out before training whether results can be kept.

        Raises:
            UserError: one of the folders cannot be written.
        """
        for folder, option in ((self.results, "--results"), (self.checkpoints, "--checkpoints")):
            with writing(folder, option):
                folder.mkdir(parents=True, exist_ok=True)
                probe = temporary_path(folder)
                probe.touch(exist_ok=False)
                probe.unlink()

    def disk_use(self) -> int:
        """Bytes below the checkpoints folder."""
        return sum(_size(Path(folder, name)) for folder, _, names in os.walk(self.checkpoints) for name in names)

    def _read(self, job: Job) -> Record | None:
        record = read(self.record_path(job))
        if record is not None and record.id != job.id:
            raise UnfitError(ELSEWHERE)
        return record

    def _known(self, job: Job) -> Record | None:
        """The job's record if it can be trusted, without a word about what is wrong with it: planning has told that."""
        try:
            return self._read(job)
        except UnfitError:
            return None

    def _check_place(self, job: Job) -> None:
        """See that a record of the job can be put in its place.

        Raises:
            UnfitError: what lies there is provably no record of this job, and may be set aside.
            UserError: what lies there may be something else: it cannot be read, or a newer revision wrote it.
        """
        try:
            self._read(job)
        except UnreadableError as error:
            raise UserError(
                f"record {self.record_path(job)} is in the way, and {error}: make it readable, or move it away, and "
                "repeat the command"
            ) from None

    def _stated(self, job: Job) -> dict[str, str]:
        """SHA-256 of the files that the job has left."""
        files = {part: _below(self.checkpoints / "weights", job, suffix) for part, suffix in _LEFT.items()}
        return {part: file_digest(path) for part, path in files.items() if job.leaves_weights and path.is_file()}

    def _drop_weights_of_others(self, job: Job, record: Record) -> None:
        """Remove what a job left below the checkpoints where it is not what its record states."""
        for part, suffix in _LEFT.items():
            path, stated = _below(self.checkpoints / "weights", job, suffix), getattr(record, part)
            if stated is not None and path.is_file() and file_digest(path) != stated:
                path.unlink()

    def _left(self, place: str, suffix: str) -> Iterator[Path]:
        """Where a file of weights may lie: below these checkpoints, and where the command that trained it has them."""
        yield below(self.checkpoints / "weights", f"{place}{suffix}")
        pointer = self._pointer(place, suffix)
        with suppress(OSError, ValueError):
            if pointer.is_file():  # reading a pipe would wait for ever
                yield Path(os.fsdecode(pointer.read_bytes()))

    def _pointer(self, place: str, suffix: str) -> Path:
        """What tells commands that share the results alone where a file of weights lies; they may reach it or not."""
        return below(self.results / _SHARED / "weights", f"{place}{suffix}.path")

    def _set_aside(self, path: Path, fault: str) -> None:
        """Move a file out of the way of a record.

        Raises:
            UserError: it cannot be moved.
        """
        place = self.results / "set-aside" / path.relative_to(self.results / "records")
        place = next(p for n in range(10**6) if not (p := place.with_suffix(f".{n}.json")).exists())
        with writing(place.parent, "--results"):
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        warnings.warn(f"record {path}: {fault}; moved to {place}", SetAsideWarning, stacklevel=3)


def teacher_file(network: str, recipe: str, seed: int, job_id: str) -> str:
    """Name of a network's weights among the teachers."""
    return f"{network}-{recipe}-seed{seed}-{short_id(job_id)}.safetensors"


def check_weights(path: Path, stated: str | None) -> None:
    """See that a weights file is the one whose SHA-256 a record states; older records state none.

    Raises:
        UserError: it is another one.
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
    """The name of the job's objective, where its path is too short for it."""
    return {} if path_part(job.folder) == job.folder else {"method": job.folder.partition("@")[0]}


def _first(paths: Iterable[Path]) -> Path | None:
    """The first that is a file, as far as that may be known."""
    for path in paths:
        with suppress(OSError):
            if path.is_file():
                return path
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has just removed it
        return 0


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
