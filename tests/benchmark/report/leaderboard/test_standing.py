"""What is said of the statistics."""

import pandas as pd
import pytest

from benchmark.report.leaderboard.standing import Standing

TITLES = {"student": "Student", "kd": "KD", "at": "AT"}


@pytest.fixture
def standing():
    """``standing(seeds, missing)``: three methods on six pairs, KD two points above the others."""

    def make(seeds=3, missing=(), **changes):
        rows = [
            (method, f"pair{pair}", seed, 70.0 + pair + 2 * (method == "kd") + 0.1 * seed + 0.05 * len(method))
            for method in TITLES
            for pair in range(6)
            for seed in range(seeds)
            if (method, pair) not in missing
        ]
        scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
        parts = {"higher": True, "teachers": {"pair0": 75.0}, "decimals": 2, "titles": TITLES}
        return Standing(scores, **(parts | changes))

    return make


def test_tells_on_what_it_rests(standing):
    text = " ".join(standing().sentences)
    assert "3 methods over 6 pairs;" in text
    assert "Friedman's test over these pairs gives p = " in text
    assert "What 3 seeds can resolve on one pair of 3 methods: the typical standard deviation is 0.10" in text
    assert "never falls below p = 0.10, so none is made on single pairs" in text


def test_a_partly_filled_suite_says_what_is_shared_and_who_is_not_ranked(standing):
    text = " ".join(standing(missing=[("at", pair) for pair in range(4)] + [("kd", 5)]).sentences)
    assert "2 methods over 5 pairs of 6, those that all ranked methods share" in text
    assert "AT is not ranked. It has 2 of 6 pairs; a rank needs more than half." in text
    assert "Friedman" not in text


def test_one_seed_tells_nothing_apart_on_a_pair(standing):
    one = standing(seeds=1)
    assert "With fewer than three seeds nothing can be told apart on a single pair." in one.sentences
    assert len(one.near) == 2 * 6


def test_printed_numbers_have_no_marks(standing):
    printed = standing(seeds=1, printed=True)
    assert printed.near == set()
    assert not any(mark["near"] for marks in printed.payload()["cells"].values() for mark in marks.values())
    assert any("without their spread" in sentence for sentence in printed.sentences)


def test_nothing_yet(standing):
    empty = standing(seeds=0)
    assert empty.sentences == ("There are no numbers to rank by yet.",)
    payload = empty.payload()
    assert (payload["shared_pairs"], payload["methods"], payload["friedman"]) == ([], {}, None)


def test_what_is_unknown_is_none(standing):
    line = standing(seeds=1).payload()["methods"]["kd"]
    assert line["average_rank"] == 1
    assert isinstance(line["wins"], int)
    scores = pd.DataFrame([("at", "p", 0, 1.0)], columns=["method", "pair", "seed", "value"])
    alone = Standing(scores, higher=True, teachers={}, decimals=2, titles=TITLES)
    assert alone.payload()["methods"]["at"]["gain_kd"] is None
