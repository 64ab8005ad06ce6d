"""What is said of the statistics."""

from dataclasses import replace
from types import MappingProxyType

import pandas as pd
import pytest

from benchmark.report.leaderboard.statistics.summary import NOTHING_YET, LeaderboardStatistics

TITLES = {"student": "Student", "kd": "KD", "at": "AT"}


@pytest.fixture
def standing():
    """``standing(seeds, missing, pairs, gains)``: three methods, KD two points above the others."""

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


def test_tells_on_what_it_rests(standing):
    text = " ".join(standing().sentences)
    assert "3 methods over 6 pairs; intervals are of 95 %, from bootstrap." in text
    assert "Friedman's test over these pairs gives p = " in text
    assert "What 3 seeds can resolve on one pair of 3 methods: with the typical standard deviation, 0.10, a" in text
    assert "A mark goes by a cell's own spread, too" in text
    assert "the seeds that they share" not in text
    assert "nothing is told" not in text
    assert "never falls below p = 0.10, so none is made on single pairs" in text


def test_a_partly_filled_suite_says_what_is_shared_and_who_is_not_ranked(standing):
    text = " ".join(standing(missing=[("at", pair) for pair in range(4)] + [("kd", 5)]).sentences)
    assert "2 methods over 5 pairs of 6, those that all ranked methods share" in text
    assert "AT is not ranked. It has 2 of 6 pairs; a rank needs more than half." in text
    assert "Friedman" not in text


def test_says_which_seeds_count_where_some_are_left_out(standing):
    whole = standing()
    few = [("at", 0), ("at", 1), ("at", 2)]
    for seeds, told in (((0,), "1 of 3"), ((0, 2), "2 of 3")):
        kept = (whole.scores["method"] != "at") | whole.scores["seed"].isin(seeds)
        judged = replace(whole, scores=whole.scores[kept])
        assert f"3 methods over 6 pairs, on the seeds that they share ({told}); intervals" in judged.sentences[0]
        assert "Of 6 cells of 18 nothing is told: they have fewer than three seeds." in judged.sentences
        kept |= ~whole.scores["pair"].isin([f"pair{pair}" for _, pair in few])
        some = replace(whole, scores=whole.scores[kept])
        assert f"on the seeds that they share ({told[0]} to 3 of 3); intervals" in some.sentences[0]


def test_what_has_no_number_is_told_with_the_reason(standing):
    lacking = {"srrl": "Its runs failed: diverged.", "sp": NOTHING_YET, "cc": NOTHING_YET, "kd": "not used"}
    titles = {**TITLES, "srrl": "Ours", "sp": "SP", "cc": "CC"}
    judged = standing(lacking=lacking, titles=titles)
    assert judged.sentences[1] == "Ours is not ranked. Its runs failed: diverged."
    assert judged.sentences[2] == "There are no numbers yet of CC, SP."
    assert not any("not used" in sentence for sentence in judged.sentences)
    lines = judged.page_data()["methods"]
    assert (lines["srrl"]["ranked"], lines["srrl"]["pairs"], lines["srrl"]["average_rank"]) == (False, 0, None)
    assert lines["kd"] == standing().page_data()["methods"]["kd"]
    alone = standing(seeds=0, lacking=lacking, titles=titles).sentences
    assert "There are no numbers to rank by yet." in alone
    assert "Ours is not ranked. Its runs failed: diverged." in alone
    assert not any("no numbers yet" in sentence for sentence in alone)


def test_one_seed_tells_nothing_apart_on_a_pair(standing):
    one = standing(seeds=1)
    assert "With fewer than three seeds nothing can be told apart on a single pair." in one.sentences
    assert len(one.near) == 2 * 6
    assert "decided by" not in " ".join(one.sentences)


@pytest.mark.parametrize("gains", [{"kd": 2.0}, {"kd": 2.0, "at": 4.0}])
def test_six_pairs_are_too_few_to_find_two_methods(standing, gains):
    # All six of one sign have p = 2 / 2**6, and twice that is not below 5 %.
    text = " ".join(standing(gains=gains).sentences)
    assert "held together by Holm (5 %), find no method better or worse." in text


@pytest.mark.parametrize(
    ("gains", "found"),
    [
        ({"kd": 2.0}, "worse: AT, Student."),
        ({"student": -1.0, "at": 2.0}, "better: AT; worse: Student."),
        ({"student": 1.0, "at": 2.0}, "better: AT, Student."),
    ],
)
@pytest.mark.parametrize("higher", [True, False])
def test_signed_rank_tests_tell_which_way(standing, gains, found, higher):
    signed = gains if higher else {method: -gain for method, gain in gains.items()}
    judged = standing(pairs=8, gains=signed, higher=higher)
    sentence = f"Signed-rank tests of the gains over KD on these pairs, held together by Holm (5 %), find {found}"
    assert sentence in judged.sentences
    assert sentence in judged.page_data()["sentences"]
    assert not any("Friedman" in line for line in judged.page_data()["sentences"])  # its diagram tells that


@pytest.mark.parametrize(("pairs", "told"), [(1, "1 pair; too few"), (3, "3 pairs; too few")])
def test_few_pairs_have_no_intervals(standing, pairs, told):
    text = " ".join(standing(pairs=pairs).sentences)
    assert f"3 methods over {told} pairs for intervals." in text
    assert "bootstrap" not in text


def test_without_gains_nothing_is_said_of_intervals(standing):
    alone = [(method, pair) for method in ("kd", "at") for pair in range(6)]
    assert "Ranks and means: 1 method over 6 pairs." in standing(missing=alone).sentences


def test_printed_numbers_have_no_marks(standing):
    printed = standing(seeds=1, printed=True)
    assert printed.near == set()
    assert not any(mark["near"] for marks in printed.page_data()["cells"].values() for mark in marks.values())
    assert any("without their spread" in sentence for sentence in printed.sentences)


def test_nothing_yet(standing):
    empty = standing(seeds=0)
    assert empty.sentences == ("There are no numbers to rank by yet.",)
    page_data = empty.page_data()
    assert (page_data["shared_pairs"], page_data["methods"], page_data["friedman"]) == ([], {}, None)


def test_what_is_unknown_is_none(standing):
    line = standing(seeds=1).page_data()["methods"]["kd"]
    assert line["average_rank"] == 1
    assert isinstance(line["wins"], int)
    scores = pd.DataFrame([("at", "p", 0, 1.0)], columns=["method", "pair", "seed", "value"])
    alone = LeaderboardStatistics(scores, higher=True, teachers={}, decimals=2, titles=TITLES)
    assert alone.page_data()["methods"]["at"]["gain_kd"] is None
