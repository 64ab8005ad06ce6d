"""What a claim comes to: weighted sums of cells, each within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby

from benchmark.errors import UserError
from benchmark.runs.metrics import metric
from benchmark.tables.table import Cell, Table

POSITIVE = (0.0, math.inf)
"""Bounds of a difference of which only the sign is claimed."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a table compares methods: one pair, by one metric, through a probe or not.

    Attributes:
        table: its name.
        pair: ``teacher:student``.
        probe: name of the probe's recipe, empty without one.
        metric: which number of a record.
        cells: by method, ``student`` and ``teacher`` among them.
    """

    table: str
    pair: str
    probe: str
    metric: str
    cells: Mapping[str, Cell]

    @property
    def name(self) -> str:
        """``table06/wrn-40-4:wrn-16-2/top1``."""
        return "/".join(filter(None, (self.table, self.pair, self.probe, self.metric)))

    def lead(self, method: str, rival: str, share: float = 1.0) -> Iterator[tuple[str, float]]:
        """The cells of a lead and their weights; more is better.

        Args:
            method: whose.
            rival: over whom.
            share: factor on the lead.
        """
        sign = 1.0 if metric(self.metric).higher else -1.0
        yield self.cells[method].key, sign * share
        yield self.cells[rival].key, -sign * share


@dataclass(frozen=True)
class Comparison:
    """A weighted sum of cells that lies within bounds if a claim is true.

    Attributes:
        weights: of the cells, by name.
        bounds: the sum is greater than the first and less than the second.
        subject: whom and where the claim speaks of; comparisons that agree in it count as one cell.
        contest: the two methods and the metric; comparisons that agree in it are of one kind.
        runs: the pairs of its cells; comparisons of one kind that agree in it rest on the same runs.
        text: for people, ``srrl over kd, table06/wrn-40-4:wrn-16-2/top1``.
    """

    weights: tuple[tuple[str, float], ...]
    bounds: tuple[float, float]
    subject: str
    contest: str
    runs: str
    text: str

    @classmethod
    def of(
        cls,
        places: Sequence[Place],
        method: str,
        rival: str,
        bounds: tuple[float, float] = POSITIVE,
        subject: str | None = None,
    ) -> Comparison:
        """The lead of one method over another, averaged over the places that have both.

        Args:
            places: where, of one metric.
            method: whose.
            rival: over whom.
            bounds: of the average.
            subject: the method that the claim speaks of, where it is not ``method``.
        """
        both = [place for place in places if {method, rival} <= place.cells.keys()]
        where = _spoken(both)
        return cls(
            weights=_summed(pair for place in both for pair in place.lead(method, rival, 1 / len(both))),
            bounds=bounds,
            subject=f"{subject or method}, {where}",
            contest=f"{method} over {rival}, {both[0].metric}",
            runs=" ".join(dict.fromkeys(f"{place.table}/{place.pair}" for place in both)),
            text=f"{method} over {rival}, {where}",
        )

    @classmethod
    def of_leads(
        cls, places: Sequence[Place], compared: Sequence[Place], method: str, rivals: Sequence[str]
    ) -> Comparison:
        """By how much the average lead over some rivals is larger at some places than at the compared ones.

        Raises:
            UserError: the places do not agree in the metric.
        """
        if len({place.metric for place in (*places, *compared)}) > 1:
            raise UserError(f"leads of {method} are compared in several metrics: name one, for all places")
        sides = ((places, 1.0), (compared, -1.0))
        leads = (
            pair
            for side, sign in sides
            for place in side
            for rival in rivals
            for pair in place.lead(method, rival, sign / len(side) / len(rivals))
        )
        text = f"lead of {method} over {', '.join(rivals)}: {_spoken(places)} less {_spoken(compared)}"
        return cls(_summed(leads), POSITIVE, f"{method}, {_spoken(places)}", contest=text, runs=text, text=text)

    @property
    def sign_only(self) -> Comparison:
        """The same without a margin, for data on which the paper's margins mean nothing."""
        return replace(self, bounds=POSITIVE)

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of its cells."""
        return tuple(name for name, _ in self.weights)

    def slack(self, total: float) -> float:
        """How far a sum lies within the bounds; not above 0 outside."""
        return min(total - self.bounds[0], self.bounds[1] - total)

    def total(self, values: Mapping[str, float]) -> float:
        """The weighted sum of the cells' values."""
        return math.fsum(weight * values[name] for name, weight in self.weights)


def places_of(table: Table) -> list[Place]:
    """Where a table compares methods, in print order."""

    def place(cell: Cell) -> tuple[str, str, str]:
        return cell.pair, cell.probe or "", cell.metric

    groups: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for cell in table.cells:
        if metric(cell.metric).higher is not None and cell.applies:
            groups.setdefault(place(cell), {})[cell.method] = cell
    return [Place(table.name, *key, cells) for key, cells in groups.items()]


def chosen(places: Sequence[Place], key: str, patterns: Sequence[str] | None, where: str) -> list[Place]:
    """The places of some pairs, metrics or probes.

    Args:
        places: all.
        key: ``pairs``, ``metrics`` or ``probes``.
        patterns: names or wildcards; None for all.
        where: for errors.

    Raises:
        UserError: a pattern matches nothing.
    """
    if patterns is None:
        return [*places]
    attribute = key.removesuffix("s")
    names = dict.fromkeys(getattr(place, attribute) for place in places)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"{where}: no {attribute} matches '{pattern}': there are {', '.join(filter(None, names))}")
    return [place for place in places if any(fnmatchcase(getattr(place, attribute), one) for one in patterns)]


def _summed(weights: Iterator[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    total: dict[str, float] = {}
    for name, weight in weights:
        total[name] = total.get(name, 0.0) + weight
    return tuple(total.items())


def _spoken(places: Sequence[Place]) -> str:
    if len(places) == 1:
        return places[0].name
    counts = [f"{table} ({len([*group])})" for table, group in groupby(places, key=lambda place: place.table)]
    return f"mean of {len(places)} places of {', '.join(counts)}"
