"""Stored records without their jobs: all of a folder, or those whose id begins with a text."""

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
    """A record and its file.

    Attributes:
        path: path of the file.
        place: path below the records without suffix, which is the job's ``path``.
        record: content of the file.
    """

    path: Path
    place: str
    record: Record

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.record.id

    @property
    def recipe(self) -> str:
        """Name of the recipe; of an analysis that of its network."""
        return self._part("recipe")

    @property
    def teacher(self) -> str | None:
        """Registry name of the teacher's network, or None."""
        teacher = self._part("teacher")
        return None if teacher == _NO_TEACHER else teacher

    @property
    def student(self) -> str:
        """Registry name of the job's network."""
        return self._part("student")

    @property
    def method(self) -> str:
        """Name of the objective, as in ``kd+srrl[sr]`` or ``student``."""
        return self.record.method or self._part("method").partition("@")[0]

    @property
    def has_matching_path(self) -> bool:
        """Whether the path agrees with the method's name in the record."""
        folder = self._part("method")
        _, at, what = folder.partition("@")
        return folder == path_part(f"{self.method}{at}{what}")

    def weights(self, results: Path, checkpoints: Path) -> Path | None:
        """The network's weights file, or None."""
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
                    yield _stored(path, path.relative_to(self._root).with_suffix("").as_posix(), record)
            except UnfitError as error:
                leave_out(path, error)


def _stored(path: Path, place: str, record: Record) -> StoredRecord:
    """The stored record of a file.

    Raises:
        UnfitError: the path and the record disagree.
    """
    known, spec = StoredRecord(path, place, record), record.spec
    if _PLACE.fullmatch(place) is None or not place.endswith(f"/seed{spec['seed']}-{short_id(record.id)}"):
        raise UnfitError(ELSEWHERE)
    if known.student != spec["network"] or not known.has_matching_path:
        raise UnfitError(ELSEWHERE)
    return known
