"""Who stands where by one metric at one epoch: the statistics of a board, in words too and as the page reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pandas as pd

from benchmark.report.leaderboard import statistics
from benchmark.report.leaderboard.statistics import RankTest, Resolution
from benchmark.report.leaderboard.statistics.scores import BASELINES

_MARKS = ("best", "near", "rank")
_FEW_SEEDS = 3
_LEVEL = 0.05
_SIDES: Mapping[str, int] = MappingProxyType({"better": 1, "worse": -1})


@dataclass(frozen=True, eq=False)
class Standing:
    """The statistics of finished runs.

    Attributes:
        scores: columns ``method, pair, seed, value``, one row a finished run of a student.
        higher: whether more is better.
        teachers: a teacher's value by pair; may lack some.
        decimals: of means as printed.
        titles: of methods, by name.
        printed: whether the numbers are a publication's, of whose spread nothing is known.
    """

    scores: pd.DataFrame
    higher: bool
    teachers: Mapping[str, float]
    decimals: int
    titles: Mapping[str, str]
    printed: bool = False

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a method and pair, see `statistics.by_pair`."""
        return statistics.by_pair(self.scores, higher=self.higher, teachers=self.teachers, decimals=self.decimals)

    @property
    def methods(self) -> pd.DataFrame:
        """One row a method, see `statistics.across`."""
        return self._ranking.methods

    @property
    def near(self) -> set[tuple[str, str]]:
        """Methods and pairs where the method cannot be told from the pair's best."""
        marked = self.pairs[self.pairs["near"].astype(bool)]
        return set() if self.printed else set(zip(marked["method"], marked["pair"], strict=True))

    @property
    def sentences(self) -> tuple[str, ...]:
        """On what the ranking rests, what it can tell and what not."""
        return (*self._basis(), *self._tested(), *self._against_kd(), *self._resolved())

    def payload(self) -> dict[str, Any]:
        """The statistics as the page reads them."""
        test = self._test
        return {
            "shared_pairs": list(self._ranking.shared),
            # Friedman's test is told beside its diagram.
            "sentences": [*self._basis(), *self._against_kd(), *self._resolved()],
            "methods": {line.pop("method"): line for line in _lines(self.methods)},
            "cells": self._cells(),
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

    def _cells(self) -> dict[str, dict[str, Any]]:
        cells: dict[str, dict[str, Any]] = {}
        for line in _lines(self.pairs):
            marks = {key: line[key] for key in _MARKS}
            if self.printed:
                marks["near"] = False
            cells.setdefault(line["method"], {})[line["pair"]] = marks
        return cells

    def _basis(self) -> Iterator[str]:
        shared, ranked = len(self._ranking.shared), int(self.methods["ranked"].sum())
        pairs = self.scores["pair"].nunique()
        if not ranked:
            yield "There are no numbers to rank by yet."
            return
        every = "" if shared == pairs else f" of {pairs}, those that all ranked methods share"
        yield f"Ranks and means: {_many(ranked, 'method')} over {_many(shared, 'pair')}{every}{self._intervals()}."
        for line in self.methods[self.methods["reason"] != ""].to_dict("records"):
            yield f"{self._title(line['method'])} is not ranked. {line['reason']}"

    def _intervals(self) -> str:
        """Whether gains have intervals; nothing where there are no gains."""
        others = [(end, self.methods[self.methods["method"] != baseline]) for end, baseline in BASELINES.items()]
        gains, lows = (any(lines[f"gain_{end}{part}"].notna().any() for end, lines in others) for part in ("", "_low"))
        few = "; too few pairs for intervals" if gains else ""
        return "; intervals are of 95 %, from bootstrap" if lows else few

    def _tested(self) -> Iterator[str]:
        if (test := self._test) is not None:
            yield (
                f"Friedman's test over these pairs gives p = {_p(test.p)}. Average ranks that differ by less than "
                f"{test.critical_difference:.2f} cannot be told apart (Nemenyi, 5 %)."
            )

    def _against_kd(self) -> Iterator[str]:
        if (test := self._test) is None:
            return
        tested = test.against_kd.dropna(subset=["p_holm"])
        if tested.empty:
            return
        found = tested[tested["p_holm"] < _LEVEL]
        sides = {word: found[found["direction"] == sign]["method"] for word, sign in _SIDES.items()}
        told = [f"{word}: {', '.join(map(self._title, names))}" for word, names in sides.items() if len(names)]
        what = "; ".join(told) or "no method better or worse"
        yield f"Signed-rank tests of the gains over KD on these pairs, held together by Holm (5 %), find {what}."

    def _resolved(self) -> Iterator[str]:
        if self.scores.empty:
            return
        if self.printed:
            yield "Printed numbers come without their spread, so nothing can be said of differences on single pairs."
            return
        found = statistics.resolvable(self.scores)
        yield _resolution(found, self.decimals)
        if found and self.scores["seed"].nunique() <= _FEW_SEEDS:
            yield (
                "A rank test of three runs against three never falls below p = 0.10, so none is made on single pairs. "
                "What cannot be told from a pair's best is decided by the studentised range of all its methods."
            )


def _resolution(found: Resolution | None, decimals: int) -> str:
    if found is None:
        return "With fewer than three seeds nothing can be told apart on a single pair."
    sd, gap, power = (f"{value:.{decimals}f}" for value in (found.sd, found.significant, found.found))
    return (
        f"What {found.seeds} seeds can resolve on one pair of {found.methods} methods: the typical standard deviation "
        f"is {sd}, so a method is told from the best from a gap of {gap} on, and a true gap of {power} is found in "
        "80 % of all cases."
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else f'{noun}s'}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-")


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with plain numbers, None for what is unknown."""
    return [{str(key): _plain(value) for key, value in line.items()} for line in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    plain = value.item() if hasattr(value, "item") else value
    return round(plain, 6) if isinstance(plain, float) else plain
