"""The rule of verdicts: by hand, and by simulation of a known truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmark.claims.comparison import POSITIVE, Comparison
from benchmark.claims.verdicts import (
    AGAINST,
    FAILED,
    FEW,
    HOLDS,
    MISSING,
    NOISE,
    REPRODUCED,
    UNDECIDED,
    Judgement,
    judge,
)


def over(rival, pair="p", bounds=POSITIVE, method="a", probe=""):
    cells = f"{method}/{pair}{probe}", f"{rival}/{pair}{probe}"
    text = f"{method} over {rival}"
    return Comparison((*zip(cells, (1.0, -1.0), strict=True),), bounds, cells[0], text, pair, text)


def conjunction(pairs, rivals):
    """One method is better than all others, for all pairs."""
    return [over(f"b{rival}", f"p{pair}") for pair in range(pairs) for rival in range(rivals)]


def readings(values):
    """Readings of an array of pairs, methods (the first is ``a``) and seeds."""
    names = ["a", *(f"b{rival}" for rival in range(values.shape[1] - 1))]
    return {
        f"{name}/p{pair}": values[pair, method].tolist()
        for pair in range(values.shape[0])
        for method, name in enumerate(names)
    }


def verdict(differences, bounds=POSITIVE, others=()):
    """Of a comparison with these differences, and of others."""
    found = {"a/p": [70 + one for one in differences], "b/p": [70.0] * len(differences)}
    return judge([over("b", bounds=bounds), *others], found)


class TestOneComparison:
    @pytest.mark.parametrize(
        ("differences", "bounds", "outcome", "expected"),
        [
            ([1.0, 1.1, 1.25], POSITIVE, HOLDS, REPRODUCED),
            ([-1.0, -1.1, -1.25], POSITIVE, AGAINST, FAILED),
            ([1.0, -1.1, 0.3], POSITIVE, UNDECIDED, NOISE),
            ([0.9, 1.0, 1.05], (0.5, 1.5), HOLDS, REPRODUCED),
            ([2.9, 3.0, 3.05], (0.5, 1.5), AGAINST, FAILED),
            ([1.4, 1.5, 1.45], (0.5, 1.5), UNDECIDED, NOISE),
            ([5.0], POSITIVE, MISSING, FEW),
            ([], POSITIVE, MISSING, FEW),
        ],
    )
    def test_outcome(self, differences, bounds, outcome, expected):
        judgement = verdict(differences, bounds)
        assert (judgement.verdict, judgement.findings[0].outcome) == (expected, outcome)
        assert judgement.count(outcome) == 1
        assert judgement.findings[0].seeds == len(differences)

    def test_the_interval_is_that_of_the_t_test(self):
        differences = [0.31, -0.2, 0.74, 0.5]
        [finding] = verdict(differences).findings
        expected = stats.t.interval(0.95, 3, np.mean(differences), stats.sem(differences))
        assert finding.interval == pytest.approx(expected)
        assert finding.mean == pytest.approx(np.mean(differences))
        assert finding.slack == pytest.approx(np.mean(differences) / (expected[1] - np.mean(differences)))

    def test_seeds_are_paired_and_lone_ones_left_out(self):
        found = {"a/p": [80.0, 60.0, 90.5, None], "b/p": [79.0, 58.9, None, 91.0]}
        [finding] = judge([over("b")], found).findings
        assert (finding.seeds, finding.mean) == (2, pytest.approx(1.05))

    def test_what_does_not_apply_is_left_out(self):
        judgement = verdict([1.0, 1.1, 1.25], others=[over("fsp")])
        assert (judgement.verdict, len(judgement.findings)) == (REPRODUCED, 1)
        assert judge([over("fsp")], {"a/p": [1.0, 2.0]}) == Judgement(FEW, ())


class TestRounding:
    def test_equal_differences_do_not_show_that_there_is_no_spread(self):
        # One image of 300, three times.
        found = {"a/p": [97.0, 96.333333, 97.333333], "b/p": [96.666667, 96.0, 97.0]}
        [finding] = judge([over("b")], found).findings
        assert finding.outcome == UNDECIDED
        assert finding.interval[1] - finding.mean == pytest.approx(
            stats.t.ppf(0.975, 2) * math.sqrt(2 / 9 / 12 / 3), abs=1e-4
        )

    def test_many_equal_steps_do_hold(self):
        found = {"a/p": [97.0, 96.333333, 97.333333], "b/p": [94.0, 93.333333, 94.333333]}
        assert judge([over("b")], found).verdict == REPRODUCED

    def test_all_equal_is_neither(self):
        assert judge([over("b")], {"a/p": [90.0] * 3, "b/p": [90.0] * 3}).verdict == NOISE

    def test_floating_point_is_no_step(self):
        found = {"a/p": [90.0, 90.0 + 1e-12, 91.0], "b/p": [89.0, 89.0, 90.0]}
        [finding] = judge([over("b")], found).findings
        assert finding.interval[1] - finding.mean == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(2 / 12 / 3))


class TestConjunction:
    GOOD, BAD, OPEN = ([2.0, 2.1, 2.25], [-2.0, -2.003, -2.007], [2.0, -1.0, 0.5])

    def judged(self, *differences):
        """Of as many comparisons, each with a rival of its own."""
        found = {"a/p": [70.0] * 3}
        for number, one in enumerate(differences):
            found[f"b{number}/p"] = [None if x is None else 70 - x for x in one]
        return judge([over(f"b{number}") for number in range(len(differences))], found).verdict

    @pytest.mark.parametrize(
        ("differences", "expected"),
        [
            ([GOOD, GOOD], REPRODUCED),
            ([GOOD, OPEN], NOISE),
            ([GOOD, [1.0, None, None]], FEW),
            ([OPEN, [1.0, None, None]], FEW),
            ([GOOD, BAD], FAILED),
            ([GOOD, BAD, OPEN, [1.0, None, None]], FAILED),
        ],
    )
    def test_what_weighs_most_decides(self, differences, expected):
        assert self.judged(*differences) == expected

    def test_what_speaks_against_it_among_many_has_to_be_clearer(self):
        weak = [-1.0, -1.2, -1.35]
        assert stats.ttest_1samp(weak, 0).pvalue < 0.05
        assert self.judged(weak) == FAILED
        assert self.judged(weak, *[self.OPEN] * 9) == NOISE


class TestHolm:
    def test_corrects_for_the_tests_that_are_not_rejected_before(self):
        found = {
            "a/p": [70.0, 70.1, 70.3],
            "b0/p": [69.0, 69.2, 69.5],
            "b1/p": [71.0, 71.5, 72.0],
            "b2/p": [68, 69, 73],
        }
        comparisons = [over(f"b{number}") for number in range(3)]
        differences = np.array([[x - y for x, y in zip(found["a/p"], found[f"b{i}/p"], strict=True)] for i in range(3)])
        p = stats.ttest_1samp(differences, 0, axis=-1).pvalue
        assert p[0] < 0.05 / 3  # it is rejected first, so the next factor is 2
        assert 0.05 / 3 < p[1] < 0.05 / 2
        assert [finding.outcome for finding in judge(comparisons, found).findings] == [HOLDS, AGAINST, UNDECIDED]
        assert [finding.outcome for finding in judge(comparisons[1:], found).findings] == [AGAINST, UNDECIDED]


class TestOverPairs:
    def test_many_pairs_refute_what_none_can_alone(self):
        values = np.random.default_rng(0).normal(70, 1.0, (9, 2, 3))
        values[:, 1] += 1.5
        judgement = judge(conjunction(9, 1), readings(values))
        assert (judgement.verdict, judgement.count(AGAINST)) == (FAILED, 0)
        [test] = judgement.against
        means = (values[:, 0] - values[:, 1]).mean(-1)
        assert (test.contest, test.pairs, test.outside) == ("a over b0", 9, sum(means < 0))
        assert test.p == pytest.approx(10 * stats.ttest_1samp(means, 0).pvalue)

    def test_two_probes_of_one_run_are_one_pair(self):
        found, comparisons = {}, []
        for probe in "wxyz":
            found |= {f"a/p{probe}": [70.0, 70.2, 70.3], f"b/p{probe}": [71.0, 71.1, 71.5 + ord(probe) / 1000]}
            comparisons.append(over("b", probe=probe))
        assert judge(comparisons, found).against == ()
        apart = [replace(comparison, runs=probe) for comparison, probe in zip(comparisons, "wxyz", strict=True)]
        assert judge(apart, found).against != ()

    def test_sizes_are_not_averaged(self):
        values = np.random.default_rng(0).normal(70, 0.3, (9, 2, 3))
        sizes = [replace(comparison, bounds=(1.0, 2.0)) for comparison in conjunction(9, 1)]
        assert judge(sizes, readings(values)).against == ()


SIMULATIONS = 300
"""Enough to tell 2.5 % from 7 % or more."""
MOST = 0.025 + 3 * math.sqrt(0.025 * 0.975 / SIMULATIONS)


def rate(which, comparisons, values):
    """How often simulated values, along the first axis, have a verdict."""
    return np.mean([judge(comparisons, readings(one)).verdict == which for one in values])


def spread(name, pairs, methods):
    """Standard deviations: equal, or those of one method or of one pair much larger."""
    sd = np.full((pairs, methods, 1), 0.2)
    if name == "one method":
        sd[:, -1] *= 5
    if name == "one pair":
        sd[-1] *= 4
    return sd


class TestRatesOfFalseVerdicts:
    @pytest.mark.parametrize("name", ["equal", "one method", "one pair"])
    @pytest.mark.parametrize(("pairs", "rivals", "seeds"), [(9, 4, 3), (1, 6, 3), (2, 10, 5), (6, 2, 2)])
    def test_a_true_claim_is_hardly_ever_refuted(self, name, pairs, rivals, seeds):
        """All methods are equal: of all truths that are not against the claim, the hardest."""
        noise = np.random.default_rng(0).normal(0, 1, (SIMULATIONS, pairs, rivals + 1, seeds))
        assert rate(FAILED, conjunction(pairs, rivals), 70 + noise * spread(name, pairs, rivals + 1)) <= MOST

    def test_nor_where_all_but_one_comparison_plainly_hold(self):
        values = np.random.default_rng(8).normal(70, 0.2, (SIMULATIONS, 3, 3, 3))
        values[:, :, 1:] -= 20
        values[:, -1, -1] += 20
        assert rate(FAILED, conjunction(3, 2), values) <= MOST

    def test_nor_above_the_level_of_the_tests_where_pairs_share_what_seeds_do(self):
        rng = np.random.default_rng(1)
        own, shared = rng.normal(0, 1, (SIMULATIONS, 9, 3, 3)), rng.normal(0, 1, (SIMULATIONS, 1, 3, 3))
        values = 70 + 0.2 * (math.sqrt(0.9) * own + math.sqrt(0.1) * shared)
        assert rate(FAILED, conjunction(9, 2), values) <= 0.05 + MOST - 0.025

    @pytest.mark.parametrize("seeds", [2, 3, 5])
    @pytest.mark.parametrize("images", [300, 10_000])
    def test_nor_where_accuracies_are_counts(self, images, seeds):
        rng = np.random.default_rng(2)
        values = np.round(rng.normal(0.97, 0.002, (SIMULATIONS, 6, 3, seeds)) * images) / images * 100
        assert rate(FAILED, conjunction(6, 2), values) <= MOST

    @pytest.mark.parametrize("name", ["equal", "one method"])
    def test_a_claim_with_one_false_part_is_hardly_ever_called_reproduced(self, name):
        rng = np.random.default_rng(3)
        values = 70 + rng.normal(0, 1, (SIMULATIONS, 2, 4, 3)) * spread(name, 2, 4)
        values[:, :, 0] += 20
        values[:, -1, -1] += 20
        assert rate(REPRODUCED, conjunction(2, 3), values) <= MOST

    def test_a_size_at_its_bound_is_hardly_ever_decided(self):
        rng = np.random.default_rng(4)
        values = rng.normal(70, 0.05, (SIMULATIONS, 1, 2, 3))
        values[:, :, 0] += 1.25
        claim = [over("b0", "p0", bounds=(0.75, 1.25))]
        assert rate(FAILED, claim, values) <= MOST
        assert rate(REPRODUCED, claim, values) <= MOST


class TestPower:
    def test_a_claim_that_is_plainly_true_is_reproduced(self):
        values = np.random.default_rng(5).normal(70, 0.2, (40, 3, 4, 3))
        values[:, :, 0] += 10
        assert rate(REPRODUCED, conjunction(3, 3), values) > 0.9

    def test_a_rival_that_is_better_everywhere_refutes_it(self):
        values = np.random.default_rng(6).normal(70, 0.2, (100, 9, 5, 3))
        values[:, :, 0] += 1
        values[:, :, 1] += 1.5
        assert rate(FAILED, conjunction(9, 4), values) > 0.9

    def test_so_does_one_that_is_far_better_for_one_pair(self):
        values = np.random.default_rng(7).normal(70, 0.2, (100, 2, 3, 5))
        values[:, :, 0] += 1
        values[:, 0, 1] += 4
        assert rate(FAILED, conjunction(2, 2), values) > 0.9
