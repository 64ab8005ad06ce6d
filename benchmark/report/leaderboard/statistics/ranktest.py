"""Whether methods' average ranks differ by more than chance, and which cannot be told apart.

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
"""Of five differences not even equal signs reach 5 % in a two-sided signed-rank test: 2 / 2**5 is 6 %."""

_LEVEL = 0.05
_NOTHING = 1e-9
"""What float addition leaves of equal numbers."""
_ALL_SIGNS = 13
"""Differences of which all signs are gone through, 2**13."""


@dataclass(frozen=True, eq=False)
class RankTest:
    """Ranks of methods over pairs.

    Attributes:
        statistic: Friedman's chi-squared.
        p: of it, where all methods are equal.
        critical_difference: Nemenyi's, by which average ranks have to differ at 5 %.
        groups: the bars of a critical-difference diagram: methods from better to worse whose average ranks are closer
            than that, at least two, none within another.
        against_kd: Wilcoxon's signed-rank test of the gains over KD, one row a method other than KD: ``method, pairs``
            (on which it differs), ``p`` (two-sided, NaN below `FEWEST_DIFFERENCES` pairs), ``p_holm`` (for all methods
            together, by Holm), ``direction`` (1 where the gains' ranks say better, -1 worse, 0 neither; that may differ
            from the mean gain's sign, which one pair can turn). No rows without KD.
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
    """By what two average ranks differ where chance alone makes any two do so in 5 % of all cases (Nemenyi)."""
    quantile = stats.studentized_range.ppf(1 - _LEVEL, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * pairs)))


def _groups(average: pd.Series[float], difference: float) -> tuple[tuple[str, ...], ...]:
    """The longest stretches of the ordered average ranks that are shorter than the difference."""
    names, values = list(average.index), average.to_numpy()
    ends = np.searchsorted(values, values + difference, side="left")
    new = np.diff(ends, prepend=0) > 0
    stretches = (tuple(names[start:end]) for start, end in enumerate(ends) if new[start])
    return tuple(group for group in stretches if len(group) > 1)


def _against_kd(gains: pd.DataFrame) -> pd.DataFrame:
    others = gains.drop(columns=KD) if KD in gains else gains.iloc[:, :0]
    differ = [gain[gain.abs() > _NOTHING] for _, gain in others.items()]
    p = np.array([_signed_rank(some) if len(some) >= FEWEST_DIFFERENCES else np.nan for some in differ])
    counts = [len(some) for some in differ]
    directions = np.array([_direction(some) for some in differ], dtype=int)
    columns = {"method": list(others), "pairs": counts, "p": p, "p_holm": _holm(p), "direction": directions}
    return pd.DataFrame(columns)


def _direction(differences: pd.Series[float]) -> int:
    """Which sign has the larger sum of ranks."""
    signed = stats.rankdata(differences.abs().round(9)) * np.sign(differences)
    return int(np.sign(signed.sum()))


def _signed_rank(differences: pd.Series[float]) -> float:
    """Wilcoxon's two-sided p-value: from all signs for few differences, where scipy takes seconds if some tie."""
    sizes = differences.abs().round(9)
    if len(sizes) > _ALL_SIGNS or not sizes.duplicated().any():
        return float(stats.wilcoxon(differences).pvalue)
    ranks = stats.rankdata(sizes)
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums, found = signs @ ranks, ranks[differences > 0].sum()
    return min(1.0, 2 * float(min((sums <= found).mean(), (sums >= found).mean())))


def _holm(p: Array) -> Array:
    """P-values that hold for all tests together, NaN where there was none."""
    order = np.argsort(p)
    tests = int(np.isfinite(p).sum())
    adjusted = np.full_like(p, np.nan)
    stepped = p[order][:tests] * np.arange(tests, 0, -1)
    adjusted[order[:tests]] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted
