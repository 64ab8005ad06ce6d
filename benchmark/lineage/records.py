"""Stored records without their jobs: all of a folder, or those whose id begins with a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.ids import short_id
from benchmark.runs.names import NO_TEACHER, path_part
from benchmark.runs.record import Record
from benchmark.runs.record_file import ELSEWHERE, UnfitError, leave_out, read
from benchmark.runs.weight_files import WeightFiles, teacher_file

_PLACE = re.compile(r"(?P<recipe>[^/]+)/(?P<teacher>.+?)--(?P<student>[^/]+)/(?P<method>[^/]+)/(?P<job>[^/]+)")


@dataclass(frozen=True)
class StoredRecord:
    """A record and its file.

    Attributes:
        path: path of the file.
        place: path below the records without suffix, which is the job's ``path``.
        record: content of the file.
        recipe: name of the recipe; of an analysis that of its network.
        teacher: registry name of the teacher's network, or None.
        student: registry name of the job's network.
        method: name of the objective, as in ``kd+srrl[sr]`` or ``student``.
    """

    path: Path
    place: str
    record: Record
    recipe: str
    teacher: str | None
    student: str
    method: str

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.record.id

    def weights(self, results: Path, checkpoints: Path) -> Path | None:
        """The network's weights file, or None."""
        kept = teacher_file(self.student, self.recipe, self.record.spec["seed"], self.id)
        return WeightFiles(results, checkpoints).weights_of(self.place, kept)


@dataclass(frozen=True)
class Archive:
    """The records of one profile.

    Attributes:
        results: ``RESULTS/PROFILE``.
    """

    results: Path

    def __iter__(self) -> Iterator[StoredRecord]:
        """All records, sorted by path.

        Invalid files are left out with an ``UnfitRecordWarning``.

        Raises:
            UserError: a newer revision of the project wrote one.
        """
        return self._read(self._paths)

    def beginning(self, text: str) -> list[StoredRecord]:
        """The records whose ids begin with a text."""
        near = [path for path in self._paths if path.stem.rpartition("-")[2].startswith(short_id(text))]
        return [known for known in self._read(near) if known.id.startswith(text)]

    def teachers(self, known: StoredRecord) -> list[StoredRecord]:
        """The records of a run's teacher, that teacher's own teacher and so on, as far as they are here."""
        named = known.record.spec.get("teacher")
        found = self.beginning(named["id"])[:1] if named else []
        return [*found, *(other for teacher in found for other in self.teachers(teacher))]

    @cached_property
    def _paths(self) -> list[Path]:
        return sorted((self.results / "records").rglob("seed*.json"))

    def _read(self, paths: list[Path]) -> Iterator[StoredRecord]:
        for path in paths:
            try:
                record = read(path)
                if record is not None:
                    yield _stored(path, path.relative_to(self.results / "records").with_suffix("").as_posix(), record)
            except UnfitError as error:
                leave_out(path, error)


def _stored(path: Path, place: str, record: Record) -> StoredRecord:
    """The stored record of a file.

    Raises:
        UnfitError: the path and the record disagree.
    """
    match, spec = _PLACE.fullmatch(place), record.spec
    if match is None or match["job"] != f"seed{spec['seed']}-{short_id(record.id)}":
        raise UnfitError(ELSEWHERE)
    name, at, what = match["method"].partition("@")
    method = record.method or name
    if match["student"] != spec["network"] or match["method"] != path_part(f"{method}{at}{what}"):
        raise UnfitError(ELSEWHERE)
    teacher = None if match["teacher"] == NO_TEACHER else match["teacher"]
    return StoredRecord(path, place, record, match["recipe"], teacher, match["student"], method)
