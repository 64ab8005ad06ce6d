"""The verdict of runs on a claim: paired t tests with Holm's correction.

A claim is a conjunction of comparisons: differences of cells that have to lie within bounds. Each comparison is tested
by a two-sided paired t test at 5 % on the seeds that all of its cells have. It *holds* where the mean lies within the
bounds and differs from the nearer one, which is where the 95 % interval lies within the bounds; it is *against* the
claim where the mean lies outside and differs after Holm's correction (Scandinavian Journal of Statistics, 1979) over
all tests of the claim; else it is *within noise*. With less than two seeds it is *missing*.

A claim is reproduced where all comparisons hold. That needs no correction: it is an intersection-union test (Berger,
Technometrics, 1982). One comparison against it is enough for *not reproduced*. Each verdict is false in about 2.5 % of
cases, one tail of the tests.

With three seeds, single comparisons can hardly tell after the correction, but many pairs can. So where the same two
methods are compared on several pairs, a t test of the pairs' mean differences is one more test of the claim. With
standard deviation 0.2, nine pairs, six rivals and three seeds, a rival that is 0.4 better for each pair refutes the
claim in 92 % of cases; without that test in 5 %. Several probes of one run are averaged first. Runs of different pairs
share their seeds' batches, so the pairs are not independent: in profile digits, differences of methods correlate by
0.04 between pairs (standard error 0.02). With a correlation of 0.1, up to 4.4 % of true claims are called not
reproduced.

Accuracies are counts, so differences that are equal on all seeds do not show that there is no spread. The variance of a
difference is at least what rounding to the smallest step between its numbers causes, step**2 / 12 for each number
(Sheppard's correction). Without that, two or three seeds refute true claims in up to 39 or 16 % of cases.

A teacher is one run: its number is the same on each seed, and the interval shows the spread of students alone.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from scipy.special import stdtr, stdtrit

from benchmark.claims.comparison import POSITIVE, Comparison

REPRODUCED, FAILED, NOISE, FEW = "reproduced", "not reproduced", "within noise", "not enough runs"
VERDICTS = (REPRODUCED, FAILED, NOISE, FEW)
HOLDS, AGAINST, UNDECIDED, MISSING = "holds", "against", "within noise", "missing"
ERROR = 0.05
"""Level of the two-sided tests."""
LEAST_SEEDS = 2
_DIGITS = 6
"""Decimals of a record's numbers; smaller steps are those of floating point."""

Readings = Mapping[str, Sequence[float | None]]
"""By a cell's name its number on each seed, in one order; cells that do not apply are left out."""


@dataclass(frozen=True)
class Finding:
    """The test of one comparison.

    Attributes:
        comparison: what is compared.
        outcome: ``holds``, ``against``, ``within noise`` or ``missing``.
        seeds: their number.
        mean: of the differences, NaN without any.
        interval: at 95 %; NaN below two seeds.
        slack: distance of the mean to the nearer bound in half-widths of the interval; negative outside the bounds.
    """

    comparison: Comparison
    outcome: str
    seeds: int
    mean: float
    interval: tuple[float, float] = (math.nan, math.nan)
    slack: float = math.inf


@dataclass(frozen=True)
class PairsTest:
    """The test of the mean difference of two methods over several pairs.

    Attributes:
        contest: the two methods and the metric.
        pairs: their number.
        outside: the number of pairs whose mean is not positive.
        p: two-sided, after Holm's correction.
    """

    contest: str
    pairs: int
    outside: int
    p: float


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        findings: the tests of its comparisons; those that do not apply are left out.
        against: the tests over pairs that are against it.
    """

    verdict: str
    findings: tuple[Finding, ...]
    against: tuple[PairsTest, ...] = ()

    def count(self, outcome: str) -> int:
        """The number of comparisons with an outcome."""
        return sum(finding.outcome == outcome for finding in self.findings)


@dataclass(frozen=True)
class _Sample:
    """Differences of a comparison, on seeds or on pairs.

    Attributes:
        comparison: what is compared.
        differences: None where a cell has no number.
        rounding: variance of a difference by rounding alone.
    """

    comparison: Comparison
    differences: tuple[float | None, ...]
    rounding: float

    @cached_property
    def values(self) -> list[float]:
        """The differences that are known."""
        return [value for value in self.differences if value is not None]

    @cached_property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @cached_property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(max(statistics.variance(self.values), self.rounding) / len(self.values))

    @property
    def slack(self) -> float:
        """Distance of the mean to the nearer bound, negative outside."""
        return self.comparison.slack(self.mean)

    @property
    def p(self) -> float:
        """Two-sided p value of the t test that the mean is equal to the nearer bound."""
        return 2 * float(stdtr(len(self.values) - 1, -abs(self.slack) / self.error)) if self.error else 1.0


def judge(comparisons: Sequence[Comparison], readings: Readings) -> Judgement:
    """Decide a claim.

    Args:
        comparisons: all of them have to hold.
        readings: the cells' numbers.
    """
    samples = [_sample(one, readings) for one in comparisons if set(one.cells) <= readings.keys()]
    decided = [sample for sample in samples if len(sample.values) >= LEAST_SEEDS]
    over_pairs = [*_over_pairs(decided)]
    adjusted = _holm([sample.p for sample in (*decided, *over_pairs)])
    corrected = iter(adjusted)
    findings = tuple(_finding(one, next(corrected) if len(one.values) >= LEAST_SEEDS else 1.0) for one in samples)
    against = tuple(
        PairsTest(one.comparison.contest, len(one.values), sum(value <= 0 for value in one.values), p)
        for one, p in zip(over_pairs, corrected, strict=True)
        if one.slack < 0 and p < ERROR
    )
    verdict = FAILED if against else _verdict({finding.outcome for finding in findings})
    return Judgement(verdict, findings, against)


def _verdict(outcomes: Collection[str]) -> str:
    for outcome, verdict in ((AGAINST, FAILED), (MISSING, FEW), (UNDECIDED, NOISE), (HOLDS, REPRODUCED)):
        if outcome in outcomes:
            return verdict
    return FEW


def _finding(sample: _Sample, adjusted: float) -> Finding:
    """The outcome of a comparison.

    Args:
        sample: its differences.
        adjusted: p after Holm's correction.
    """
    seeds = len(sample.values)
    if seeds < LEAST_SEEDS:
        return Finding(sample.comparison, MISSING, seeds, sample.mean if seeds else math.nan)
    half = _quantile(seeds - 1) * sample.error
    holds, against = sample.slack > half, sample.slack < 0 and adjusted < ERROR
    slack = sample.slack / half if half else math.copysign(math.inf, sample.slack)
    outcome = HOLDS if holds else AGAINST if against else UNDECIDED
    return Finding(sample.comparison, outcome, seeds, sample.mean, (sample.mean - half, sample.mean + half), slack)


@lru_cache
def _quantile(freedom: int) -> float:
    return float(stdtrit(freedom, 1 - ERROR / 2))


def _holm(values: Sequence[float]) -> list[float]:
    """P values after Holm's correction, in the same order."""
    adjusted, largest = [1.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def _sample(comparison: Comparison, readings: Readings) -> _Sample:
    factors = [weight for _, weight in comparison.weights]
    rows = [*zip(*(readings[name] for name in comparison.cells), strict=True)]
    complete = [[value for value in row if value is not None] for row in rows]
    differences = tuple(
        math.fsum(map(operator.mul, factors, values)) if len(values) == len(factors) else None for values in complete
    )
    used = {round(value, _DIGITS) for values in complete if len(values) == len(factors) for value in values}
    step = min((upper - lower for lower, upper in pairwise(sorted(used))), default=0.0)
    return _Sample(comparison, differences, step**2 / 12 * math.fsum(factor**2 for factor in factors))


def _over_pairs(samples: Iterable[_Sample]) -> Iterator[_Sample]:
    """The mean differences on each pair, for each two methods whose difference is to be positive on several pairs."""
    contests: dict[str, dict[str, list[_Sample]]] = {}
    for sample in samples:
        if sample.comparison.bounds == POSITIVE:
            contests.setdefault(sample.comparison.contest, {}).setdefault(sample.comparison.runs, []).append(sample)
    for pairs in contests.values():
        if len(pairs) > 1:
            every = [sample for several in pairs.values() for sample in several]
            rounding = statistics.fmean(sample.rounding / len(sample.values) for sample in every)
            means = tuple(statistics.fmean(sample.mean for sample in several) for several in pairs.values())
            yield _Sample(every[0].comparison, means, rounding)
