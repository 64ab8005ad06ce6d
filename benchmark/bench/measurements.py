"""Measured numbers and what follows from them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from statistics import geometric_mean, median
from typing import NamedTuple

from benchmark.bench.columns import COHORT, SEPARATE_WAYS
from benchmark.runs.names import STUDENT

MEAN = "geometric mean"
"""The column of means over columns."""
STEP, RATE, BARE_RATE, PAIRED = "step seconds", "steps per second", "bare steps per second", "paired steps per second"
MATRIX_RATE, FLOOR_RATE = "matrix macs per second", "floor steps per second"
RATIO, BARE_RATIO, GAIN, LOSS_COST, FLOOR = "ratio", "bare ratio", "gain of cohort", "loss cost", "share of floor"


class Key(NamedTuple):
    """What a number is about.

    Attributes:
        column: as in ``11/wrn-40-2:wrn-16-2``, or `MEAN`.
        variant: a way to train, as in ``cohort``.
        method: empty for all methods together.
        quantity: names the unit; memory is in bytes.
    """

    column: str
    variant: str
    method: str
    quantity: str


class Measurement(NamedTuple):
    """One number of one round, counted from 0."""

    key: Key
    round: int
    value: float


class Spread(NamedTuple):
    """Median, least and greatest number of the rounds."""

    value: float
    low: float
    high: float


Summary = Mapping[Key, Spread]


def summarise(measured: Sequence[Measurement]) -> Summary:
    """Measurements, and what follows from those of the same round, over all rounds.

    ``ratio``: a variant's steps per second over those of separate trainings done in the faster way. Where a variant was
    not measured beside them, the cohort's ratio over the cohort's gain. ``bare ratio``: the same without the time of
    the losses on either side. ``gain of cohort``: the cohort's steps per second over the variant's. ``loss cost``: the
    time of a method's step over that of the plain student's, minus 1. ``share of floor``: steps per second over what
    the machine's matrix rate would allow. The first three have a geometric mean over columns, too.
    """
    plain = _spreads(measured)
    known = {(m.key, m.round): m.value for m in measured}
    derived = [found for m in measured for found in _derived(m, known, baseline(plain, m.key.column))]
    return _spreads([*measured, *derived, *_means(derived)])


def baseline(summary: Summary, column: str) -> str:
    """The faster way to do a column's separate trainings, by the median of the rounds."""
    nothing = Spread(0.0, 0.0, 0.0)
    return max(SEPARATE_WAYS, key=lambda way: summary.get(Key(column, way, "", RATE), nothing).value)


def _spreads(measured: Sequence[Measurement]) -> Summary:
    values: dict[Key, list[float]] = {}
    for m in measured:
        values.setdefault(m.key, []).append(m.value)
    return {key: Spread(median(found), min(found), max(found)) for key, found in values.items()}


def _derived(m: Measurement, known: Mapping[tuple[Key, int], float], base: str) -> Iterator[Measurement]:
    """What follows from one measurement and others of its round, where they are known."""
    column, variant, method, quantity = m.key

    def at(variant: str, quantity: str, method: str = "", number: int = m.round) -> float:
        return known.get((Key(column, variant, method, quantity), number), 0.0)

    def made(quantity: str, value: float) -> Measurement:
        return m._replace(key=m.key._replace(quantity=quantity), value=value)

    if quantity == RATE and (floor := at(variant, FLOOR_RATE, number=0)):
        yield made(FLOOR, m.value / floor)
    for rate, ratio in ((RATE, RATIO), (BARE_RATE, BARE_RATIO)):
        if quantity == rate and variant != base and (separate := at(base, rate)):
            yield made(ratio, m.value / separate)
    if quantity == PAIRED and variant != COHORT:
        gain = at(COHORT, PAIRED) / m.value
        yield made(GAIN, gain)
        if (cohort := at(COHORT, RATE)) and (separate := at(base, RATE)):
            yield made(RATIO, cohort / separate / gain)
    if quantity == STEP and variant == COHORT and method != STUDENT:
        yield made(LOSS_COST, m.value / at(COHORT, STEP, STUDENT) - 1)


def _means(derived: Sequence[Measurement]) -> Iterator[Measurement]:
    """Geometric means over columns; separate trainings have none, since the faster way differs between columns."""
    groups: dict[tuple[Key, int], list[float]] = {}
    for m in derived:
        if m.key.quantity in (RATIO, BARE_RATIO, GAIN) and m.key.variant not in SEPARATE_WAYS:
            groups.setdefault((m.key._replace(column=MEAN), m.round), []).append(m.value)
    return (Measurement(key, number, geometric_mean(values)) for (key, number), values in groups.items())


def to_csv(summary: Summary, machine: str) -> str:
    """A summary as CSV, with the machine in each line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["machine", *Key._fields, *Spread._fields])
    writer.writerows([machine, *key, *(f"{number:.6g}" for number in spread)] for key, spread in summary.items())
    return text.getvalue()
