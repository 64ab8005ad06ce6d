import numpy as np
import pytest

from benchmark.report.leaderboard.statistics.bootstrap import intervals


def drawn(suites, pairs, between, within, seeds=3):
    """Suites as if they were methods: the intervals of all at once. The true mean is 0."""
    draw = np.random.default_rng(0)
    levels = between * draw.standard_normal((suites, pairs, 1))
    return levels + within * draw.standard_normal((suites, pairs, seeds))


@pytest.mark.parametrize(
    ("pairs", "between", "within", "seeds", "least", "most"),
    [
        (13, 1.0, 0.3, 3, 0.91, 0.98),
        (6, 1.0, 0.3, 3, 0.90, 0.98),
        (13, 1.0, 0.3, 1, 0.91, 0.98),
        (13, 0.0, 1.0, 3, 0.95, 1.00),
    ],
)
def test_intervals_cover_the_truth(pairs, between, within, seeds, least, most):
    low, high = intervals(drawn(400, pairs, between, within, seeds))
    assert least <= np.mean((low <= 0) & (high >= 0)) <= most


def test_intervals_tell_a_gain_from_nothing():
    low, high = intervals(drawn(50, 13, 0.5, 0.3) + 1.0)
    assert (low > 0).mean() > 0.95
    assert (high < 2).all()


def test_draws_agree_with_plain_loops():
    differences = drawn(1, 6, 1.0, 0.5)
    differences[0, 2, 1] = differences[0, 4, 0] = np.nan
    low, high = intervals(differences)
    draw = np.random.default_rng(1)
    means = []
    for _ in range(20_000):
        chosen = [cells[np.isfinite(cells)] for cells in differences[0, draw.integers(6, size=6)]]
        means.append(np.mean([draw.choice(cells, len(cells)).mean() for cells in chosen]))
    # Student's t of 5 degrees of freedom at 97.5 % is 2.5706; the normal distribution's tail beyond 2.5706 * sqrt(6/5).
    assert np.quantile(means, [0.00243, 0.99757]) == pytest.approx([low[0], high[0]], abs=0.15 * (high[0] - low[0]) / 2)


def test_a_seed_is_drawn_for_both_sides_of_a_difference():
    """Seeds that shift both sides alike leave no trace: all differences of a pair are one."""
    levels = np.random.default_rng(0).normal(size=(1, 8, 1))
    three = intervals(np.repeat(levels, 3, axis=2))
    assert np.concatenate(three) == pytest.approx(np.concatenate(intervals(levels)))


def test_equal_differences_have_no_width():
    low, high = intervals(np.full((2, 6, 3), 0.5))
    assert [*low, *high] == pytest.approx([0.5] * 4)


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 0, 3), (0, 6, 3), (0, 0, 0)])
def test_few_pairs_have_no_interval(shape):
    low, high = intervals(np.zeros(shape))
    assert low.shape == high.shape == shape[:1]
    assert np.isnan([*low, *high]).all()


def test_one_method_has_the_same_interval_whoever_else_is_there():
    differences = drawn(3, 6, 1.0, 0.5)
    assert intervals(differences)[0][1] == intervals(differences[1:2])[0][0]
