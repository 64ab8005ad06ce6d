import numpy as np
import pytest
from scipy import stats

from benchmark.report.leaderboard.statistics.marks import LEVEL, range_quantile, resolvable, worse_than_best
from benchmark.report.leaderboard.statistics.scores import moments

PAIRS = 4000
# Four standard errors of a rate of 5 % in so many pairs.
CHANCE = 4 * np.sqrt(0.05 * 0.95 / PAIRS)


def drawn(sds, means=0.0, seeds=3, pairs=PAIRS, common=0.0):
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
def test_equally_good_methods_are_rarely_told_apart(sds):
    rate = worse_than_best(moments(drawn(sds))).any(axis=0).mean()
    assert rate <= 0.05 + CHANCE


def test_a_naive_test_against_the_best_would_not_do():
    """The data are hard enough to tell an honest rule from another one."""
    cells = moments(drawn(noisy(0)))
    best = cells.mean.argmax(axis=0), np.arange(PAIRS)
    variance = cells.sd**2 / 3 + cells.sd[best] ** 2 / 3
    freedom = variance**2 / (cells.sd**4 / 18 + cells.sd[best] ** 4 / 18)
    statistic = (cells.mean[best] - cells.mean) / np.sqrt(variance)
    assert (2 * stats.t.sf(statistic, freedom) < 0.05).any(axis=0).mean() > 0.4


@pytest.mark.parametrize("top", [noisy(3, of=3), noisy(3, of=3, factor=1.0)], ids=["noisy", "quiet"])
def test_the_best_are_not_told_apart_where_others_are_far_behind(top):
    means = np.array([0.0] * 3 + [-60.0] * 13)
    told = worse_than_best(moments(drawn(top + noisy(0, of=13), means)))
    assert told[:3].any(axis=0).mean() <= 0.05 + CHANCE
    assert told[3:].mean() > 0.99


def test_a_better_method_that_is_seen_best_is_told_from_all_others():
    means = np.array([6.0] + [0.0] * 15)
    told = worse_than_best(moments(drawn(noisy(0), means)))
    assert told[1:].mean() > 0.9
    assert not told[0].any()


def test_a_seed_that_is_good_for_all_makes_marks_rarer():
    rate = worse_than_best(moments(drawn(noisy(0), common=1.0))).any(axis=0).mean()
    assert rate < 0.02


def test_missing_seeds_make_no_false_marks():
    values = drawn(noisy(4), seeds=5, pairs=1000)
    values[np.random.default_rng(1).random(values.shape) < 0.2] = np.nan
    rate = worse_than_best(moments(values)).any(axis=0).mean()
    assert rate <= 0.05 + 2 * CHANCE


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_is_told_of_one_or_two_seeds(seeds):
    values = drawn([0.01] * 4, np.array([0.0, 10.0, 20.0, 30.0]), seeds=seeds, pairs=5)
    assert not worse_than_best(moments(values)).any()


def test_nothing_is_told_from_a_best_of_one_seed_and_the_others_do_not_mind_a_worse_one():
    values = drawn([0.1] * 3, np.array([0.0, 10.0, 20.0]), pairs=5)
    fewer = values.copy()
    fewer[2, :, 1:] = np.nan
    assert not worse_than_best(moments(fewer)).any()
    fewer = values.copy()
    fewer[0, :, 1:] = np.nan
    np.testing.assert_equal(worse_than_best(moments(fewer))[:, 0], [False, True, False])


@pytest.mark.filterwarnings("error")
def test_nothing_is_told_where_no_seed_made_a_difference():
    assert not worse_than_best(moments(np.array([[[1.0] * 3], [[2.0] * 3]]))).any()


def test_an_absent_method_is_neither_best_nor_told():
    values = drawn([0.1] * 3, np.array([0.0, 10.0, 20.0]), pairs=1)
    values[2] = np.nan
    np.testing.assert_equal(worse_than_best(moments(values))[:, 0], [True, False, False])
    assert worse_than_best(moments(np.full((2, 1, 3), np.nan))).shape == (2, 1)


# Harter's table at 5 %: number of means, degrees of freedom.
@pytest.mark.parametrize(("size", "freedom", "value"), [(2, 4, 3.93), (3, 6, 4.34), (5, 10, 4.65), (10, 20, 5.01)])
def test_range_agrees_with_the_table(size, freedom, value):
    assert range_quantile(0.05, size, freedom) == pytest.approx(value, abs=0.006)


@pytest.mark.parametrize(("size", "freedom"), [(2, 2), (16, 32), (30, 4)])
def test_range_agrees_with_scipy(size, freedom):
    found = range_quantile(LEVEL, size, freedom)
    assert found == pytest.approx(stats.studentized_range.ppf(1 - LEVEL, size, freedom), rel=1e-4)


def resolution_of(runs, values):
    methods, pairs, _ = values.shape
    return resolvable(runs({f"m{i}": {f"p{j}": values[i, j] for j in range(pairs)} for i in range(methods)}))


def test_what_is_resolvable_is_what_the_marks_find(runs):
    found = resolution_of(runs, drawn([0.5] * 6, pairs=60))
    assert (found.seeds, found.methods) == (3, 6)
    assert found.sd == pytest.approx(0.5, rel=0.1)
    told = worse_than_best(moments(drawn([1.0] * 6, np.array([found.found / found.sd] + [0.0] * 5))))
    # The best is not always seen best, but for those set aside the threshold is lower.
    assert told[1:].mean() == pytest.approx(0.8, abs=0.05)
    assert 0 < found.significant < found.found


def test_the_gap_that_counts_as_significant_is_where_a_mark_begins(runs):
    spread = np.array([-1.0, 0.0, 1.0])
    found = resolution_of(runs, np.array([[spread], [spread]]))
    assert found.sd == pytest.approx(1.0)
    for factor, told in ((0.999, False), (1.001, True)):
        values = np.array([[spread], [spread - factor * found.significant]])
        assert worse_than_best(moments(values)).any() == told


def test_more_seeds_resolve_more_and_one_nothing(runs):
    three, five = (resolution_of(runs, drawn([1.0] * 4, seeds=n, pairs=30)) for n in (3, 5))
    assert five.found < three.found
    assert resolution_of(runs, drawn([1.0] * 4, seeds=1, pairs=3)) is None
    assert resolution_of(runs, drawn([1.0], pairs=3)) is None
    assert resolvable(runs({})) is None


def test_one_wild_pair_is_not_typical(runs):
    values = drawn([1.0] * 6, pairs=9)
    calm = resolution_of(runs, values)
    values[:, 0] *= 100
    assert resolution_of(runs, values).sd == pytest.approx(calm.sd, rel=0.2)
