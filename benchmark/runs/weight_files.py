"""Files of weights: what jobs leave beside their records, where it lies, and whether it is what was measured."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmark.errors import UserError
from benchmark.files import below, write_atomically
from benchmark.ids import file_digest, short_id
from benchmark.runs.job import Job
from benchmark.runs.record import Record

SHARED = ".shared"
"""Folder below the results for locks and pointers between commands that share the results."""
_LEFT: Mapping[str, str] = MappingProxyType({"weights": ".safetensors", "terms": ".terms.safetensors"})
"""Suffixes of the files that a job leaves, by the part of the record that states their SHA-256."""


@dataclass(frozen=True)
class WeightFiles:
    """The files of weights in two folders.

    A teacher's weights lie among the results, all others below the checkpoints. Other commands that share the results
    find these by pointers, small files below the results.

    Attributes:
        results: ``RESULTS/PROFILE``, with records, tables and teachers.
        checkpoints: ``CHECKPOINTS/PROFILE``, with checkpoints, weights and logs.
    """

    results: Path
    checkpoints: Path

    def weights_path(self, job: Job) -> Path:
        """Path of a finished run's weights."""
        return self._path(job.path, "weights")

    def terms_path(self, job: Job) -> Path:
        """Path of the modules that a finished run trained beside its network."""
        return self._path(job.path, "terms")

    def teacher_path(self, job: Job) -> Path:
        """Path of a teacher's weights among the results."""
        return below(self.results / "teachers", teacher_file(job.network, job.recipe.name, job.seed, job.id))

    def weights(self, job: Job) -> Path | None:
        """The weights file of the trained network, among the teachers or the checkpoints; None if there is none."""
        return self.weights_of(job.path, self.teacher_path(job).name)

    def weights_of(self, place: str, kept: str) -> Path | None:
        """As `weights`, from a job's ``path`` and the name of its file among the teachers."""
        return _first([below(self.results / "teachers", kept), *self._candidates(place, "weights")])

    def terms(self, job: Job) -> Path | None:
        """The file of the modules trained beside the network; None if there is none."""
        return _first(self._candidates(job.path, "terms"))

    def keep_teacher(self, job: Job, weights: Path | None = None) -> Path:
        """Copy a trained network's weights to the teachers and return the path of the copy.

        Args:
            job: the job that trained it.
            weights: the file to copy; None for the one below the checkpoints.
        """
        kept = self.teacher_path(job)
        write_atomically(kept, (weights or self.weights_path(job)).read_bytes())
        return kept

    def digests(self, job: Job) -> dict[str, str]:
        """SHA-256 of the files that the job left below the checkpoints, by the part of the record that states it."""
        files = {part: self._path(job.path, part) for part in _LEFT if job.leaves_weights}
        return {part: file_digest(path) for part, path in files.items() if path.is_file()}

    def share(self, job: Job, parts: Iterable[str]) -> None:
        """Write pointers to files that the job left, by the part of the record that states their SHA-256."""
        for part in parts:
            write_atomically(self._pointer(job.path, part), os.fsencode(self._path(job.path, part).resolve()))

    def drop_unrecorded(self, job: Job, record: Record) -> None:
        """Remove files below the checkpoints that differ from the job's record."""
        for part, found in self.digests(job).items():
            if getattr(record, part) not in (None, found):
                self._path(job.path, part).unlink()

    def _path(self, place: str, part: str) -> Path:
        return below(self.checkpoints / "weights", f"{place}{_LEFT[part]}")

    def _pointer(self, place: str, part: str) -> Path:
        """Path of a file that tells other commands that share the results where a weights file lies."""
        return below(self.results / SHARED / "weights", f"{place}{_LEFT[part]}.path")

    def _candidates(self, place: str, part: str) -> Iterator[Path]:
        """Where a weights file may lie: below these checkpoints, and where the command that trained it put it."""
        yield self._path(place, part)
        pointer = self._pointer(place, part)
        with suppress(OSError, ValueError):
            if pointer.is_file():  # reading a pipe would block
                yield Path(os.fsdecode(pointer.read_bytes()))


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


def _first(paths: Iterable[Path]) -> Path | None:
    """The first path that is a file."""
    for path in paths:
        with suppress(OSError):
            if path.is_file():
                return path
    return None
