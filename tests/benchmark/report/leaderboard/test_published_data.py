"""Published numbers of the leaderboard's pairs and methods."""

import json
from dataclasses import replace

import pytest

from benchmark.report.leaderboard.published_data import FIELDS, published, sentence
from benchmark.tables import leaderboard
from benchmark.tables.published import Overstatement, load


@pytest.fixture(scope="module")
def board():
    return leaderboard.load().extended(["dkd", "kd[ls]", "reviewkd", "tfkd"])


@pytest.fixture(scope="module")
def rows(board):
    return [dict(zip(FIELDS, row, strict=True)) for row in published(board)["rows"]]


def test_rows_are_those_of_the_board_s_pairs_and_methods(board, rows):
    assert {row["pair"] for row in rows} <= {*board.pairs}
    assert {row["method"] for row in rows} > {"kd", "crd", "dkd", "kd[ls]", "reviewkd"}
    assert {row["method"] for row in rows} <= {*board.methods}
    given = {(number.pair, number.printed, number.top1, number.selection, number.source) for number in load()}
    assert {(row["pair"], row["printed"], row["top1"], row["selection"], row["source"]) for row in rows} <= given


def test_all_numbers_of_a_cell_are_there(rows):
    found = [row for row in rows if (row["method"], row["pair"]) == ("kd[ls]", "vgg13:vgg8")]
    assert {(row["selection"], row["top1"]) for row in found} >= {("last", 74.5), ("unknown", 74.36)}
    assert {row["printed"] for row in found} == {"KD+LS"}


def test_suites_are_named_and_lie_together(board, rows):
    order = list(dict.fromkeys(row["suite"] for row in rows))
    assert [suite["id"] for suite in published(board)["suites"]] == order
    assert [row["suite"] for row in rows] == sorted((row["suite"] for row in rows), key=order.index)
    assert order[0] == "cifar100-crd"


def test_a_pair_has_numbers_of_its_own_data_alone(board):
    columns = tuple(replace(column, recipe="C10-WRN") for column in board.columns)
    assert published(replace(board, columns=columns))["rows"] == []
    assert published(board.on("cub200"))["rows"] == []


def test_is_json(board):
    found = published(board)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_note_states_what_was_measured():
    text = sentence(Overstatement(58, (0.2846, 0.3842), 0.92))
    assert "In 58 public logs" in text
    assert "0.28 to 0.38 points" in text
    assert "up to 0.9:" in text
