"""Top-1 accuracies that others have published, from ``tables/published.csv``.

Numbers of one suite share teachers, data and recipe; numbers of different suites are not comparable.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from benchmark.errors import UserError, unknown
from benchmark.runs.names import MethodName, parse_method
from benchmark.tables import reader
from benchmark.yaml_schema import in_words

FILE = reader.TABLES / "published.csv"


class Suite(NamedTuple):
    """A family of recipes.

    Attributes:
        title: what its numbers have in common.
        dataset: name of the data set.
    """

    title: str
    dataset: str


SUITES: Mapping[str, Suite] = {
    "cifar100-crd": Suite("CRD's teachers and recipe: 240 epochs, batch 64", "cifar100"),
    "cifar100-mlkd": Suite("two views, 480 or 960 epochs, rate 0.025", "cifar100"),
    "cifar100-reviewkd": Suite("ReviewKD's recipe: batch 128, rate 0.1, teacher in train mode", "cifar100"),
    "cifar100-simkd": Suite("KD of weight 1 beside each method", "cifar100"),
    "cifar100-skd": Suite("rate 0.1, also for the teachers; two editions with different teachers", "cifar100"),
    "imagenet": Suite("ImageNet, each source by its own recipe", "imagenet"),
    "imagenet-torchdistill": Suite("ImageNet, single runs of torchdistill", "imagenet"),
    "tiny-imagenet": Suite("Tiny ImageNet", "tiny-imagenet"),
}
"""The suites of the file, by name."""

_Text = Annotated[str, Meta(min_length=1)]


class PublishedNumber(Struct, frozen=True, forbid_unknown_fields=True):
    """One printed number.

    Attributes:
        suite: one of `SUITES`.
        teacher: registry name of the teacher's network.
        student: registry name of the student's network.
        printed: the method as the source calls it.
        top1: accuracy on the test images in percent.
        selection: the epoch that was tested: ``last``, ``best`` on the test images, or ``unknown``.
        source: where the number is printed.
        method: the method as this project spells it; empty where it has no such method.
        std: standard deviation over seeds in percentage points; None where it is not printed.
        year: year of the source; None where the source quotes others.
    """

    suite: _Text
    teacher: _Text
    student: _Text
    printed: _Text
    top1: Annotated[float, Meta(gt=0, le=100)]
    selection: Literal["last", "best", "unknown"]
    source: _Text
    method: str = ""
    std: Annotated[float, Meta(gt=0, le=100)] | None = None
    year: Annotated[int, Meta(ge=1990, le=2100)] | None = None

    @property
    def pair(self) -> str:
        """The networks as ``TEACHER:STUDENT``."""
        return f"{self.teacher}:{self.student}"


COLUMNS = frozenset(PublishedNumber.__struct_fields__)
_MAY_BE_EMPTY = {"method", "std", "year"}


def load(path: Path = FILE) -> tuple[PublishedNumber, ...]:
    """Read the published numbers, in the order of the file.

    Raises:
        UserError: the file cannot be read, lacks a column, or a line has an unknown suite, a value that does not fit,
            or the content of another line; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            if {*(lines.fieldnames or ())} != COLUMNS:
                raise UserError(f"{path.name}, line 1: the columns must be {', '.join(sorted(COLUMNS))}")
            found: dict[PublishedNumber, int] = {}
            for line in lines:
                number = _number(f"{path.name}, line {lines.line_num}", line)
                if first := found.get(number):
                    raise UserError(f"{path.name}, line {lines.line_num}: it repeats line {first}: delete one")
                found[number] = lines.line_num
            return tuple(found)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path.name}: cannot be read ({error})") from None


def _number(place: str, line: Mapping[str | None, str | list[str] | None]) -> PublishedNumber:
    if None in line or None in line.values():
        raise UserError(f"{place}: it must have {len(COLUMNS)} values, one for each column")
    if lacking := {key for key, value in line.items() if not value} - _MAY_BE_EMPTY:
        raise UserError(f"{place}: {min(map(str, lacking))}: it is empty")
    try:
        number = msgspec.convert({key: value for key, value in line.items() if value}, PublishedNumber, strict=False)
    except msgspec.ValidationError as error:
        message, _, column = str(error).partition(" - at `$.")
        raise UserError(f"{place}: {column.rstrip('`')}: {in_words(message)}") from None
    if number.suite not in SUITES:
        raise UserError(f"{place}: {unknown('suite', number.suite, SUITES)}")
    return number


def by_method(numbers: Iterable[PublishedNumber]) -> dict[MethodName, list[PublishedNumber]]:
    """Numbers by method; those of methods that this project does not have are left out."""
    spelled: dict[str, list[PublishedNumber]] = defaultdict(list)
    for number in numbers:
        spelled[number.method].append(number)
    found: dict[MethodName, list[PublishedNumber]] = defaultdict(list)
    for spelling, group in spelled.items():
        # A method whose file cannot be read is unknown: that fails no other command.
        with suppress(UserError):
            if spelling:
                found[parse_method(spelling)] += group
    return dict(found)


class Overstatement(NamedTuple):
    """How much the best epoch on the test images is above the last, in percentage points.

    Attributes:
        logs: number of logs that state both.
        means: least and largest mean of a method's logs.
        largest: of a single log.
    """

    logs: int
    means: tuple[float, float]
    largest: float


def overstatement(numbers: Sequence[PublishedNumber]) -> Overstatement | None:
    """Compare the best and the last epoch where one source prints both; None where none does."""
    logs: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for one in numbers:
        logs[one.printed, one.suite, one.pair, one.source][one.selection] = one.top1
    gaps: dict[str, list[float]] = defaultdict(list)
    for (method, *_), epochs in logs.items():
        if {"last", "best"} <= epochs.keys():
            gaps[method].append(epochs["best"] - epochs["last"])
    if not gaps:
        return None
    means = [fmean(each) for each in gaps.values()]
    every = [gap for each in gaps.values() for gap in each]
    return Overstatement(len(every), (min(means), max(means)), max(every))
