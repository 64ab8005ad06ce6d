"""What was measured, and what follows from it: plain rows, tidy enough for any tool."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from statistics import median

from benchmark.bench.columns import COHORT, WAYS
from benchmark.runs.names import STUDENT

MEAN = "geometric mean"
"""Stands in place of a column's name."""
STEP, RATE, BARE_RATE, PAIRED = "step seconds", "steps per second", "bare steps per second", "paired steps per second"
MATRIX_RATE, FLOOR_RATE = "matrix macs per second", "floor steps per second"
OTHERS = "share of processors taken by others"
RATIO, BARE_RATIO, GAIN, LOSS_COST, FLOOR = "ratio", "bare ratio", "gain of cohort", "loss cost", "share of floor"


@dataclass(frozen=True)
class Measurement:
    """One number of one round.

    Attributes:
        column: as in ``11/wrn-40-2:wrn-16-2``.
        variant: how it was trained: ``separate``, ``cohort`` ...
        method: empty where it is about all.
        quantity: what the number is.
        round: counted from 0.
        value: in the unit that the quantity names; bytes for memory.
    """

    column: str
    variant: str
    method: str
    quantity: str
    round: int
    value: float


@dataclass(frozen=True)
class Row:
    """One number over all rounds.

    Attributes:
        column: as of `Measurement`, or `MEAN`.
        variant: as of `Measurement`.
        method: as of `Measurement`.
        quantity: as of `Measurement`.
        value: the rounds' median.
        low: the least of the rounds.
        high: the greatest of the rounds.
    """

    column: str
    variant: str
    method: str
    quantity: str
    value: float
    low: float
    high: float


def baseline(found: Iterable[Measurement | Row], column: str) -> str:
    """The better way to do a column's separate trainings: more steps a second in the median of the rounds."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in found:
        if (number.column, number.quantity) == (column, RATE) and number.variant in WAYS:
            rates[number.variant].append(number.value)
    return max(WAYS, key=lambda way: median(rates[way] or [0.0]))


def derived(measured: Sequence[Measurement]) -> list[Measurement]:
    """What follows from measurements of the same round.

    ``ratio``: steps a second of a variant over those of separate trainings done in the better way; by way of the
    cohort's where they were not measured side by side. ``bare ratio``: the same without what the losses cost on either
    side. ``gain of cohort``: steps a second of the cohort over those of a variant of it.
    ``loss cost``: what a method's step takes beyond the plain student's, as a share of it. ``share of floor``: steps a
    second over those that the machine's matrix rate would allow. All but the last two come once more as the geometric
    mean of all columns.
    """
    known = {(m.column, m.variant, m.method, m.quantity, m.round): m.value for m in measured}
    better = {column: baseline(measured, column) for column in {m.column for m in measured}}
    found = []
    for m in measured:
        way = better[m.column]
        bases = {
            RATE: [(RATIO, (way, "", RATE, m.round)), (FLOOR, (m.variant, "", FLOOR_RATE, 0))],
            BARE_RATE: [(BARE_RATIO, (way, "", BARE_RATE, m.round))],
        }
        for quantity, key in bases.get(m.quantity, ()):
            base = known.get((m.column, *key))
            if base and key[0:3:2] != (m.variant, m.quantity):  # nobody is compared with itself
                found.append(replace(m, quantity=quantity, value=m.value / base))
        if m.quantity == PAIRED and m.variant != COHORT:
            gain = known[m.column, COHORT, "", PAIRED, m.round] / m.value
            found.append(replace(m, quantity=GAIN, value=gain))
            cohort, separate = (known.get((m.column, name, "", RATE, m.round)) for name in (COHORT, way))
            if cohort and separate:
                found.append(replace(m, quantity=RATIO, value=cohort / separate / gain))
        if m.quantity == STEP and m.variant == COHORT and m.method != STUDENT:
            plain = known[m.column, COHORT, STUDENT, STEP, m.round]
            found.append(replace(m, quantity=LOSS_COST, value=m.value / plain - 1))
    return [*found, *_means(found)]


def _means(found: Sequence[Measurement]) -> Iterator[Measurement]:
    groups: dict[tuple[str, str, int], list[float]] = {}
    for m in found:
        if m.quantity in (RATIO, BARE_RATIO, GAIN) and m.variant not in WAYS:
            groups.setdefault((m.variant, m.quantity, m.round), []).append(m.value)
    for (variant, quantity, number), values in groups.items():
        mean = math.exp(math.fsum(map(math.log, values)) / len(values))
        yield Measurement(MEAN, variant, "", quantity, number, mean)


def rows(measured: Sequence[Measurement]) -> list[Row]:
    """Measurements and what follows from them, over all rounds."""
    groups: dict[tuple[str, str, str, str], list[float]] = {}
    for m in (*measured, *derived(measured)):
        groups.setdefault((m.column, m.variant, m.method, m.quantity), []).append(m.value)
    return [Row(*key, median(values), min(values), max(values)) for key, values in groups.items()]


def to_csv(found: Iterable[Row], machine: str) -> str:
    """Rows as CSV, the machine first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Row)]
    writer.writerow(["machine", *names])
    for row in found:
        values = (getattr(row, name) for name in names)
        writer.writerow([machine, *(f"{value:.6g}" if isinstance(value, float) else value for value in values)])
    return text.getvalue()


class Numbers:
    """Rows by what they are of."""

    def __init__(self, found: Sequence[Row]) -> None:
        self._rows = {(row.column, row.variant, row.method, row.quantity): row for row in found}
        self.columns = tuple(dict.fromkeys(row.column for row in found if row.column != MEAN))

    def get(self, column: str, variant: str, quantity: str, method: str = "") -> Row | None:
        """One row, None where it was not measured."""
        return self._rows.get((column, variant, method, quantity))

    def value(self, column: str, variant: str, quantity: str) -> float:
        """One row's value, 0 where it was not measured."""
        row = self.get(column, variant, quantity)
        return row.value if row else 0.0

    def way(self, column: str) -> str:
        """The better way of a column's separate trainings, with which all others are compared."""
        return baseline(self._rows.values(), column)

    def methods(self) -> tuple[str, ...]:
        """The methods whose losses have a cost, in the order of their measuring."""
        return tuple(dict.fromkeys(row.method for row in self._rows.values() if row.quantity == LOSS_COST))

    def total(self, column: str, variant: str, quantity: str) -> float:
        """Sum over methods of a quantity."""
        return sum(
            row.value
            for (place, how, method, what), row in self._rows.items()
            if (place, how, what) == (column, variant, quantity) and method not in ("", STUDENT)
        )
