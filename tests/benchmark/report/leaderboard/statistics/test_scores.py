import numpy as np
import pytest

from benchmark.report.leaderboard.statistics.scores import Scores, moments, ranks


def test_runs_are_arranged_and_signed(runs):
    scores = Scores.of(
        runs({"kd": {"b": [1.0, None, 3.0]}, "at": {"a": [4.0], "b": [float("nan"), 5.0]}}), higher=False
    )
    assert (scores.methods, scores.pairs) == (("at", "kd"), ("a", "b"))
    nan = np.nan
    np.testing.assert_equal(scores.values, -np.array([[[4, nan, nan], [nan, 5, nan]], [[nan, nan, nan], [1, nan, 3]]]))
    np.testing.assert_equal(scores.present, [[True, True], [False, True]])


def test_two_runs_of_one_seed_are_an_error(runs):
    scores = runs({"kd": {"a": [1.0, 2.0]}})
    with pytest.raises(ValueError, match="two runs"):
        Scores.of(scores.assign(seed=0), higher=True)


def test_moments_agree_with_numpy():
    values = np.random.default_rng(0).normal(size=(3, 2, 4))
    values[0, 0, :2], values[1, 1] = np.nan, np.nan
    found = moments(values)
    assert found.n[1, 1] == 0
    assert np.isnan(found.mean[1, 1])
    assert found.mean[0, 0] == pytest.approx(np.mean(values[0, 0, 2:]))
    assert found.sd[0, 0] == pytest.approx(np.std(values[0, 0, 2:], ddof=1))
    assert np.isnan(moments(np.array([[1.0]])).sd[0])


def test_ranks_average_ties_and_leave_out_what_is_missing():
    # 0.1 + 0.2 is not 0.3 in floats.
    means = np.array([[0.3, 5.0], [0.1 + 0.2, np.nan], [0.5, 7.0], [0.1, 6.0]])
    np.testing.assert_equal(ranks(means), [[2.5, 3], [2.5, np.nan], [1, 1], [4, 2]])


def test_gaps_are_those_where_the_teacher_leads(runs):
    scores = runs({"student": {"a": [70.0, 72.0], "b": [70.0], "c": [70.0]}})
    teachers = {"a": 75.0, "b": 69.0}
    np.testing.assert_equal(Scores.of(scores, higher=True).gaps(teachers), [4, np.nan, np.nan])
    np.testing.assert_equal(Scores.of(scores, higher=False).gaps(teachers), [np.nan, 1, np.nan])
