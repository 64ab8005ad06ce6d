"""Which methods are significantly worse than the best of their pair, and how large a gap has to be for that.

The rule is Tukey's honestly significant difference (Tukey-Kramer for unequal numbers of runs) between a method and the
best of its pair, over all methods of the pair, with two changes: the variance is the largest of the pooled one, the
method's own and the best's; and methods that are found worse are set aside and the others tested again, because a
diverged method inflates the pooled variance. The reason is that no textbook rule both keeps below 5 % false marks with
three seeds and finds anything. A false mark calls a method worse although its true mean equals the best. The table has
the share of pairs with any, in % of 20,000 simulated pairs of 16 methods with 3 seeds; "noisy" methods have five times
the sd of the others. The last columns have the share of worse methods that are found where one method leads by 5 sd,
alone and beside two methods that diverged (40 sd behind, with ten times the sd):

    ======================================  =====  =======  =======  =====  ========
    rule                                    equal  1 noisy  8 noisy  gap 5  diverged
    ======================================  =====  =======  =======  =====  ========
    Welch's t against the best                 51       40       37     97
    Games-Howell, 5 %                           7        6        6     40
    Tukey-Kramer, 5 %                           5       26       19     99
    largest variance, 3.5 %                     2        4        5     81         3
    largest variance, set aside, 3.5 %          2        4        5     86        65
    ======================================  =====  =======  =======  =====  ========

`LEVEL` is 3.5 %, so that the worst case of 16 methods (8 quiet ones, 4.8 %) is below 5 %; 15 noisy methods of 30 have
7 %. Two runs give too poor a variance, so methods with fewer than three are neither tested nor used.

Source: J. W. Tukey, The Problem of Multiple Comparisons (1953); C. Y. Kramer, Biometrics 12 (1956).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from benchmark.report.leaderboard.statistics.scores import Array, Counts, Flags, Moments, Scores

LEVEL = 0.035
FEWEST_RUNS = 3


@dataclass(frozen=True)
class Resolution:
    """The gap to a pair's best that is significant, for typical runs.

    Attributes:
        sd: standard deviation over seeds, the median over pairs of the methods' pooled one.
        seeds: runs of a method, the median.
        methods: methods of a pair, the median.
        gap: the least significant difference of two means where all methods have that sd; in the metric's unit.
    """

    sd: float
    seeds: int
    methods: int
    gap: float


def worse_than_best(cells: Moments) -> Flags:
    """Which methods are significantly worse than the best of their pair.

    Args:
        cells: arrays (M, P), means signed so that more is better.

    Returns:
        (M, P); False for the best itself, for fewer than `FEWEST_RUNS` runs, and where no seed makes any difference.
    """
    worse: Flags = np.zeros(cells.mean.shape, dtype=bool)
    if not cells.mean.size:
        return worse
    best = np.argmax(np.where(cells.n > 0, cells.mean, -np.inf), axis=0)[None]
    while (found := _exceeds(cells, (cells.n >= FEWEST_RUNS) & ~worse, best)).any():
        worse |= found
    return worse


def _exceeds(cells: Moments, use: Flags, best: Counts) -> Flags:
    """Whether the gap to the best (1, P) exceeds the significant difference among the methods in use (M, P)."""
    freedom, pooled = _pooled(cells, use)
    variance, runs = np.where(use, cells.sd, 0.0) ** 2, 1 / np.maximum(cells.n, 1)
    noise = np.maximum(np.maximum(variance, pooled), np.take_along_axis(variance, best, axis=0))
    reach = [
        _studentised_range(int(k), int(f)) if k > 1 else 0.0 for k, f in zip(use.sum(axis=0), freedom, strict=True)
    ]
    threshold = np.array(reach) * np.sqrt(noise * (runs + np.take_along_axis(runs, best, axis=0)) / 2)
    gap = np.take_along_axis(cells.mean, best, axis=0) - cells.mean
    exceeds: Flags = use & np.take_along_axis(use, best, axis=0) & (threshold > 0) & (gap > threshold)
    return exceeds


def resolvable(scores: pd.DataFrame) -> Resolution | None:
    """The gap that is significant by `worse_than_best`, for typical runs.

    Args:
        scores: columns ``method, pair, seed, value``, one row a finished run.

    Returns:
        None where no pair has two methods of `FEWEST_RUNS` runs.
    """
    cells = Scores.of(scores, higher=True).moments
    use = cells.n >= FEWEST_RUNS
    _, pooled = _pooled(cells, use)
    pairs = use.sum(axis=0) > 1
    if not pairs.any():
        return None
    sd = float(np.median(np.sqrt(pooled[pairs])))
    seeds, methods = int(np.median(cells.n[:, pairs][use[:, pairs]])), int(np.median(use.sum(axis=0)[pairs]))
    return Resolution(sd, seeds, methods, sd * _studentised_range(methods, methods * (seeds - 1)) / math.sqrt(seeds))


def _pooled(cells: Moments, use: Flags) -> tuple[Array, Array]:
    """Degrees of freedom (P,) and the pooled variance (P,) of the methods in use."""
    weights = np.where(use, cells.n - 1.0, 0.0)
    freedom = weights.sum(axis=0)
    return freedom, (weights * np.where(use, cells.sd, 0.0) ** 2).sum(axis=0) / np.maximum(freedom, 1)


@lru_cache(maxsize=1024)
def _studentised_range(methods: int, freedom: int) -> float:
    """The upper `LEVEL` quantile; cached, since scipy takes 0.3 s for it."""
    return float(stats.studentized_range.ppf(1 - LEVEL, methods, freedom))
