"""The statistics as sentences and as the data of the page."""

from dataclasses import replace
from types import MappingProxyType

import pandas as pd
import pytest

from benchmark.report.leaderboard.statistics.summary import NO_NUMBERS, LeaderboardStatistics

TITLES = {"student": "Student", "kd": "KD", "at": "AT"}


@pytest.fixture
def summary():
    """``summary(seeds, missing, pairs, gains)``: three methods, KD two points above the others."""

    def make(seeds=3, missing=(), pairs=6, gains=MappingProxyType({"kd": 2.0}), **changes):
        rows = [
            (method, f"pair{pair}", seed, 70.0 + pair + gains.get(method, 0) + 0.1 * seed + 0.05 * len(method))
            for method in TITLES
            for pair in range(pairs)
            for seed in range(seeds)
            if (method, pair) not in missing
        ]
        scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
        parts = {"higher": True, "teachers": {"pair0": 75.0}, "decimals": 2, "titles": TITLES}
        return LeaderboardStatistics(scores, **(parts | changes))

    return make


def test_tells_on_what_it_rests(summary):
    text = " ".join(summary().sentences)
    assert "3 methods on 6 pairs; 95 % bootstrap intervals." in text
    assert "Friedman's test over these pairs: p = " in text
    assert "With 3 seeds, 3 methods and the typical standard deviation, 0.10, a gap of 0." in text
    assert "seeds that all of them have" not in text
    assert "Not tested" not in text


def test_a_partly_filled_suite_says_what_is_shared_and_who_is_not_ranked(summary):
    text = " ".join(summary(missing=[("at", pair) for pair in range(4)] + [("kd", 5)]).sentences)
    assert "2 methods on 5 pairs of 6, those that all ranked methods have" in text
    assert "AT is not ranked. It has 2 of 6 pairs; a rank needs more than half." in text
    assert "Friedman" not in text


def test_says_which_seeds_count_where_some_are_left_out(summary):
    whole = summary()
    few = [("at", 0), ("at", 1), ("at", 2)]
    for seeds, told in (((0,), "1 of 3"), ((0, 2), "2 of 3")):
        kept = (whole.scores["method"] != "at") | whole.scores["seed"].isin(seeds)
        judged = replace(whole, scores=whole.scores[kept])
        assert f"3 methods on 6 pairs, on the seeds that all of them have ({told}); 95 %" in judged.sentences[0]
        assert "Not tested: 6 of 18 cells, which have fewer than 3 seeds." in judged.sentences
        kept |= ~whole.scores["pair"].isin([f"pair{pair}" for _, pair in few])
        some = replace(whole, scores=whole.scores[kept])
        assert f"on the seeds that all of them have ({told[0]} to 3 of 3); 95 %" in some.sentences[0]


def test_what_has_no_number_is_told_with_the_reason(summary):
    lacking = {"srrl": "Its runs failed: diverged.", "sp": NO_NUMBERS, "cc": NO_NUMBERS, "kd": "not used"}
    titles = {**TITLES, "srrl": "Ours", "sp": "SP", "cc": "CC"}
    judged = summary(lacking=lacking, titles=titles)
    assert judged.sentences[1] == "Ours is not ranked. Its runs failed: diverged."
    assert judged.sentences[2] == "Methods without numbers yet: CC, SP."
    assert not any("not used" in sentence for sentence in judged.sentences)
    lines = judged.page_data()["methods"]
    assert (lines["srrl"]["ranked"], lines["srrl"]["pairs"], lines["srrl"]["average_rank"]) == (False, 0, None)
    assert lines["kd"] == summary().page_data()["methods"]["kd"]
    alone = summary(seeds=0, lacking=lacking, titles=titles).sentences
    assert "There are no numbers to rank yet." in alone
    assert "Ours is not ranked. Its runs failed: diverged." in alone
    assert not any("without numbers yet" in sentence for sentence in alone)


def test_nothing_is_tested_on_pairs_of_one_seed(summary):
    one = summary(seeds=1)
    assert "Differences on single pairs are not tested: that takes 3 seeds." in one.sentences
    assert len(one.near) == 2 * 6


@pytest.mark.parametrize("gains", [{"kd": 2.0}, {"kd": 2.0, "at": 4.0}])
def test_six_pairs_are_too_few_to_find_two_methods(summary, gains):
    # All six of one sign have p = 2 / 2**6, and twice that is not below 5 %.
    text = " ".join(summary(gains=gains).sentences)
    assert "(5 %, Holm's correction): no method is significantly better or worse." in text


@pytest.mark.parametrize(
    ("gains", "found"),
    [
        ({"kd": 2.0}, "worse: AT, Student."),
        ({"student": -1.0, "at": 2.0}, "better: AT; worse: Student."),
        ({"student": 1.0, "at": 2.0}, "better: AT, Student."),
    ],
)
@pytest.mark.parametrize("higher", [True, False])
def test_signed_rank_tests_tell_which_way(summary, gains, found, higher):
    signed = gains if higher else {method: -gain for method, gain in gains.items()}
    judged = summary(pairs=8, gains=signed, higher=higher)
    sentence = f"Signed-rank tests of the gains over KD on these pairs (5 %, Holm's correction): {found}"
    assert sentence in judged.sentences
    assert sentence in judged.page_data()["sentences"]
    assert not any("Friedman" in line for line in judged.page_data()["sentences"])  # its diagram tells that


@pytest.mark.parametrize(("pairs", "told"), [(1, "1 pair; too few"), (3, "3 pairs; too few")])
def test_few_pairs_have_no_intervals(summary, pairs, told):
    text = " ".join(summary(pairs=pairs).sentences)
    assert f"3 methods on {told} pairs for intervals." in text
    assert "bootstrap" not in text


def test_without_gains_nothing_is_said_of_intervals(summary):
    alone = [(method, pair) for method in ("kd", "at") for pair in range(6)]
    assert "Ranks and means: 1 method on 6 pairs." in summary(missing=alone).sentences


def test_printed_numbers_have_no_marks(summary):
    printed = summary(seeds=1, printed=True)
    assert printed.near == set()
    assert not any(mark["near"] for marks in printed.page_data()["cells"].values() for mark in marks.values())
    assert any("without their spread" in sentence for sentence in printed.sentences)


def test_nothing_yet(summary):
    empty = summary(seeds=0)
    assert empty.sentences == ("There are no numbers to rank yet.",)
    page_data = empty.page_data()
    assert (page_data["shared_pairs"], page_data["methods"], page_data["friedman"]) == ([], {}, None)


def test_what_is_unknown_is_none(summary):
    line = summary(seeds=1).page_data()["methods"]["kd"]
    assert line["average_rank"] == 1
    assert isinstance(line["wins"], int)
    scores = pd.DataFrame([("at", "p", 0, 1.0)], columns=["method", "pair", "seed", "value"])
    alone = LeaderboardStatistics(scores, higher=True, teachers={}, decimals=2, titles=TITLES)
    assert alone.page_data()["methods"]["at"]["gain_kd"] is None
