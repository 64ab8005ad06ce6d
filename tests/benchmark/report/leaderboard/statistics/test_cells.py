import numpy as np
import pandas as pd
import pytest

from benchmark.report.leaderboard.statistics import by_pair


def cell(frame, method, pair="a"):
    return frame[(frame["method"] == method) & (frame["pair"] == pair)].iloc[0]


THREE = {
    "student": {"a": [70.0, 71.0, 72.0]},
    "kd": {"a": [71.0, None, 74.0]},
    "at": {"a": [72.0, 72.5, 73.0]},
}


def test_means_and_gains_on_paired_seeds(runs):
    frame = by_pair(runs(THREE), higher=True, teachers={"a": 75.0})
    found = cell(frame, "kd")
    assert (found["mean"], found["n"]) == (72.5, 2)
    assert found["sd"] == pytest.approx(np.std([71, 74], ddof=1))
    assert (found["gain_student"], found["gain_student_n"]) == (1.5, 2)
    assert found["gain_student_sd"] == pytest.approx(np.std([1, 2], ddof=1))
    assert found["gap_closed"] == pytest.approx(1.5 / (75 - 71))
    found = cell(frame, "at")
    assert (found["gain_kd"], found["gain_kd_n"]) == (0.0, 2)
    assert found["gain_kd_sd"] == pytest.approx(np.std([1, -1], ddof=1))
    # AT and KD have the same mean.
    assert list(frame["rank"]) == [1.5, 1.5, 3]
    assert list(frame["best"]) == [True, True, False]


def test_lower_is_better(runs):
    frame = by_pair(runs(THREE), higher=False, teachers={"a": 69.0})
    found = cell(frame, "kd")
    assert (found["mean"], found["gain_student"]) == (72.5, -1.5)
    assert found["gap_closed"] == pytest.approx(-1.5 / (71 - 69))
    assert list(frame["rank"]) == [2.5, 2.5, 1]
    assert list(frame["best"]) == [False, False, True]


def test_a_run_alone_has_no_spread_and_the_others_are_near(runs):
    frame = by_pair(runs({"kd": {"a": [1.0]}, "at": {"a": [9.0]}}), higher=True, teachers={})
    assert frame["sd"].isna().all()
    assert frame["gain_kd_sd"].isna().all()
    assert list(frame["gain_kd"]) == [8.0, 0.0]
    assert list(frame["near"]) == [False, True]
    assert frame[["gain_student", "gap_closed"]].isna().all(axis=None)


def test_seeds_that_do_not_meet_give_no_gain(runs):
    scores = runs({"student": {"a": [70.0, None]}, "at": {"a": [None, 75.0]}})
    found = cell(by_pair(scores, higher=True, teachers={"a": 80.0}), "at")
    assert found["gain_student_n"] == 0
    assert np.isnan(found["gain_student"])
    assert np.isnan(found["gap_closed"])


@pytest.mark.parametrize("teacher", [71.0, 60.0, float("nan")])
def test_no_gap_where_the_teacher_does_not_lead(runs, teacher):
    frame = by_pair(runs(THREE), higher=True, teachers={"a": teacher})
    assert frame["gap_closed"].isna().all()


def test_marks_are_by_pair(runs):
    far, close = [70.0, 70.1, 70.2], [80.0, 80.1, 80.2]
    scores = runs({"kd": {"a": far, "b": close}, "at": {"a": close, "b": [79.9, 80.1, 80.2]}})
    frame = by_pair(scores, higher=True, teachers={})
    marks = frame.set_index(["method", "pair"])[["best", "near"]]
    assert list(marks.loc[("kd", "a")]) == [False, False]
    assert list(marks.loc[("at", "a")]) == [True, False]
    assert list(marks.loc[("at", "b")]) == [False, True]


def test_best_is_what_reads_best(runs):
    scores = runs({"kd": {"a": [75.104]}, "at": {"a": [75.101]}, "sp": {"a": [75.09]}})
    frame = by_pair(scores, higher=True, teachers={})
    assert list(frame["best"]) == [True, True, False]
    assert list(frame["near"]) == [False, False, True]
    assert list(frame["rank"]) == [2, 1, 3]
    assert list(by_pair(scores, higher=True, teachers={}, decimals=3)["best"]) == [False, True, False]


def test_a_method_alone_is_not_best_of_anything(runs):
    frame = by_pair(runs({"kd": {"a": [1.0, 2.0, 3.0]}}), higher=True, teachers={"a": 5.0})
    assert not frame[["best", "near"]].any(axis=None)
    assert list(frame["rank"]) == [1]


def test_pairs_that_a_method_lacks_have_no_row(runs):
    frame = by_pair(runs({"kd": {"a": [1.0]}, "at": {"b": [1.0]}}), higher=True, teachers={})
    assert list(zip(frame["method"], frame["pair"], strict=True)) == [("at", "b"), ("kd", "a")]


def test_no_runs_no_rows(runs):
    empty, full = (by_pair(runs(values), higher=True, teachers={}) for values in ({}, THREE))
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


def test_the_order_of_rows_does_not_matter(suite_like):
    scores = suite_like()
    shuffled = scores.sample(frac=1, random_state=0)
    frames = [by_pair(rows, higher=True, teachers={"pair0": 75.0}) for rows in (scores, shuffled)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
