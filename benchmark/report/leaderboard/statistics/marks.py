"""What cannot be told from a pair's best, and how large a gap would have been seen.

The best of a pair is chosen by the data, so to test each method against it by itself is not honest: of sixteen equal
methods with three seeds some are then called worse than the best in every second pair. What is done instead:

* The gap to the best has to exceed what the range of equally good methods exceeds in `LEVEL` of all cases (the
  studentised range, as in Tukey's test).
* The noise is the largest of three: the methods' pooled sd, the method's own and the best's. With the pooled one alone,
  which is Tukey's test, a method of five times the others' sd is marked far too often.
* Who has been told from the best is set aside, and the rest looked at as if they were all, with their own pooled sd.
* Nothing is told of a method with fewer than three runs: two give so poor an sd that one pair in ten has a false mark.

How many pairs have any false mark (a method called worse than the best although its true mean is as good), and how many
methods that are truly worse are found, in % of 20,000 simulated pairs of 16 methods with 3 seeds. Noisy: five times the
others' sd, all true means equal. Gap: one method is better than all others, in units of the sd.

    ==========================  =====  =======  =======  =====  =====
    rule                        equal  1 noisy  8 noisy  gap 4  gap 5
    ==========================  =====  =======  =======  =====  =====
    Welch against the best         51       40       37     88     97
    Welch, Holm over all pairs      1        1        1      3      6
    Games-Howell                    7        6        6     24     40
    Tukey, pooled sd                5       26       20     87     99
    this                            2        4        5     58     85
    ==========================  =====  =======  =======  =====  =====

`LEVEL` is below 5 % so that the rate of false marks is about that at most: of 16 methods it is highest with 6 noisy
ones, 5.3 %; with more seeds or fewer methods it is lower, with 15 noisy ones of 30 methods it is 7 %. The seeds' common
effect is not removed: where there is one, marks are rarer, not more often false.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

from benchmark.report.leaderboard.statistics.scores import Array, Moments, Scores

LEVEL = 0.035
FEWEST_RUNS = 3

_POWER = 0.8
_DRAWS = 20_000


@dataclass(frozen=True)
class Resolution:
    """What gap to a pair's best can be seen with the runs that there are, in the metric's unit.

    Attributes:
        sd: of a run, typical: the median over pairs of the methods' pooled sd.
        seeds: runs of a method, the median.
        methods: compared in a pair, the median.
        significant: the least gap of two means that is told apart where all methods have that sd.
        found: the true gap that is told apart in 80 % of all cases.
    """

    sd: float
    seeds: int
    methods: int
    significant: float
    found: float


def worse_than_best(cells: Moments) -> NDArray[np.bool_]:
    """Which methods can be told from the best of their pair.

    Args:
        cells: arrays (M, P), means signed so that more is better.

    Returns:
        (M, P), False for the best itself and where there is no run.
    """
    mean, n = cells.mean.T, cells.n.T
    told = np.zeros(mean.shape, dtype=bool)
    if not mean.size:
        return told.T
    left = n >= FEWEST_RUNS
    variance = np.where(left, cells.sd.T, 0.0) ** 2
    best = np.argmax(np.where(n > 0, mean, -np.inf), axis=1)[:, None]
    unsettled = np.take_along_axis(left, best, axis=1)[:, 0]
    while unsettled.any():
        ratio = _gap_by_threshold(mean, variance, n, left, best)
        farthest = ratio.argmax(axis=1)
        unsettled &= ratio.max(axis=1) > 1
        told[unsettled, farthest[unsettled]] = True
        left &= ~told
    return told.T


def resolvable(scores: pd.DataFrame) -> Resolution | None:
    """What the seeds can resolve by the test that `worse_than_best` is.

    Two of the methods are looked at, the better of which is the best seen; none has been set aside.

    Args:
        scores: columns ``method, pair, seed, value``, one row a finished run.

    Returns:
        None where no pair has two methods of `FEWEST_RUNS` runs.
    """
    cells = Scores.of(scores, higher=True).moments
    use = cells.n >= FEWEST_RUNS
    use &= use.sum(axis=0) > 1
    if not use.any():
        return None
    freedom = np.where(use, cells.n - 1, 0)
    squares = (freedom * np.where(use, cells.sd, 0.0) ** 2).sum(axis=0)
    pairs = use.any(axis=0)
    sd = float(np.median(np.sqrt(squares[pairs] / freedom.sum(axis=0)[pairs])))
    seeds, methods = int(np.median(cells.n[use])), int(np.median(use.sum(axis=0)[pairs]))
    significant = range_quantile(LEVEL, methods, methods * (seeds - 1)) / math.sqrt(seeds)
    return Resolution(sd, seeds, methods, sd * significant, sd * _found(seeds, methods))


@lru_cache(maxsize=4096)
def range_quantile(level: float, size: int, freedom: float) -> float:
    """What the studentised range of ``size`` normal means exceeds with probability ``level``.

    ``scipy.stats.studentized_range`` gives the same and takes ten times as long.

    Args:
        level: the probability, in (0, 1).
        size: number of means, at least 2.
        freedom: degrees of freedom of the variance, at least 1.

    Source: H. L. Harter, Tables of range and studentized range, Annals of Mathematical Statistics 31 (1960).
    """
    z, u = np.linspace(-8, 8, 129), np.linspace(np.log(1e-4), np.log(12), 400)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    # The sd's own distribution, over its logarithm: chi with that many degrees of freedom, by its mean square.
    log_chi = freedom / 2 * np.log(freedom / 2) - special.gammaln(freedom / 2) + np.log(2)
    chi = np.exp(log_chi + freedom * u - freedom * np.exp(2 * u) / 2) * (u[1] - u[0])

    def excess(reach: float) -> float:
        within = special.ndtr(z) - special.ndtr(z - reach * np.exp(u)[:, None])
        return float(chi @ (size * within ** (size - 1) @ density) - (1 - level))

    return float(optimize.brentq(excess, 0, 1e4, xtol=1e-6))


def _gap_by_threshold(
    mean: Array, variance: Array, n: NDArray[np.intp], left: NDArray[np.bool_], best: NDArray[np.intp]
) -> Array:
    """The gap to the best of each row by what it has to exceed; 0 where nothing is to be told."""
    sizes, free = left.sum(axis=1), np.where(left, n - 1, 0)
    freedom = free.sum(axis=1)
    pooled = (free * variance).sum(axis=1) / np.maximum(freedom, 1)
    noise = np.maximum(np.maximum(pooled[:, None], variance), np.take_along_axis(variance, best, axis=1))
    reach = [range_quantile(LEVEL, int(k), int(f)) if k > 1 else 0.0 for k, f in zip(sizes, freedom, strict=True)]
    runs = 1 / np.maximum(n, 1)
    threshold = np.array(reach)[:, None] * np.sqrt(noise * (runs + np.take_along_axis(runs, best, axis=1)) / 2)
    # Where no seed made any difference, the spread says nothing.
    gap = np.take_along_axis(mean, best, axis=1) - mean
    ratio: Array = np.divide(gap, threshold, out=np.zeros_like(gap), where=left & (threshold > 0))
    return ratio


@lru_cache(maxsize=64)
def _found(seeds: int, methods: int) -> float:
    """The gap, in units of the sd, that is found with probability `_POWER`: drawn, from a fixed seed."""
    draw = np.random.default_rng(0)
    freedom = seeds - 1
    own = draw.chisquare(freedom, (2, _DRAWS)) / freedom
    others = draw.chisquare(freedom * (methods - 2), _DRAWS) if methods > 2 else np.zeros(_DRAWS)
    pooled = (freedom * own.sum(axis=0) + others) / (freedom * methods)
    threshold = range_quantile(LEVEL, methods, freedom * methods) * np.sqrt(np.maximum(own.max(axis=0), pooled) / seeds)
    return float(np.quantile(threshold - draw.normal(0, np.sqrt(2 / seeds), _DRAWS), _POWER))
