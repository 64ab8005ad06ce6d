"""The statistics of one metric at one epoch: as tables, as sentences, and as the page reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pandas as pd

from benchmark.report.leaderboard import statistics
from benchmark.report.leaderboard.statistics import RankTest
from benchmark.report.leaderboard.statistics.marks import FEWEST_RUNS, LEVEL
from benchmark.report.leaderboard.statistics.scores import BASELINES

NO_NUMBERS = "It has no numbers yet."
"""The reason for methods whose runs are still missing."""

_PAGE_COLUMNS = ("mean", "sd", "n", *(f"gain_{end}{part}" for end in BASELINES for part in ("", "_sd", "_n")), "best")
"""The columns of `by_pair` that the page shows."""
_LEVEL = 0.05
_SIDES: Mapping[str, int] = MappingProxyType({"better": 1, "worse": -1})


@dataclass(frozen=True, eq=False)
class LeaderboardStatistics:
    """The statistics of finished runs.

    Attributes:
        scores: columns ``method, pair, seed, value``, one row a finished run of a student.
        higher: whether more is better.
        teachers: the teacher's value by pair; pairs may be missing.
        decimals: decimals of means as printed.
        titles: labels of methods, by name.
        printed: whether the numbers are those of a publication, without their spread.
        lacking: a sentence by method that says why it has no number, used for methods without any.
    """

    scores: pd.DataFrame
    higher: bool
    teachers: Mapping[str, float]
    decimals: int
    titles: Mapping[str, str]
    printed: bool = False
    lacking: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row for each method and pair, see `statistics.by_pair`."""
        return statistics.by_pair(self.scores, higher=self.higher, teachers=self.teachers, decimals=self.decimals)

    @cached_property
    def methods(self) -> pd.DataFrame:
        """One row for each method, see `statistics.across`; methods without a number have one with the reason."""
        found = self._ranking.methods
        lacking = {name: reason for name, reason in self.lacking.items() if name not in set(found["method"])}
        if not lacking:
            return found
        rows = {"method": list(lacking), "pairs": 0, "ranked": False, "reason": list(lacking.values())}
        return found.merge(pd.DataFrame(rows), how="outer", on=list(rows))

    @property
    def near(self) -> set[tuple[str, str]]:
        """Methods and pairs where the method is not significantly worse than the best."""
        marked = self.pairs[self.pairs["near"].astype(bool)]
        return set() if self.printed else set(zip(marked["method"], marked["pair"], strict=True))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the ranking is based on, the results of the tests, and how large a gap has to be."""
        return (*self._basis(), *self._tested(), *self._against_kd(), *self._resolved())

    def page_data(self) -> dict[str, Any]:
        """The statistics in the form of JSON; the result of Friedman's test is not among the sentences."""
        test, near = self._test, self.near
        cells: dict[str, dict[str, Any]] = {}
        for line in _lines(self.pairs):
            pair = line["method"], line["pair"]
            cells.setdefault(pair[0], {})[pair[1]] = {key: line[key] for key in _PAGE_COLUMNS} | {"near": pair in near}
        return {
            "basis": list(self._basis()),
            "sentences": [*self._against_kd(), *self._resolved()],
            "shared_pairs": list(self._ranking.shared),
            "methods": {line.pop("method"): line for line in _lines(self.methods)},
            "cells": cells,
            "friedman": {"statistic": test.statistic, "p": test.p} if test else None,
            "critical_difference": test.critical_difference if test else None,
            "groups": [list(group) for group in test.groups] if test else [],
        }

    @cached_property
    def _ranking(self) -> statistics.Ranking:
        return statistics.across(self.scores, higher=self.higher, teachers=self.teachers, decimals=self.decimals)

    @cached_property
    def _test(self) -> RankTest | None:
        return statistics.rank_test(self._ranking)

    def _title(self, method: str) -> str:
        return self.titles.get(method, method)

    def _basis(self) -> Iterator[str]:
        shared, ranked = len(self._ranking.shared), int(self.methods["ranked"].sum())
        pairs = self.scores["pair"].nunique()
        others = self.methods[self.methods["reason"] != ""].to_dict("records")
        if ranked:
            part = "" if shared == pairs else f" of {pairs}, those that all ranked methods have"
            what = f"{_many(ranked, 'method')} on {_many(shared, 'pair')}{part}"
            yield f"Ranks and means: {what}{self._seeds()}{self._intervals()}."
        else:
            yield "There are no numbers to rank yet."
            others = [line for line in others if not line["pairs"]]
        for line in others:
            if line["reason"] != NO_NUMBERS:
                yield f"{self._title(line['method'])} is not ranked. {line['reason']}"
        if ranked and (waiting := [self._title(line["method"]) for line in others if line["reason"] == NO_NUMBERS]):
            yield f"Methods without numbers yet: {', '.join(waiting)}."

    def _seeds(self) -> str:
        """The seeds that count; empty where no run is left out."""
        used, had = self._ranking.seeds, self._ranking.had
        return "" if used == had else f", on the seeds that all of them have ({_range(used)} of {max(had)})"

    def _intervals(self) -> str:
        """Whether gains have intervals; empty where there are no gains."""
        others = [(end, self.methods[self.methods["method"] != baseline]) for end, baseline in BASELINES.items()]
        gains, lows = (any(lines[f"gain_{end}{part}"].notna().any() for end, lines in others) for part in ("", "_low"))
        few = "; too few pairs for intervals" if gains else ""
        return "; 95 % bootstrap intervals" if lows else few

    def _tested(self) -> Iterator[str]:
        if (test := self._test) is not None:
            yield (
                f"Friedman's test over these pairs: p = {_p(test.p)}. Average ranks differ significantly if they are "
                f"{test.critical_difference:.2f} or more apart (Nemenyi's test, 5 %)."
            )

    def _against_kd(self) -> Iterator[str]:
        if (test := self._test) is None:
            return
        tested = test.against_kd.dropna(subset=["p_holm"])
        if tested.empty:
            return
        found = tested[tested["p_holm"] < _LEVEL]
        sides = {word: found[found["direction"] == sign]["method"] for word, sign in _SIDES.items()}
        results = [f"{word}: {', '.join(map(self._title, names))}" for word, names in sides.items() if len(names)]
        what = "; ".join(results) or "no method is significantly better or worse"
        yield f"Signed-rank tests of the gains over KD on these pairs (5 %, Holm's correction): {what}."

    def _resolved(self) -> Iterator[str]:
        if self.scores.empty:
            return
        if self.printed:
            yield "Printed numbers come without their spread, so differences on single pairs cannot be tested."
            return
        found = statistics.resolvable(self.scores)
        if found is None:
            yield f"Differences on single pairs are not tested: that takes {FEWEST_RUNS} seeds."
            return
        sd, gap = (f"{value:.{self.decimals}f}" for value in (found.sd, found.gap))
        yield (
            f"On single pairs, methods are compared with the best by Tukey's test over all methods of the pair "
            f"({100 * LEVEL:g} %), with the largest of the pooled variance and those of the two methods. With "
            f"{found.seeds} seeds, {found.methods} methods and the typical standard deviation, {sd}, a gap of {gap} is "
            "significant."
        )
        if few := int((self.pairs["n"] < FEWEST_RUNS).sum()):
            yield f"Not tested: {few} of {_many(len(self.pairs), 'cell')}, which have fewer than {FEWEST_RUNS} seeds."


def _range(numbers: Sequence[int]) -> str:
    """``1`` or ``1 to 3``."""
    return " to ".join(map(str, sorted({min(numbers), max(numbers)})))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else f'{noun}s'}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-")


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries of plain Python values; unknown values are None."""
    return [{str(key): _plain(value) for key, value in line.items()} for line in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    plain = value.item() if hasattr(value, "item") else value
    return round(plain, 6) if isinstance(plain, float) else plain
