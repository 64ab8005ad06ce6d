"""Which methods are significantly worse than the best of their pair, and how large a gap has to be for that.

The rule is Tukey's honestly significant difference (Tukey-Kramer for unequal numbers of runs) between a method and the
best of its pair, over all methods of the pair, with one change: the variance is the largest of the pooled one, the
method's own and the best's. The reason is that no textbook rule keeps below 5 % false marks with three seeds. A false
mark calls a method worse although its true mean equals the best. The table has the share of pairs with any, in % of
20,000 simulated pairs of 16 methods with 3 seeds; "noisy" methods have five times the sd of the others. The last two
columns have the share of worse methods that are found where one method leads by 4 or 5 sd:

    ======================================  =====  =======  =======  =====  =====
    rule                                    equal  1 noisy  8 noisy  gap 4  gap 5
    ======================================  =====  =======  =======  =====  =====
    Welch's t against the best                 51       40       37     88     97
    Games-Howell, 5 %                           7        6        6     24     40
    Tukey-Kramer, 5 %                           5       26       19     87     99
    Tukey-Kramer, largest variance, 3.5 %       2        4        5     57     81
    ======================================  =====  =======  =======  =====  =====

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

from benchmark.report.leaderboard.statistics.scores import Array, Flags, Moments, Scores

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
    if not cells.mean.size:
        return np.zeros(cells.mean.shape, dtype=bool)
    use, freedom, pooled = _pooled(cells)
    best = np.argmax(np.where(cells.n > 0, cells.mean, -np.inf), axis=0)[None]
    variance, runs = np.where(use, cells.sd, 0.0) ** 2, 1 / np.maximum(cells.n, 1)
    noise = np.maximum(np.maximum(variance, pooled), np.take_along_axis(variance, best, axis=0))
    reach = [
        _studentised_range(int(k), int(f)) if k > 1 else 0.0 for k, f in zip(use.sum(axis=0), freedom, strict=True)
    ]
    threshold = np.array(reach) * np.sqrt(noise * (runs + np.take_along_axis(runs, best, axis=0)) / 2)
    gap = np.take_along_axis(cells.mean, best, axis=0) - cells.mean
    worse: Flags = use & np.take_along_axis(use, best, axis=0) & (threshold > 0) & (gap > threshold)
    return worse


def resolvable(scores: pd.DataFrame) -> Resolution | None:
    """The gap that is significant by `worse_than_best`, for typical runs.

    Args:
        scores: columns ``method, pair, seed, value``, one row a finished run.

    Returns:
        None where no pair has two methods of `FEWEST_RUNS` runs.
    """
    cells = Scores.of(scores, higher=True).moments
    use, _, pooled = _pooled(cells)
    pairs = use.sum(axis=0) > 1
    if not pairs.any():
        return None
    sd = float(np.median(np.sqrt(pooled[pairs])))
    seeds, methods = int(np.median(cells.n[:, pairs][use[:, pairs]])), int(np.median(use.sum(axis=0)[pairs]))
    return Resolution(sd, seeds, methods, sd * _studentised_range(methods, methods * (seeds - 1)) / math.sqrt(seeds))


def _pooled(cells: Moments) -> tuple[Flags, Array, Array]:
    """Which cells count (M, P), degrees of freedom (P,) and the pooled variance (P,) of each pair."""
    use = cells.n >= FEWEST_RUNS
    weights = np.where(use, cells.n - 1.0, 0.0)
    freedom = weights.sum(axis=0)
    return use, freedom, (weights * np.where(use, cells.sd, 0.0) ** 2).sum(axis=0) / np.maximum(freedom, 1)


@lru_cache(maxsize=1024)
def _studentised_range(methods: int, freedom: int) -> float:
    """The upper `LEVEL` quantile; cached, since scipy takes 0.3 s for it."""
    return float(stats.studentized_range.ppf(1 - LEVEL, methods, freedom))
