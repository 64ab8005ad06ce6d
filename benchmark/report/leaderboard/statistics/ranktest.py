"""Tests of average ranks, and of the gains over KD across pairs.

Source: J. Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from benchmark.report.leaderboard.statistics.ranking import Ranking
from benchmark.report.leaderboard.statistics.scores import KD, Array

FEWEST_METHODS = 3
FEWEST_PAIRS = 2
FEWEST_DIFFERENCES = 6
"""With five differences a two-sided signed-rank test never reaches 5 %: p is at least 2 / 2**5 = 6 %."""

_LEVEL = 0.05
_EQUAL = 1e-9
"""Smaller differences are rounding errors."""
_ALL_SIGNS = 13
"""Up to so many differences all 2**n signs are enumerated."""


@dataclass(frozen=True, eq=False)
class RankTest:
    """The results of the tests.

    Attributes:
        statistic: Friedman's chi-squared.
        p: its p-value under the hypothesis that all methods are equal.
        critical_difference: Nemenyi's critical difference of average ranks at 5 %.
        groups: the bars of a critical-difference diagram: the largest sets of at least two methods, from better to
            worse, whose average ranks are closer than that.
        against_kd: Wilcoxon's signed-rank test of the gains over KD, one row for each other method: ``method, pairs``
            (on which it differs), ``p`` (two-sided, NaN below `FEWEST_DIFFERENCES` pairs), ``p_holm`` (corrected for
            all methods by Holm), ``direction`` (1 where the signed ranks say better, -1 worse, 0 neither; it may differ
            from the sign of the mean gain, which one pair can dominate). No rows without KD.
    """

    statistic: float
    p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    against_kd: pd.DataFrame


def rank_test(ranking: Ranking) -> RankTest | None:
    """Friedman's test, Nemenyi's critical difference and Wilcoxon's test against KD, over the shared pairs.

    Args:
        ranking: from `across`.

    Returns:
        None for fewer than `FEWEST_METHODS` ranked methods or `FEWEST_PAIRS` shared pairs.
    """
    pairs, methods = ranking.ranks.shape
    if methods < FEWEST_METHODS or pairs < FEWEST_PAIRS:
        return None
    ranks = ranking.ranks.to_numpy()
    statistic, p = (0.0, 1.0) if np.ptp(ranks, axis=1).max() == 0 else stats.friedmanchisquare(*ranks.T)
    difference = critical_difference(methods, pairs)
    average = ranking.ranks.mean().sort_index().sort_values(kind="stable")
    return RankTest(float(statistic), float(p), difference, _groups(average, difference), _against_kd(ranking.gains_kd))


def critical_difference(methods: int, pairs: int) -> float:
    """Nemenyi's critical difference of two average ranks at 5 %."""
    quantile = stats.studentized_range.ppf(1 - _LEVEL, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * pairs)))


def _groups(average: pd.Series[float], difference: float) -> tuple[tuple[str, ...], ...]:
    """The longest ranges of the ordered average ranks that are shorter than the difference."""
    names, values = list(average.index), average.to_numpy()
    ends = np.searchsorted(values, values + difference, side="left")
    new = np.diff(ends, prepend=0) > 0
    stretches = (tuple(names[start:end]) for start, end in enumerate(ends) if new[start])
    return tuple(group for group in stretches if len(group) > 1)


def _against_kd(gains: pd.DataFrame) -> pd.DataFrame:
    others = gains.drop(columns=KD) if KD in gains else gains.iloc[:, :0]
    differ = [gain[gain.abs() > _EQUAL] for _, gain in others.items()]
    p = np.array([_signed_rank(some) if len(some) >= FEWEST_DIFFERENCES else np.nan for some in differ])
    counts = [len(some) for some in differ]
    directions = np.array([_direction(some) for some in differ], dtype=int)
    columns = {"method": list(others), "pairs": counts, "p": p, "p_holm": _holm(p), "direction": directions}
    return pd.DataFrame(columns)


def _direction(differences: pd.Series[float]) -> int:
    """The sign with the larger sum of ranks."""
    signed = stats.rankdata(differences.abs().round(9)) * np.sign(differences)
    return int(np.sign(signed.sum()))


def _signed_rank(differences: pd.Series[float]) -> float:
    """Wilcoxon's two-sided p-value; with ties among few differences from all signs, which scipy takes seconds for."""
    sizes = differences.abs().round(9)
    if len(sizes) > _ALL_SIGNS or not sizes.duplicated().any():
        return float(stats.wilcoxon(differences).pvalue)
    ranks = stats.rankdata(sizes)
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums, found = signs @ ranks, ranks[differences > 0].sum()
    return min(1.0, 2 * float(min((sums <= found).mean(), (sums >= found).mean())))


def _holm(p: Array) -> Array:
    """P-values with Holm's correction for all tests; NaN stays NaN."""
    order = np.argsort(p)
    tests = int(np.isfinite(p).sum())
    adjusted = np.full_like(p, np.nan)
    stepped = p[order][:tests] * np.arange(tests, 0, -1)
    adjusted[order[:tests]] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted
