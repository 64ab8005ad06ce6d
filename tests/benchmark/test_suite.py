"""What the leaderboard compares methods on."""

import pytest

from benchmark import suite, tables
from benchmark.errors import UserError

PAIRS = [*tables.load("11").pairs, *tables.load("12").pairs]


@pytest.fixture(scope="module")
def board():
    return suite.load()


@pytest.fixture
def written(tmp_path):
    """``written(tables, **more)`` is the suite that a file says."""

    def load(numbers, more=""):
        path = tmp_path / "leaderboard.yaml"
        path.write_text(f"{{title: T, metric: top1, tables: {numbers}{more}}}")
        return suite.load(path)

    return load


def test_is_all_pairs_and_methods_of_tables_11_and_12_and_those_added(board):
    assert (board.kind, board.spoken, board.stem) == ("leaderboard", "leaderboard", "leaderboard")
    assert list(board.pairs) == PAIRS
    assert len(PAIRS) == 13
    assert board.methods[:3] == ("teacher", "student", "kd")
    assert set(board.methods) == {*tables.load("11").methods, *tables.load("12").methods, "dist"}
    assert [column.group for column in board.columns] == ["same architectures"] * 7 + ["different architectures"] * 6
    assert all(len(values) == 13 for values in board.paper)


def test_cells_are_those_of_the_tables_under_another_name(board):
    mine = {(cell.teacher, cell.student, cell.method): cell for cell in board.cells()}
    for number in ("11", "12"):
        for cell in tables.load(number).cells():
            same = mine[cell.teacher, cell.student, cell.method]
            assert (same.recipe, same.teacher_recipe, same.metric) == (cell.recipe, cell.teacher_recipe, cell.metric)
            assert same.paper == (cell.paper if cell.applies else None)
            assert same.name == cell.name.replace(f"table{number}", "leaderboard")
    assert mine["wrn-40-2", "wrn-40-1", "fsp"].paper is None  # the table prints 0.00


def test_a_selection_keeps_the_plain_student(board):
    chosen = board.select(["crd", "ofd"], ["vgg13:*"])
    assert set(chosen.methods) == {"teacher", "student", "crd", "ofd"}
    assert chosen.pairs == ("vgg13:vgg8", "vgg13:mobilenetv2-half")
    assert chosen.stem == "leaderboard+ofd"


def test_may_be_other_tables_whichever_way_they_lie(written):
    assert len(written("{6: all}").pairs) == 9
    mixed = written("{5: on CIFAR-10, 6: on CIFAR-100}")
    assert {column.recipe for column in mixed.columns} == {"C10-WRN", "C10-RES", "C100"}
    assert {(c.recipe, c.teacher_recipe) for c in mixed.columns if c.pair == "resnet26-A:wrn-16-1"} == {
        ("C10-WRN", "C10-RES")
    }


def test_what_a_file_cannot_say_is_named(written):
    with pytest.raises(UserError, match=r"unknown key in leaderboard.yaml 'method': did you mean 'methods'"):
        written("{11: a}", ", method: [kd]")
    with pytest.raises(UserError, match="unknown table '13'"):
        written("{13: a}")
    with pytest.raises(UserError, match="unknown method 'kdd'"):
        written("{11: a}", ", methods: [kdd]")
    with pytest.raises(UserError, match=r"wrn-40-2:wrn-16-2 is a pair of two tables that train it differently"):
        written("{5: a, 11: b}")
