"""Marks by simulation: at most 5 % false marks with three seeds."""

import numpy as np
import pytest
from scipy import stats

from benchmark.report.leaderboard.statistics.marks import resolvable, worse_than_best
from benchmark.report.leaderboard.statistics.scores import moments

PAIRS = 4000
CHANCE = 4 * np.sqrt(0.05 * 0.95 / PAIRS)
"""Four standard errors of a rate of 5 %."""


def drawn(sds, means=0.0, seeds=3, pairs=PAIRS, common=0.0):
    """Normal runs (M, P, S) of methods with the given standard deviations and true means."""
    draw = np.random.default_rng(0)
    sds = np.asarray(sds, dtype=float)[:, None, None]
    shared = common * draw.standard_normal((1, pairs, seeds))
    noise = sds * draw.standard_normal((len(sds), pairs, seeds))
    return noise + shared + np.broadcast_to(means, len(sds))[:, None, None]


def noisy(count, of=16, factor=5.0):
    return [factor] * count + [1.0] * (of - count)


@pytest.mark.parametrize(
    "sds",
    [noisy(0), noisy(1), noisy(4), noisy(8), noisy(8, factor=0.1), noisy(1, factor=20), noisy(0, of=3), noisy(1, of=3)],
    ids=["equal", "1 noisy", "4 noisy", "8 noisy", "8 quiet", "1 wild", "3 methods", "1 noisy of 3"],
)
def test_equally_good_methods_are_rarely_marked_as_worse(sds):
    assert worse_than_best(moments(drawn(sds))).any(axis=0).mean() <= 0.05 + CHANCE


def test_textbook_rules_exceed_five_percent():
    """The simulated data separate an honest rule from others, and the reason for a rule of our own still holds."""
    cells = moments(drawn(noisy(0)))
    best = cells.mean.argmax(axis=0), np.arange(PAIRS)
    variance = cells.sd**2 / 3 + cells.sd[best] ** 2 / 3
    freedom = variance**2 / (cells.sd**4 / 18 + cells.sd[best] ** 4 / 18)
    statistic = (cells.mean[best] - cells.mean) / np.sqrt(variance)
    assert (2 * stats.t.sf(statistic, freedom) < 0.05).any(axis=0).mean() > 0.4  # Welch
    grid = np.linspace(2, 4, 9)
    reach = np.interp(freedom, grid, [stats.studentized_range.ppf(0.95, 16, each) for each in grid])
    assert (statistic * np.sqrt(2) > reach).any(axis=0).mean() > 0.055  # Games-Howell
    cells = moments(drawn(noisy(1)))
    reach = stats.studentized_range.ppf(0.95, 16, 32) * np.sqrt((cells.sd**2).mean(axis=0) / 3)
    assert (np.ptp(cells.mean, axis=0) > reach).mean() > 0.2  # Tukey


def test_games_howell_of_scipy_is_the_rule_that_is_compared():
    """One pair by `scipy.stats.tukey_hsd`, which is too slow for thousands."""
    values = drawn(noisy(0, of=4), pairs=1)[:, 0]
    cells = moments(values)
    variance = (cells.sd[0] ** 2 + cells.sd[1] ** 2) / 3
    freedom = variance**2 / ((cells.sd[0] ** 4 + cells.sd[1] ** 4) / 18)
    p = stats.studentized_range.sf(abs(cells.mean[0] - cells.mean[1]) / np.sqrt(variance / 2), 4, freedom)
    assert stats.tukey_hsd(*values, equal_var=False).pvalue[0, 1] == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize("factor", [5.0, 1.0], ids=["noisy", "quiet"])
def test_the_best_are_not_marked_where_others_are_far_behind(factor):
    means = np.array([0.0] * 3 + [-60.0] * 13)
    worse = worse_than_best(moments(drawn(noisy(3, factor=factor), means)))
    assert worse[:3].any(axis=0).mean() <= 0.05 + CHANCE
    assert worse[3:].mean() > 0.99


def test_methods_that_are_worse_are_found():
    worse = worse_than_best(moments(drawn(noisy(0), np.array([6.0] + [0.0] * 15))))
    assert worse[1:].mean() > 0.9
    assert not worse[0].any()


def test_diverged_methods_do_not_hide_differences_between_the_others():
    means = np.array([6.0] + [0.0] * 13 + [-40.0] * 2)
    worse = worse_than_best(moments(drawn([1.0] * 14 + [10.0] * 2, means, pairs=1000)))
    assert worse[1:14].mean() > 0.7
    means[0] = 0.0
    worse = worse_than_best(moments(drawn([1.0] * 14 + [10.0] * 2, means, pairs=1000)))
    assert worse[:14].any(axis=0).mean() <= 0.05 + 2 * CHANCE


def test_an_effect_of_the_seed_on_all_methods_makes_marks_rarer():
    assert worse_than_best(moments(drawn(noisy(0), common=1.0))).any(axis=0).mean() < 0.02


def test_missing_seeds_make_no_false_marks():
    values = drawn(noisy(4), seeds=5, pairs=1000)
    values[:3, :, 3:] = values[3:6, :, 4:] = np.nan
    assert worse_than_best(moments(values)).any(axis=0).mean() <= 0.05 + 2 * CHANCE


def test_methods_of_fewer_than_three_seeds_are_not_tested():
    values = drawn([0.1] * 3, np.array([0.0, 10.0, 20.0]), pairs=5)
    assert not worse_than_best(moments(values[..., :2])).any()
    of_best, of_worst = values.copy(), values.copy()
    of_best[2, :, 1:] = of_worst[0, :, 1:] = np.nan
    assert not worse_than_best(moments(of_best)).any()
    np.testing.assert_equal(worse_than_best(moments(of_worst))[:, 0], [False, True, False])


@pytest.mark.filterwarnings("error")
def test_nothing_is_marked_where_no_seed_makes_a_difference():
    assert not worse_than_best(moments(np.array([[[1.0] * 3], [[2.0] * 3]]))).any()


def test_a_missing_method_is_neither_best_nor_worse():
    values = drawn([0.1] * 3, np.array([0.0, 10.0, 20.0]), pairs=1)
    values[2] = np.nan
    np.testing.assert_equal(worse_than_best(moments(values))[:, 0], [True, False, False])
    assert worse_than_best(moments(np.full((2, 1, 3), np.nan))).shape == (2, 1)


def resolution_of(runs, values):
    methods, pairs, _ = values.shape
    return resolvable(runs({f"m{i}": {f"p{j}": values[i, j] for j in range(pairs)} for i in range(methods)}))


def test_the_significant_gap_is_where_a_mark_begins(runs):
    spread = np.array([-1.0, 0.0, 1.0])
    found = resolution_of(runs, np.array([[spread], [spread]]))
    assert (found.sd, found.seeds, found.methods) == (pytest.approx(1.0), 3, 2)
    for factor, marked in ((0.999, False), (1.001, True)):
        values = np.array([[spread], [spread - factor * found.gap]])
        assert worse_than_best(moments(values)).any() == marked


def test_more_seeds_resolve_smaller_gaps_and_one_seed_none(runs):
    three, five = (resolution_of(runs, drawn([1.0] * 4, seeds=n, pairs=30)) for n in (3, 5))
    assert five.gap < three.gap
    assert resolution_of(runs, drawn([1.0] * 4, seeds=1, pairs=3)) is None
    assert resolution_of(runs, drawn([1.0], pairs=3)) is None
    assert resolvable(runs({})) is None


def test_one_wild_pair_is_not_typical(runs):
    values = drawn([1.0] * 6, pairs=9)
    calm = resolution_of(runs, values)
    values[:, 0] *= 100
    assert resolution_of(runs, values).sd == pytest.approx(calm.sd, rel=0.2)
