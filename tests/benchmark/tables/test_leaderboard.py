"""What the leaderboard compares methods on."""

import re

import pytest

from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.tables import leaderboard, reader

ADDED = ["resnet32x4:wrn-16-2", "resnet32x4:wrn-40-2", "wrn-40-2:resnet8x4", "wrn-40-2:mobilenetv2-half"]
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
    assert list(board.pairs) == [*PAIRS, *ADDED]
    assert len(PAIRS) == 13
    assert board.methods[:3] == ("teacher", "student", "kd")
    groups = ["same architectures"] * 7 + ["different architectures"] * 6 + ["pairs of papers since 2024"] * 4
    assert [column.group for column in board.columns] == groups
    assert {column.recipe for column in board.columns} == {"CRD100"}
    assert all(len(values) == 17 and values[13:] == (None,) * 4 for values in board.paper)


def test_every_method_is_on_the_leaderboard(board):
    shown = {name for method in board.methods for name, _ in method.terms}
    assert {*catalog.methods()} - shown == set()


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
    chosen = board.select(["crd", "kd[temperature=2]"], ["vgg13:*"])
    assert set(chosen.methods) == {"teacher", "student", "crd", "kd[temperature=2]"}
    assert chosen.pairs == ("vgg13:vgg8", "vgg13:mobilenetv2-half")
    assert chosen.stem == "leaderboard+kd[temperature=2]"


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


def test_a_chain_joins_the_group_of_the_pair_beside_it(board):
    chain = "vgg13>resnet32[kd]:vgg8"
    chosen = board.select(["crd"], [chain])
    assert chosen.pairs == (chain,)
    assert [column.group for column in chosen.columns] == ["same architectures"]
    assert {(cell.recipe, cell.teacher_recipe) for cell in chosen.cells} == {("CRD100", "CRD100")}
    assert chosen.stem == "leaderboard+vgg13--resnet32[kd]--vgg8"


def test_a_table_of_chains_can_be_on_it(written, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "{title: T, recipe: CRD100, metric: top1, columns: [{label: KD, method: kd}], "
        "rows: [{label: assisted, pair: 'vgg13>resnet32[kd]:vgg8'}, {label: misspelled, pair: 'vgg13:vgg8'}]}"
    )
    assert written("{mine.yaml: mine}").pairs == ("vgg13>resnet32[kd]:vgg8", "vgg13:vgg8")
    text = (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("'vgg13:vgg8'", "'vgg13>resnet32[kd]:vg8'"))
    with pytest.raises(UserError, match="unknown network 'vg8': did you mean 'vgg8'"):
        written("{mine.yaml: mine}")


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ("vgg13:vgg8", "vgg13:vgg8 is on the leaderboard already: leave it out"),
        ("vgg13:resnet20, vgg13:resnet20", "vgg13:resnet20 is on the leaderboard already"),
        ("vgg13:vgg9", "unknown network 'vgg9'"),
    ],
)
def test_added_pairs_are_new_and_known(pairs, says, written):
    words = ", ".join(f'"{pair.strip()}"' for pair in pairs.split(","))
    with pytest.raises(UserError, match=re.escape(says)):
        written("{11: all}", f", pairs: [{{group: more, recipe: CRD100, pairs: [{words}]}}]")


def test_added_pairs_need_a_known_recipe(written):
    with pytest.raises(UserError, match="unknown recipe 'CRD'"):
        written("{11: all}", ', pairs: [{group: more, recipe: CRD, pairs: ["vgg13:resnet20"]}]')
