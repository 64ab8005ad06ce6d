"""Comparisons: weighted sums of cells that lie within bounds if a claim is true."""

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
"""Bounds of a difference whose sign alone is claimed."""


@dataclass(frozen=True, eq=False)
class Setting:
    """An evaluation setting of a table, in which methods are compared: a pair, a metric, and a probe or none.

    Attributes:
        table: the table's name.
        pair: ``teacher:student``.
        probe: name of the probe's recipe, empty without a probe.
        metric: key of the metric.
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

    def lead(self, method: str, rival: str, factor: float = 1.0) -> Iterator[tuple[str, float]]:
        """The two cells of ``factor`` times the lead of ``method`` over ``rival``, with their weights.

        A lead is positive where ``method`` is better, whether the metric is an accuracy or a loss.

        Raises:
            UserError: the paper does not print one of the cells.
        """
        sign = 1.0 if metric(self.metric).higher else -1.0
        for name, weight in ((method, sign * factor), (rival, -sign * factor)):
            cell = self.cells[name]
            if cell.paper is None:
                raise UserError(f"the paper does not print {cell.key}: leave it out by 'tables', 'pairs' or 'than'")
            yield cell.key, weight


@dataclass(frozen=True)
class Comparison:
    """A weighted sum of cells that lies within bounds if a claim is true.

    Attributes:
        weights: of the cells, by name.
        bounds: the sum is greater than the first and less than the second.
        subject: the method and the settings that the claim is about; comparisons of one subject count as one.
        contest: the two methods and the metric.
        runs: the pairs of its cells; comparisons of one contest and of equal ``runs`` measure the same runs.
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
        settings: Sequence[Setting],
        method: str,
        rival: str,
        bounds: tuple[float, float] = POSITIVE,
        subject: str | None = None,
    ) -> Comparison:
        """The lead of one method over another, averaged over the settings that have both.

        Args:
            settings: of one metric.
            method: whose lead.
            rival: over whom.
            bounds: of the average.
            subject: the method that the claim is about, where it is not ``method``.
        """
        both = [setting for setting in settings if {method, rival} <= setting.cells.keys()]
        where = _describe(both)
        return cls(
            weights=_sum(pair for setting in both for pair in setting.lead(method, rival, 1 / len(both))),
            bounds=bounds,
            subject=f"{subject or method}, {where}",
            contest=f"{method} over {rival}, {both[0].metric}",
            runs=" ".join(dict.fromkeys(f"{setting.table}/{setting.pair}" for setting in both)),
            text=f"{method} over {rival}, {where}",
        )

    @classmethod
    def of_leads(
        cls, settings: Sequence[Setting], compared: Sequence[Setting], method: str, rivals: Sequence[str]
    ) -> Comparison:
        """The difference between the average leads over some rivals in two groups of settings.

        Raises:
            UserError: the settings differ in the metric.
        """
        if len({setting.metric for setting in (*settings, *compared)}) > 1:
            raise UserError(f"leads of {method} are compared in several metrics: name one, for all settings")
        leads = (
            pair
            for group, sign in ((settings, 1.0), (compared, -1.0))
            for setting in group
            for rival in rivals
            for pair in setting.lead(method, rival, sign / len(group) / len(rivals))
        )
        text = f"lead of {method} over {', '.join(rivals)}: {_describe(settings)} less {_describe(compared)}"
        return cls(_sum(leads), POSITIVE, f"{method}, {_describe(settings)}", contest=text, runs=text, text=text)

    @property
    def sign_only(self) -> Comparison:
        """The same comparison without a margin, for data on which the paper's margins mean nothing."""
        return replace(self, bounds=POSITIVE)

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of its cells."""
        return tuple(name for name, _ in self.weights)

    def slack(self, total: float) -> float:
        """Distance of a sum to the nearer bound, negative outside the bounds."""
        return min(total - self.bounds[0], self.bounds[1] - total)

    def total(self, values: Mapping[str, float]) -> float:
        """The weighted sum of the cells' values."""
        return math.fsum(weight * values[name] for name, weight in self.weights)


def evaluation_settings(table: Table) -> list[Setting]:
    """The settings in which a table compares methods, in print order."""
    groups: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for cell in table.cells:
        if metric(cell.metric).higher is not None and cell.applies:
            key = cell.pair, cell.probe or "", cell.metric
            groups.setdefault(key, {})[cell.method] = cell
    return [Setting(table.name, *key, cells) for key, cells in groups.items()]


def select_settings(settings: Sequence[Setting], key: str, patterns: Sequence[str]) -> list[Setting]:
    """The settings whose ``pair``, ``metric`` or ``probe`` (the key) matches a wildcard.

    Raises:
        UserError: a pattern matches nothing.
    """
    names = dict.fromkeys(getattr(setting, key) for setting in settings)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"no {key} matches '{pattern}': there are {', '.join(filter(None, names))}")
    return [setting for setting in settings if any(fnmatchcase(getattr(setting, key), one) for one in patterns)]


def _sum(weights: Iterator[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    total: dict[str, float] = {}
    for name, weight in weights:
        total[name] = total.get(name, 0.0) + weight
    return tuple(total.items())


def _describe(settings: Sequence[Setting]) -> str:
    if len(settings) == 1:
        return settings[0].name
    counts = [f"{table} ({len([*group])})" for table, group in groupby(settings, key=lambda setting: setting.table)]
    return f"mean of {len(settings)} settings of {', '.join(counts)}"
