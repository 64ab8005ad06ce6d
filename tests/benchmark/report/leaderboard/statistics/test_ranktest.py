import numpy as np
import pytest
from scipy import stats

from benchmark.report.leaderboard.statistics import across, rank_test
from benchmark.report.leaderboard.statistics.ranktest import critical_difference


def judged(scores):
    return rank_test(across(scores, higher=True, teachers={}))


def suite(runs, columns):
    """A suite of one seed from means by method, one a pair."""
    return runs({name: {f"p{i}": [mean] for i, mean in enumerate(means)} for name, means in columns.items()})


COLUMNS = {
    "kd": [70.0, 71.0, 72.0, 73.0, 74.0, 75.0],
    "at": [70.0, 70.5, 71.0, 72.5, 73.0, 76.0],
    "sp": [72.0, 73.0, 74.0, 75.0, 74.5, 77.0],
    "cc": [69.0, 69.5, 70.5, 71.0, 74.0, 74.5],
}


def test_friedman_from_rank_sums_by_hand(runs):
    # Ranks of kd, at, sp, cc by pair, 1 is best.
    ranks = np.array(
        [[2.5, 2.5, 1, 4], [2, 3, 1, 4], [2, 3, 1, 4], [2, 3, 1, 4], [2.5, 4, 1, 2.5], [3, 2, 1, 4]], dtype=float
    )
    pairs, methods = ranks.shape
    # Conover's form with ties: the mean ranks' spread by that of all ranks.
    total = methods * (methods + 1) ** 2 / 4
    statistic = (methods - 1) * pairs * ((ranks.mean(axis=0) ** 2).sum() - total) / ((ranks**2).sum() / pairs - total)
    found = judged(suite(runs, COLUMNS))
    assert found.statistic == pytest.approx(statistic)
    assert found.p == pytest.approx(stats.chi2.sf(statistic, methods - 1))


# Demsar's table 5(a): q at 5 % by the number of methods.
@pytest.mark.parametrize(("methods", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)])
def test_critical_difference_by_tabulated_q(methods, q):
    expected = q * np.sqrt(methods * (methods + 1) / (6 * 13))
    assert critical_difference(methods, 13) == pytest.approx(expected, abs=1e-3)


def test_groups_are_the_longest_stretches_below_the_critical_difference(runs):
    # Ranks of six methods that never change places but for the first two: 1.5, 1.5, 3, 4, 5, 6.
    columns = {f"m{i}": [80.0 - i - j for j in range(12)] for i in range(6)}
    columns["m0"], columns["m1"] = (
        [a if j % 2 else b for j, (a, b) in enumerate(zip(columns["m0"], columns["m1"], strict=True))],
        [b if j % 2 else a for j, (a, b) in enumerate(zip(columns["m0"], columns["m1"], strict=True))],
    )
    found = judged(suite(runs, columns))
    assert found.critical_difference == pytest.approx(2.850 * np.sqrt(42 / 72), abs=1e-3)  # 2.18
    assert found.groups == (("m0", "m1", "m2"), ("m2", "m3", "m4"), ("m3", "m4", "m5"))


def test_a_method_far_from_all_is_in_no_group(runs):
    columns = {"m0": [90.0] * 100, "m1": [80.0, 79.0] * 50, "m2": [79.0, 80.0] * 50}
    assert judged(suite(runs, columns)).groups == (("m1", "m2"),)


def test_methods_that_are_equal_everywhere(runs):
    found = judged(suite(runs, {name: [70.0, 71.0, 72.0] for name in ("kd", "at", "sp")}))
    assert (found.statistic, found.p) == (0.0, 1.0)
    assert found.groups == (("at", "kd", "sp"),)


def test_friedman_keeps_its_level_on_equal_methods(runs):
    draw = np.random.default_rng(0)
    found = [
        judged(suite(runs, {f"m{i}": values for i, values in enumerate(draw.normal(70, 1, (5, 13)))}))
        for _ in range(150)
    ]
    # Four standard errors above 5 %.
    assert np.mean([test.p < 0.05 for test in found]) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 100)
    assert np.mean([len(test.groups[0]) < 5 for test in found]) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 100)


def test_wilcoxon_by_hand(runs):
    against = judged(suite(runs, COLUMNS)).against_kd.set_index("method")
    # All six gains of SP are positive: both signs of 2**6 equally likely ones.
    assert against.loc["sp", "p"] == pytest.approx(2 / 2**6)
    # AT and CC have one gain of nothing, which leaves five.
    assert list(against.loc[["at", "cc"], "pairs"]) == [5, 5]
    assert against.loc[["at", "cc"], "p"].isna().all()
    assert "kd" not in against.index


@pytest.mark.parametrize(
    "values", [[1, 1, 2, 3, 3, 4], [-1, 1, 2, 2, -3, 5, 6], [1, 2, 3, 4, 5, 6, -7], [-2, -2, 1, 3, 3, 3]]
)
def test_wilcoxon_with_and_without_ties_is_that_of_scipy(runs, values):
    means = 70.0 + np.array(values)
    against = judged(suite(runs, {"kd": [70.0] * len(means), "a": means, "b": means})).against_kd
    expected = stats.wilcoxon(values, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
    assert list(against["p"]) == pytest.approx([expected] * 2)


def test_p_values_are_corrected_by_holm(runs):
    better = np.arange(1.0, 8.0)
    columns = {"kd": [70.0] * 7, "a": 70 + better, "b": 70 + better * [-1, 1, 1, 1, 1, 1, 1], "c": 70 - better / 3}
    against = judged(suite(runs, columns)).against_kd.set_index("method")
    assert list(against["p"]) == pytest.approx([2 / 128, 4 / 128, 2 / 128])
    assert list(against["p_holm"]) == pytest.approx([6 / 128, 6 / 128, 6 / 128])


def test_directions_are_those_of_the_ranks_that_are_tested(runs):
    columns = {
        "kd": [70.0] * 7,
        "better": [71.0, 71.0, 72.0, 72.0, 73.0, 73.0, 74.0],
        "worse": [69.0, 68.0, 67.0, 66.0, 65.0, 64.0, 63.0],
        "outlier": [69.9, 69.8, 69.7, 69.6, 69.5, 69.4, 99.0],  # its mean is better, on one pair alone
        "same": [70.0] * 7,
    }
    found = judged(suite(runs, columns)).against_kd.set_index("method")["direction"]
    assert found.to_dict() == {"better": 1, "worse": -1, "outlier": -1, "same": 0}


def test_without_kd_nothing_is_against_it(runs):
    found = judged(suite(runs, {name: means for name, means in COLUMNS.items() if name != "kd"}))
    assert found.against_kd.empty
    assert list(found.against_kd.columns) == ["method", "pairs", "p", "p_holm", "direction"]


@pytest.mark.parametrize(("methods", "pairs"), [(2, 6), (4, 1), (0, 0)])
def test_too_little_for_a_test(runs, methods, pairs):
    columns = {name: means[:pairs] for name, means in list(COLUMNS.items())[:methods]}
    assert judged(suite(runs, columns)) is None


def test_unranked_methods_are_left_out(runs):
    full, some = suite(runs, COLUMNS), suite(runs, COLUMNS | {"few": [90.0, 90.0]})
    one, other = judged(full), judged(some)
    assert (one.statistic, one.groups) == (other.statistic, other.groups)
