import csv
from pathlib import Path

import pytest

from benchmark import catalog, tables
from benchmark.errors import UserError
from benchmark.objectives import parse_method
from benchmark.recipes import load_recipe

PRINTED = Path(__file__).with_name("paper_values.csv")


@pytest.fixture
def table6():
    return tables.load("6")


def names(table):
    return [column.method or column.role for column in table.columns if not column.hidden]


def pairs(table):
    return [row.pair for row in table.rows]


@pytest.mark.parametrize("number", tables.numbers())
def test_holds_every_printed_value(number):
    with PRINTED.open(newline="", encoding="utf-8") as file:
        lines = [row for row in csv.DictReader(file) if row["table"] == number]
    printed = {(row["row"], row["column"], row["metric"]): float(row["value"]) for row in lines}
    table = tables.load(number)
    labels = ((table.rows[cell.row].label, table.columns[cell.column].label, cell.metric) for cell in table.cells())
    assert dict(zip(labels, (cell.paper for cell in table.cells()), strict=True)) == printed
    assert len(printed) == len(lines)


@pytest.mark.parametrize("number", tables.numbers())
def test_method_names_are_canonical(number):
    table = tables.load(number)
    methods = [axis.method for axis in (*table.rows, *table.columns) if axis.method]
    assert methods == [parse_method(name).name for name in methods]


def test_table_6_names_networks_that_fit_their_labels(table6):
    assert load_recipe(table6.recipe)
    for row, paper in zip(table6.rows, table6.paper, strict=True):
        for network, size in zip(row.pair.split(":"), (paper[1], paper[0]), strict=True):
            params = catalog.networks()[network].params / 1e6
            assert params == pytest.approx(size, abs=0.06 if size == 17.2 else 0.006)
            assert f"({size}" in row.label


def test_cells_are_named_and_know_their_runs(table6):
    cells = {cell.name: cell for cell in table6.cells()}
    assert len(cells) == 90
    cell = cells["table06/wrn-40-4:wrn-16-2/kd/top1"]
    assert (cell.teacher, cell.student, cell.method, cell.metric, cell.paper) == (
        "wrn-40-4",
        "wrn-16-2",
        "kd",
        "top1",
        74.52,
    )
    assert cells["table06/wrn-40-4:wrn-16-2/teacher/top1"].method == tables.TEACHER
    assert cells["table06/wrn-40-4:wrn-16-2/teacher/params_M"].paper == 8.97
    assert cells["table06/wrn-40-4:wrn-16-2/student/params_M"].method == "student"


@pytest.mark.parametrize(
    ("methods", "shown"),
    [
        (["kd", "srrl"], ["kd", "srrl", "teacher"]),
        (["srrl", "kd"], ["kd", "srrl", "teacher"]),
        (["r*", "?t"], ["at", "rkd", "teacher"]),
        (["*"], ["student", "kd", "at", "ofd", "rkd", "crd", "srrl", "teacher"]),
        (["student"], ["student"]),
        (["teacher"], ["teacher"]),
        (["student", "kd"], ["student", "kd", "teacher"]),
        (["kd", "kd", "k*"], ["kd", "teacher"]),
        (["srrl[fm=0]"], ["srrl[sr]", "teacher"]),
        (["kd", "srrl+kd", "srrl[form=kl]"], ["kd", "kd+srrl", "srrl[form=kl]", "teacher"]),
    ],
)
def test_select_methods(methods, shown, table6):
    assert names(table6.select(methods, None)) == shown


def test_extra_methods_are_columns_without_printed_values(table6):
    chosen = table6.select(["srrl[sr]", "kd"], ["wrn-40-4:wrn-16-2"])
    assert {cell.name: cell.paper for cell in chosen.cells()} == {
        "table06/wrn-40-4:wrn-16-2/teacher/params_M": 8.97,
        "table06/wrn-40-4:wrn-16-2/kd/top1": 74.52,
        "table06/wrn-40-4:wrn-16-2/srrl[sr]/top1": None,
        "table06/wrn-40-4:wrn-16-2/teacher/top1": 79.50,
    }


def test_extended_keeps_every_column(table6):
    longer = table6.extended(["kd", "kd+srrl", "r*"])
    assert names(longer) == [*names(table6)[:-1], "kd+srrl", "teacher"]
    values = {cell.name: cell.paper for cell in table6.cells()}
    added = {cell.name: cell.paper for cell in longer.cells() if cell.name not in values}
    assert {cell.name: cell.paper for cell in longer.cells()} == values | dict.fromkeys(added)
    assert len(added) == 9
    assert table6.extended(None) == table6.extended(["kd"]) == table6


@pytest.mark.parametrize(
    ("patterns", "count"),
    [
        (["wrn-40-4:*"], 3),
        (["*:wrn-16-2"], 2),
        (["wrn-40-4:wrn-16-2"], 1),
        (["resnet??-narrow:*", "*:mobile*"], 4),
        (["*"], 9),
    ],
)
def test_select_pairs(patterns, count, table6):
    chosen = table6.select(None, patterns)
    assert len(pairs(chosen)) == count
    assert pairs(chosen) == [pair for pair in pairs(table6) if pair in pairs(chosen)]
    assert chosen.columns == table6.columns


@pytest.mark.parametrize(
    ("methods", "chosen", "says"),
    [
        (["x*"], None, "no method of this table matches 'x\\*': it has student, teacher, kd"),
        (["srll"], None, "did you mean 'srrl'"),
        (
            None,
            ["wrn-40-4"],
            "no pair of this table matches 'wrn-40-4' \\(TEACHER:STUDENT\\): it has wrn-40-4:wrn-16-2,",
        ),
        (None, ["wrn-40-4:*", "vgg:*"], "'vgg:\\*'"),
        ([], None, "--methods is empty"),
        (None, [], "--pairs is empty"),
    ],
)
def test_select_names_what_it_cannot_find(methods, chosen, says, table6):
    with pytest.raises(UserError, match=says) as caught:
        table6.select(methods, chosen)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["6", "06"])
def test_load(number):
    table = tables.load(number)
    assert (table.name, table.number) == ("table06", "6")


@pytest.mark.parametrize("number", ["0", "", "99", "six", "-6", "6.0"])
def test_unknown_tables(number):
    with pytest.raises(UserError, match=f"unknown table '{number}'.*known are .*6.*all"):
        tables.load(number)


def test_what_a_row_does_not_print_is_none(tmp_path):
    path = tmp_path / "table99.yaml"
    path.write_text(
        "{title: T, recipe: C100, heads: [Pair], metric: top1,"
        " columns: [{label: A, method: kd}, {label: B, method: at}],"
        " rows: [{label: R, pair: 'a:b', paper: [1]}, {label: S, pair: 'c:d'}]}"
    )
    assert [cell.paper for cell in tables.read(path).cells()] == [1, None, None, None]
    assert [cell.paper for cell in tables.read(path).select(["at"], None).cells()] == [None, None]


def test_methods_may_be_rows():
    table = tables.load("1")
    assert [row.method or row.role for row in table.select(["srrl[sr]", "srrl"], None).rows] == [
        "teacher",
        "srrl[sr]",
        "srrl",
    ]
    longer = table.select(["kd", "srrl"], ["wrn-40-4:*"])
    assert [row.label for row in longer.rows] == ["Teacher (WRN-40-4)", "L_FM+L_SR @ conv4", "KD"]
    assert longer.paper == ((79.50, 94.57), (79.58, 95.21), (None, None))
    assert table.transposed().transposed() == table
    with pytest.raises(UserError, match=r"it has wrn-40-4:wrn-16-4$"):
        table.select(None, ["vgg*"])


def test_added_methods_make_another_file(table6):
    assert table6.extended(["kd", "r*"]).stem == "table06"
    assert table6.extended(["kd+srrl", "kd", "srrl[sr]"]).stem == "table06+kd+srrl+srrl[sr]"
