"""Who stands where by one metric at one epoch: the statistics of a board, in words too and as the page reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pandas as pd

from benchmark.report.leaderboard import statistics
from benchmark.report.leaderboard.statistics import RankTest, Resolution
from benchmark.report.leaderboard.statistics.marks import FEWEST_RUNS
from benchmark.report.leaderboard.statistics.scores import BASELINES

NOTHING_YET = "It has no numbers yet."
"""Why a method is not ranked that nothing else is wrong with."""

_MARKS = ("best", "near", "rank")
_FEW_SEEDS = 3
_LEVEL = 0.05
_SIDES: Mapping[str, int] = MappingProxyType({"better": 1, "worse": -1})


@dataclass(frozen=True, eq=False)
class LeaderboardStatistics:
    """The statistics of finished runs.

    Attributes:
        scores: columns ``method, pair, seed, value``, one row a finished run of a student.
        higher: whether more is better.
        teachers: a teacher's value by pair; may lack some.
        decimals: of means as printed.
        titles: of methods, by name.
        printed: whether the numbers are a publication's, of whose spread nothing is known.
        lacking: of methods, by name, why they have no number if they have none, a sentence.
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
        """One row a method and pair, see `statistics.by_pair`."""
        return statistics.by_pair(self.scores, higher=self.higher, teachers=self.teachers, decimals=self.decimals)

    @cached_property
    def methods(self) -> pd.DataFrame:
        """One row a method, see `statistics.across`; those that lack any number have one that says why."""
        found = self._ranking.methods
        lacking = {name: reason for name, reason in self.lacking.items() if name not in set(found["method"])}
        if not lacking:
            return found
        rows = {"method": list(lacking), "pairs": 0, "ranked": False, "reason": list(lacking.values())}
        return found.merge(pd.DataFrame(rows), how="outer", on=list(rows))

    @property
    def near(self) -> set[tuple[str, str]]:
        """Methods and pairs where the method cannot be told from the pair's best."""
        marked = self.pairs[self.pairs["near"].astype(bool)]
        return set() if self.printed else set(zip(marked["method"], marked["pair"], strict=True))

    @property
    def sentences(self) -> tuple[str, ...]:
        """On what the ranking rests, what it can tell and what not."""
        return (*self._basis(), *self._tested(), *self._against_kd(), *self._resolved())

    def page_data(self) -> dict[str, Any]:
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
        others = self.methods[self.methods["reason"] != ""].to_dict("records")
        if ranked:
            every = "" if shared == pairs else f" of {pairs}, those that all ranked methods share"
            what = f"{_many(ranked, 'method')} over {_many(shared, 'pair')}{every}"
            yield f"Ranks and means: {what}{self._seeds()}{self._intervals()}."
        else:
            yield "There are no numbers to rank by yet."
            others = [line for line in others if not line["pairs"]]
        for line in others:
            if line["reason"] != NOTHING_YET:
                yield f"{self._title(line['method'])} is not ranked. {line['reason']}"
        if ranked and (waiting := [self._title(line["method"]) for line in others if line["reason"] == NOTHING_YET]):
            yield f"There are no numbers yet of {', '.join(waiting)}."

    def _seeds(self) -> str:
        """On which seeds; nothing where no run was left out."""
        used, had = self._ranking.seeds, self._ranking.had
        return "" if used == had else f", on the seeds that they share ({_range(used)} of {max(had)})"

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
        if found and (few := int((self.pairs["n"] < FEWEST_RUNS).sum())):
            yield f"Of {_many(few, 'cell')} of {len(self.pairs)} nothing is told: they have fewer than three seeds."
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
        f"What {found.seeds} seeds can resolve on one pair of {found.methods} methods: with the typical standard "
        f"deviation, {sd}, a method is told from the best from a gap of {gap} on, and a true gap of {power} is found "
        "in 80 % of all cases. A mark goes by a cell's own spread, too: a noisy one is told from the best from a "
        "larger gap on."
    )


def _range(numbers: Sequence[int]) -> str:
    """``1``, ``1 to 3``."""
    return " to ".join(map(str, sorted({min(numbers), max(numbers)})))


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
