"""What the leaderboard compares methods on."""

import pytest

from benchmark.errors import UserError
from benchmark.tables import leaderboard, reader

PAIRS = [*reader.load("11").pairs, *reader.load("12").pairs]


@pytest.fixture(scope="module")
def board():
    return leaderboard.load()


@pytest.fixture
def written(tmp_path):
    """The leaderboard of a file that names some tables."""

    def load(numbers, more="", metric="top1"):
        path = tmp_path / "leaderboard.yaml"
        path.write_text(f"{{title: T, metric: {metric}, tables: {numbers}{more}}}")
        return leaderboard.load(path)

    return load


def test_is_all_pairs_and_methods_of_tables_11_and_12_and_those_added(board):
    assert (board.kind, board.display_name, board.stem) == ("leaderboard", "leaderboard", "leaderboard")
    assert list(board.pairs) == PAIRS
    assert len(PAIRS) == 13
    assert board.methods[:3] == ("teacher", "student", "kd")
    assert set(board.methods) == {*reader.load("11").methods, *reader.load("12").methods, "dist"}
    assert [column.group for column in board.columns] == ["same architectures"] * 7 + ["different architectures"] * 6
    assert all(len(values) == 13 for values in board.paper)


def test_cells_are_those_of_the_tables_under_another_name(board):
    mine = {(cell.pair.teacher, cell.pair.student, cell.method): cell for cell in board.cells}
    for number in ("11", "12"):
        for cell in reader.load(number).cells:
            same = mine[cell.pair.teacher, cell.pair.student, cell.method]
            assert (same.recipe, same.teacher_recipe, same.metric) == (cell.recipe, cell.teacher_recipe, cell.metric)
            assert same.paper == (cell.paper if cell.applies else None)
            assert same.key == cell.key.replace(f"table{number}", "leaderboard")
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


def test_a_pair_of_two_tables_is_called_as_in_the_first(written):
    both = written("{1: first, 6: second}")
    assert (len(both.pairs), both.columns[0].pair, both.columns[0].group) == (9, "wrn-40-4:wrn-16-4", "first")
    printed = {cell.key: cell.paper for cell in both.cells}
    assert printed["leaderboard/wrn-40-4:wrn-16-4/srrl[fm]/top1"] == 78.05
    assert printed["leaderboard/wrn-40-4:wrn-16-4/crd/top1"] == 78.83
    assert printed["leaderboard/wrn-40-4:wrn-16-2/srrl[fm]/top1"] is None


def test_may_be_tables_of_one_s_own_seen_from_the_file(written, tmp_path):
    lines = "columns: [{label: A}], rows: [{label: R, pair: 'vgg13:vgg8'}]"
    (tmp_path / "mine.yaml").write_text(f"{{title: T, recipe: C100, metric: top1, method: kd, {lines}}}")
    for path in ("mine.yaml", tmp_path / "mine.yaml"):
        mixed = written(f"{{{path}: mine, 6: b}}")
        assert (mixed.pairs[0], mixed.columns[0].label, mixed.columns[0].group) == ("vgg13:vgg8", "R", "mine")
        assert mixed.rows[0].label == "kd"
    with pytest.raises(UserError, match=r"there is no file .*gone.yaml"):
        written("{gone.yaml: mine}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{title: T, metric: top1}", "leaderboard.yaml, line 1: it lacks 'tables'"),
        ("{title: T, metric: top1, tables: {figure02.yaml: a}}", "figure02.yaml: files of this project are called"),
        ("{title: T, metric: topp1, tables: {11: a}}", "metric: unknown metric 'topp1': did you mean 'top1'"),
        ("{title: T, metric: params_M, tables: {6: a}}", "unknown metric .*known are loss, top1, top5"),
        ("{title: T, metric: top5, tables: {11: a}}", "table 11 has no top5 of networks as they were trained"),
        ("{title: T, metric: top1, tables: {4: a}}", "table 4 has no top1 of networks as they were trained"),
        ("{title: T, metric: top1, tables: {11: a}, methods: [kdd]}", "methods: unknown method 'kdd'"),
        ("{title: T, metric: top1, tables: {13: a}}", "tables: unknown table '13'"),
        (
            "{title: T, metric: top1, tables: {~nobody-of-that-name/mine.yaml: a}}",
            "there is no file .*~nobody-of-that-name/mine.yaml",
        ),
        (
            "{title: T, metric: top1, tables: {5: a, 11: b}}",
            "wrn-40-2:wrn-16-2 is a pair of two tables that train it differently",
        ),
    ],
)
def test_a_faulty_file_is_named(text, says, tmp_path):
    path = tmp_path / "leaderboard.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        leaderboard.load(path)
    assert "\n" not in str(caught.value)
