"""Records found without the jobs that left them: all of a folder, or one by its id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.ids import short_id
from benchmark.runs.job import path_part
from benchmark.runs.record import Record
from benchmark.runs.record_file import ELSEWHERE, UnfitError, leave_out, read
from benchmark.runs.store import Store, teacher_file

_PLACE = re.compile(r"(?P<recipe>[^/]+)/(?P<teacher>.+?)--(?P<student>[^/]+)/(?P<method>[^/]+)/seed\d+-[0-9a-f]+")
_NO_TEACHER = "none"


@dataclass(frozen=True)
class StoredRecord:
    """A record and where it lies.

    Attributes:
        path: its file.
        place: the file's path below the records, without suffix; a job's ``path``.
        record: its content.
    """

    path: Path
    place: str
    record: Record

    @property
    def id(self) -> str:
        """Of the job that left it."""
        return self.record.id

    @property
    def recipe(self) -> str:
        """Name of the recipe, that of the network for an analysis."""
        return self._part("recipe")

    @property
    def teacher(self) -> str | None:
        """Network name of the teacher, if there was one."""
        teacher = self._part("teacher")
        return None if teacher == _NO_TEACHER else teacher

    @property
    def student(self) -> str:
        """Name of the network that the record is about."""
        return self._part("student")

    @property
    def method(self) -> str:
        """Name of the objective, without what was done before or after: ``kd+srrl[sr]``, ``student``."""
        return self.record.method or self._part("method").partition("@")[0]

    @property
    def is_called_so(self) -> bool:
        """Whether the path begins the method's name as the record states it."""
        folder = self._part("method")
        _, at, what = folder.partition("@")
        return folder == path_part(f"{self.method}{at}{what}")

    def weights(self, results: Path, checkpoints: Path) -> Path | None:
        """The network's weights, if they are here."""
        kept = teacher_file(self.student, self.recipe, self.record.spec["seed"], self.id)
        return Store(results, checkpoints).weights_of(self.place, kept)

    def _part(self, name: str) -> str:
        match = _PLACE.fullmatch(self.place)
        assert match is not None
        return match[name]


@dataclass(frozen=True)
class Archive:
    """The records of one profile.

    Attributes:
        results: ``RESULTS/PROFILE``.
    """

    results: Path

    def __iter__(self) -> Iterator[StoredRecord]:
        """All records by their paths.

        What cannot be trusted is left out, with an ``UnfitRecordWarning`` that names it.

        Raises:
            UserError: a newer revision of the project wrote one.
        """
        return self._read(self._paths)

    def beginning(self, text: str) -> list[StoredRecord]:
        """The records whose ids begin so."""
        near = [path for path in self._paths if path.stem.rpartition("-")[2].startswith(short_id(text))]
        return [known for known in self._read(near) if known.id.startswith(text)]

    @cached_property
    def _paths(self) -> list[Path]:
        return sorted(self._root.rglob("seed*.json"))

    @property
    def _root(self) -> Path:
        return self.results / "records"

    def _read(self, paths: list[Path]) -> Iterator[StoredRecord]:
        for path in paths:
            try:
                record = read(path)
                if record is not None:
                    yield _known(path, path.relative_to(self._root).with_suffix("").as_posix(), record)
            except UnfitError as error:
                leave_out(path, error)


def _known(path: Path, place: str, record: Record) -> StoredRecord:
    """The record with what its path says.

    Raises:
        UnfitError: the path says something else.
    """
    known, spec = StoredRecord(path, place, record), record.spec
    if _PLACE.fullmatch(place) is None or not place.endswith(f"/seed{spec['seed']}-{short_id(record.id)}"):
        raise UnfitError(ELSEWHERE)
    if known.student != spec["network"] or not known.is_called_so:
        raise UnfitError(ELSEWHERE)
    return known
