"""The rule by which runs decide a claim: t intervals of paired differences, and what they come to together.

A claim is a conjunction of comparisons, each a difference of cells that has to lie within bounds, on the seeds that all
of its cells have. A comparison *holds* where the 95 % t interval of its mean lies within the bounds, is *against* the
claim where a wider interval lies wholly outside, and *within noise* else; below two seeds it is *missing*.

All have to hold, so no correction is due there: a claim of which any comparison is false is called reproduced in at
most 2.5 % of cases. But one against it is enough, so what speaks against it shares 2.5 % among all comparisons, by
Bonferroni (which, for the question whether there is any, is Holm). With three seeds, single comparisons can hardly
tell then, but many pairs can. So where the same two methods are compared for several pairs, the p values of these are
combined by Fisher's test, and all such tests get half of the 2.5 %. With standard deviation 0.2, nine pairs, six rivals
and three seeds, a rival that is 0.4 better everywhere refutes the claim in 86 % of cases; by single comparisons in 3 %.

Runs of different pairs share their seeds' batches, and some their initial weights: in profile digits, differences of
methods correlate by 0.04 between pairs (standard error 0.02), by 0.14 (0.09) where the student is the same. The test
allows for 0.1 everywhere, as Brown did (Biometrics, 1975). What several probes say of one run is averaged first.

Every p value rests on its own differences. Variances are not pooled, nor shrunk towards each other: with three seeds
and one method that spreads five times as much, that would refute true claims in 12 to 26 % of cases.

Differences that agree on all seeds do not show that there is no spread: accuracies are counts. A difference is taken to
spread at least as numbers do that are rounded to the smallest step between those it is made of. Without that, two or
three seeds would refute true claims in up to 40 or 6 % of cases.

A teacher is one run: its number stands on every seed, and the interval tells the spread of students alone.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from scipy.special import gammaincc, stdtr, stdtrit

from benchmark.claims.comparison import Comparison

REPRODUCED, FAILED, NOISE, FEW = "reproduced", "not reproduced", "within noise", "not enough runs"
VERDICTS = (REPRODUCED, FAILED, NOISE, FEW)
HOLDS, AGAINST, UNDECIDED, MISSING = "holds", "against", "within noise", "missing"
ERROR = 0.025
"""Probability of either verdict where it is false: one tail of a 95 % interval."""
CORRELATION = 0.1
"""Of differences between pairs, at most."""
LEAST_SEEDS = 2
_DIGITS = 6
"""Decimals of a record's numbers; smaller steps are those of floating point."""
_LEAST_P = 1e-300

Readings = Mapping[str, Sequence[float | None]]
"""By a cell's name its number on every seed, in one order; cells that do not apply are left out."""


@dataclass(frozen=True)
class Finding:
    """What runs say of one comparison.

    Attributes:
        comparison: what is compared.
        outcome: ``holds``, ``against``, ``within noise`` or ``missing``.
        seeds: how many there are.
        mean: of the differences, NaN without any.
        interval: at 95 %; NaN below two seeds.
        slack: how far the mean is within the bounds, in half-widths of the interval; negative outside.
    """

    comparison: Comparison
    outcome: str
    seeds: int
    mean: float
    interval: tuple[float, float] = (math.nan, math.nan)
    slack: float = math.inf


@dataclass(frozen=True)
class Together:
    """What several pairs together say of two methods.

    Attributes:
        contest: the two methods and the metric.
        pairs: how many.
        outside: for how many of them the mean is not within the bounds.
        p: of Fisher's test that all comparisons are true.
    """

    contest: str
    pairs: int
    outside: int
    p: float


@dataclass(frozen=True)
class Judgement:
    """What runs say of a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        findings: of its comparisons; those that do not apply are left out.
        against: what pairs together say against it.
    """

    verdict: str
    findings: tuple[Finding, ...]
    against: tuple[Together, ...] = ()

    def count(self, outcome: str) -> int:
        """How many comparisons came out so."""
        return sum(finding.outcome == outcome for finding in self.findings)


@dataclass(frozen=True)
class _Sample:
    """A comparison's differences.

    Attributes:
        by_seed: its value on each seed, None where a cell has none.
        step: variance that rounding alone would give it.
    """

    comparison: Comparison
    by_seed: tuple[float | None, ...]
    step: float

    @cached_property
    def values(self) -> list[float]:
        """On the seeds that all cells have."""
        return [value for value in self.by_seed if value is not None]

    @cached_property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(max(statistics.variance(self.values), self.step) / len(self.values))

    @property
    def p(self) -> float:
        """Of the t test that the mean is within the bounds."""
        sides = sum(map(math.isfinite, self.comparison.bounds))
        if not self.error:
            return float(self.slack >= 0)
        return min(1.0, sides * float(stdtr(len(self.values) - 1, self.slack / self.error)))

    @property
    def slack(self) -> float:
        """How far the mean is within the bounds."""
        return self.comparison.slack(statistics.fmean(self.values))


def judge(comparisons: Sequence[Comparison], readings: Readings) -> Judgement:
    """Decide a claim.

    Args:
        comparisons: all have to hold.
        readings: the cells' numbers.
    """
    samples = [_sample(one, readings) for one in comparisons if set(one.cells) <= readings.keys()]
    decided = [sample for sample in samples if len(sample.values) >= LEAST_SEEDS]
    together = _together(decided)
    error = ERROR / 2 if together else ERROR
    findings = tuple(_finding(sample, error / max(1, len(decided))) for sample in samples)
    against = tuple(one for one in together if one.p < error / len(together))
    verdict = FAILED if against else _verdict({finding.outcome for finding in findings})
    return Judgement(verdict, findings, against)


def _verdict(outcomes: Collection[str]) -> str:
    for outcome, verdict in ((AGAINST, FAILED), (MISSING, FEW), (UNDECIDED, NOISE), (HOLDS, REPRODUCED)):
        if outcome in outcomes:
            return verdict
    return FEW


def _finding(sample: _Sample, error: float) -> Finding:
    """What a sample says.

    Args:
        sample: of a comparison.
        error: probability that it may speak against a true claim.
    """
    comparison, values = sample.comparison, sample.values
    mean = statistics.fmean(values) if values else math.nan
    if len(values) < LEAST_SEEDS:
        return Finding(comparison, MISSING, len(values), mean)
    half, wide = (_quantile(len(values) - 1, tail) * sample.error for tail in (ERROR, error))
    inner = comparison.slack(mean)
    outcome = HOLDS if inner > half else AGAINST if -inner > wide else UNDECIDED
    slack = inner / half if half else math.copysign(math.inf, inner)
    return Finding(comparison, outcome, len(values), mean, (mean - half, mean + half), slack)


@lru_cache
def _quantile(freedom: int, tail: float) -> float:
    return float(stdtrit(freedom, 1 - tail))


def _sample(comparison: Comparison, readings: Readings) -> _Sample:
    factors = [weight for _, weight in comparison.weights]
    rows = [*zip(*(readings[name] for name in comparison.cells), strict=True)]
    complete = [[value for value in row if value is not None] for row in rows]
    by_seed = tuple(
        math.fsum(map(operator.mul, factors, values)) if len(values) == len(factors) else None for values in complete
    )
    used = [value for values in complete if len(values) == len(factors) for value in values]
    return _Sample(comparison, by_seed, _least_step(used) ** 2 / 12 * math.fsum(factor**2 for factor in factors))


def _least_step(numbers: Sequence[float]) -> float:
    steps = (upper - lower for lower, upper in pairwise(sorted({round(number, _DIGITS) for number in numbers})))
    return min(steps, default=0.0)


def _together(samples: Sequence[_Sample]) -> list[Together]:
    """Fisher's test for each two methods that are compared for several pairs."""
    contests: dict[str, dict[str, list[_Sample]]] = {}
    for sample in samples:
        contests.setdefault(sample.comparison.contest, {}).setdefault(sample.comparison.runs, []).append(sample)
    tests = (
        _fisher(contest, [mean for mean in map(_average, pairs.values()) if len(mean.values) >= LEAST_SEEDS])
        for contest, pairs in contests.items()
    )
    return [test for test in tests if test.pairs > 1]


def _fisher(contest: str, means: Sequence[_Sample]) -> Together:
    """Fisher's test as of Brown: the statistic is spread by correlation, so it is scaled, and has less freedom."""
    statistic = -2 * math.fsum(math.log(max(mean.p, _LEAST_P)) for mean in means)
    number = len(means)
    scale = 1 + (number - 1) * (3.25 * CORRELATION + 0.75 * CORRELATION**2) / 4
    outside = sum(mean.slack <= 0 for mean in means)
    return Together(contest, number, outside, float(gammaincc(number / scale, statistic / scale / 2)))


def _average(samples: Sequence[_Sample]) -> _Sample:
    """The mean of samples that rest on the same runs, on the seeds that all of them have."""
    rows = zip(*(sample.by_seed for sample in samples), strict=True)
    known = ([value for value in row if value is not None] for row in rows)
    by_seed = tuple(statistics.fmean(values) if len(values) == len(samples) else None for values in known)
    step = math.fsum(sample.step for sample in samples) / len(samples) ** 2
    return _Sample(samples[0].comparison, by_seed, step)
