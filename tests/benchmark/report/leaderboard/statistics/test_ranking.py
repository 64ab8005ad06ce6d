import numpy as np
import pandas as pd
import pytest

from benchmark.report.leaderboard.statistics import across, by_pair

PAIRS = [f"pair{i}" for i in range(7)]
TEACHERS = {pair: 75.0 + i for i, pair in enumerate(PAIRS)}


def row(ranking, method):
    return ranking.methods.set_index("method").loc[method]


def without(scores, method, pairs):
    return scores[~((scores["method"] == method) & scores["pair"].isin(pairs))]


def test_a_full_suite(suite_like):
    scores = suite_like()
    ranking = across(scores, higher=True, teachers=TEACHERS)
    cells = by_pair(scores, higher=True, teachers=TEACHERS).set_index("method")
    assert ranking.shared == tuple(PAIRS)
    assert (ranking.methods["pairs"] == 7).all()
    assert ranking.methods["ranked"].all()
    assert (ranking.methods["reason"] == "").all()
    for method in ("student", "kd", "method4"):
        found, own = row(ranking, method), cells.loc[method]
        assert found["average_rank"] == pytest.approx(own["rank"].mean())
        for end in ("student", "kd"):
            assert found[f"gain_{end}"] == pytest.approx(own[f"gain_{end}"].mean())
            assert found[f"gain_{end}_low"] <= found[f"gain_{end}"] <= found[f"gain_{end}_high"]
            assert found[f"gain_{end}_n"] == 7
        above = sum(TEACHERS.values()) - cells.loc["student", "mean"].sum()
        assert found["gap_closed"] == pytest.approx(own["gain_student"].sum() / above)
    kd = row(ranking, "kd")
    assert list(kd[["gain_kd", "gain_kd_low", "gain_kd_high", "wins", "ties", "losses"]]) == [0, 0, 0, 0, 7, 0]


def test_wins_are_counted_as_printed(runs):
    scores = runs(
        {
            "student": {"a": [70.0], "b": [70.0], "c": [70.0]},
            "kd": {"a": [71.001], "b": [71.0], "c": [71.0]},
            "at": {"a": [71.004], "b": [71.01], "c": [69.0]},
        }
    )
    found = row(across(scores, higher=True, teachers={}), "at")
    assert list(found[["wins", "ties", "losses"]]) == [1, 1, 1]
    assert list(found[["wins_student", "ties_student", "losses_student"]]) == [2, 0, 1]
    assert list(row(across(scores, higher=True, teachers={}, decimals=3), "at")[["wins", "ties"]]) == [2, 0]
    assert list(row(across(scores, higher=False, teachers={}), "at")[["wins", "ties", "losses"]]) == [1, 1, 1]


def test_lower_is_better(suite_like):
    scores = suite_like()
    up = across(scores, higher=True, teachers=TEACHERS)
    mirrored = scores.assign(value=-scores["value"])
    down = across(mirrored, higher=False, teachers={pair: -value for pair, value in TEACHERS.items()})
    pd.testing.assert_frame_equal(up.methods, down.methods)


def test_a_method_of_half_the_pairs_is_not_ranked_and_says_why(suite_like):
    full = suite_like()
    scores = without(full, "method4", PAIRS[3:])
    scores = scores[(scores["method"] != "method4") | (scores["seed"] == 0)]
    ranking = across(scores, higher=True, teachers=TEACHERS)
    found = row(ranking, "method4")
    assert not found["ranked"]
    assert found["reason"] == "It has 3 of 7 pairs; a rank needs more than half."
    assert found[["average_rank", "gain_kd", "gain_kd_low", "gap_closed", "wins"]].isna().all()
    # The others are ranked as if it were not there, also by its missing seeds.
    others = across(full[full["method"] != "method4"], higher=True, teachers=TEACHERS)
    rest = ranking.methods[ranking.methods["ranked"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, others.methods)


def test_ranks_are_over_the_pairs_that_all_ranked_methods_share(suite_like):
    scores = without(without(suite_like(), "method4", PAIRS[:2]), "kd", PAIRS[2:3])
    ranking = across(scores, higher=True, teachers=TEACHERS)
    shared = [pair for pair in PAIRS if pair not in PAIRS[:3]]
    assert ranking.shared == tuple(shared)
    assert row(ranking, "method4")["pairs"] == 5
    only = across(scores[scores["pair"].isin(shared)], higher=True, teachers=TEACHERS)
    same = ranking.methods.drop(columns="pairs")
    pd.testing.assert_frame_equal(same, only.methods.drop(columns="pairs"))


def test_no_pair_or_seed_shared_no_rank(runs):
    holes = {"kd": {"a": [1.0], "b": [1.0]}, "at": {"b": [1.0], "c": [1.0]}, "sp": {"a": [1.0], "c": [1.0]}}
    ranking = across(runs(holes), higher=True, teachers={})
    assert ranking.shared == ()
    assert not ranking.methods["ranked"].any()
    reason = "No pair has numbers of all methods that have more than half of the pairs, with a seed in common."
    assert set(ranking.methods["reason"]) == {reason}
    seeds = {"kd": {"a": [1.0, None]}, "at": {"a": [None, 1.0]}}
    assert set(across(runs(seeds), higher=True, teachers={}).methods["reason"]) == {reason}
    apart = across(runs({"kd": {"a": [1.0]}, "at": {"b": [1.0]}}), higher=True, teachers={})
    assert list(apart.methods["reason"]) == ["It has 1 of 2 pairs; a rank needs more than half."] * 2


def test_all_are_judged_by_the_seeds_that_all_ranked_methods_have(suite_like):
    full = suite_like()
    scores = full[(full["method"] != "method3") | (full["seed"] == 0)]
    ranking = across(scores, higher=True, teachers=TEACHERS)
    only = across(full[full["seed"] == 0], higher=True, teachers=TEACHERS)
    pd.testing.assert_frame_equal(ranking.methods, only.methods)
    assert (ranking.seeds, ranking.had) == ((1,) * 7, (3,) * 7)
    whole = across(full, higher=True, teachers=TEACHERS)
    assert (whole.seeds, whole.had) == ((3,) * 7, (3,) * 7)
    assert row(whole, "kd")["gain_student"] != row(only, "kd")["gain_student"]


def test_who_is_better_on_every_shared_seed_wins(runs):
    # By the means of all their seeds KD would be better.
    scores = runs({"student": {"a": [60.0, 75.0]}, "kd": {"a": [70.0, 80.0]}, "mine": {"a": [71.0, None]}})
    ranking = across(scores, higher=True, teachers={"a": 82.0})
    found = row(ranking, "mine")
    assert list(found[["average_rank", "wins", "ties", "losses"]]) == [1, 1, 0, 0]
    assert (found["gain_kd"], found["gain_student"], found["gap_closed"]) == (1.0, 11.0, 0.5)


def test_a_pair_without_a_common_seed_is_not_shared(suite_like):
    scores = suite_like()
    apart = scores["pair"] == "pair2"
    scores = scores[~apart | (scores["method"] != "method3") | (scores["seed"] == 0)]
    scores = scores[~((scores["pair"] == "pair2") & (scores["method"] == "kd") & (scores["seed"] == 0))]
    ranking = across(scores, higher=True, teachers=TEACHERS)
    assert ranking.shared == tuple(pair for pair in PAIRS if pair != "pair2")
    assert list(ranking.gains_kd.index) == list(ranking.shared)
    assert (ranking.methods[["gain_kd_n", "gain_student_n"]] == 6).all(axis=None)
    assert (ranking.methods["pairs"] == 7).all()


def test_gap_closed_is_over_pairs_where_the_teacher_leads(runs):
    scores = runs({"student": {"a": [70.0], "b": [70.0], "c": [70.0]}, "at": {"a": [71.0], "b": [73.0], "c": [69.0]}})
    found = row(across(scores, higher=True, teachers={"a": 72.0, "b": 74.0, "c": 69.0}), "at")
    assert found["gap_closed"] == pytest.approx((1 + 3) / (2 + 4))
    assert np.isnan(row(across(scores, higher=True, teachers={"c": 69.0}), "at")["gap_closed"])


def test_without_student_or_kd_there_are_ranks_and_no_gains(suite_like):
    scores = suite_like()
    ranking = across(scores[~scores["method"].isin(["student", "kd"])], higher=True, teachers=TEACHERS)
    assert ranking.methods["average_rank"].notna().all()
    unknown = ["gain_student", "gain_student_low", "gain_kd", "gap_closed", "wins", "losses_student"]
    assert ranking.methods[unknown].isna().all(axis=None)


def test_a_single_method_and_none(runs, suite_like):
    alone = across(runs({"student": {"a": [1.0]}}), higher=True, teachers={"a": 2.0})
    assert list(alone.methods["average_rank"]) == [1.0]
    empty = across(runs({}), higher=True, teachers={})
    assert empty.methods.empty
    assert (empty.shared, empty.ranks.size) == ((), 0)
    assert list(empty.methods.columns) == list(across(suite_like(), higher=True, teachers={}).methods.columns)


def test_the_order_of_rows_does_not_matter(suite_like):
    scores = suite_like().sample(frac=0.9, random_state=1)
    shuffled = scores.sample(frac=1, random_state=0)
    one, other = (across(rows, higher=True, teachers=TEACHERS) for rows in (scores, shuffled))
    pd.testing.assert_frame_equal(one.methods, other.methods, check_exact=True)
    pd.testing.assert_frame_equal(one.ranks, other.ranks, check_exact=True)
