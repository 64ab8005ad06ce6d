import csv
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.names import TEACHER
from benchmark.tables import reader

PRINTED = Path(__file__).with_name("paper_values.csv")
# Values that the paper prints in a caption, or illegibly: the notes of the table tell them.
OUTSIDE = [
    ("2", "Teacher (WRN-40-4)", "caption", "top1", 79.50),
    ("7", "ResNet34 (21.80M) -> ResNet18 (11.69M)", "Teacher (Params)", "params_M_garbled_duplicate", 21.90),
    ("7", "ResNet50 (25.56M) -> MobileNet", "Student (Params)", "params_M_garbled", 4.02),
    ("7", "ResNet50 (25.56M) -> MobileNet", "Student (Params)", "params_M_garbled", 4.25),
]


@pytest.fixture
def table6():
    return reader.load("6")


@pytest.fixture
def own(tmp_path):
    """Writes a table of the user's own and returns its path."""

    def write(text=OWN, name="mine"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return str(path)

    return write


def names(table):
    return [column.method or column.role for column in table.columns if not column.hidden]


def pairs(table):
    return [row.pair for row in table.rows]


@cache
def every():
    return [
        *(reader.load(number) for number in reader.numbers()),
        *(reader.load(n, "figure") for n in reader.figures()),
    ]


def visible(table):
    return [cell for cell in table.cells if not (table.rows[cell.row].hidden or table.columns[cell.column].hidden)]


def test_there_are_twelve_tables_and_a_figure():
    assert reader.numbers() == [str(number) for number in range(1, 13)]
    assert reader.figures() == ["2"]


def test_every_printed_value_is_held_and_no_other():
    with PRINTED.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    printed = Counter(
        (*(line[key] for key in ("table", "row", "column", "metric")), float(line["value"])) for line in lines
    )
    held = Counter(
        (table.number, table.rows[cell.row].label, table.columns[cell.column].label, cell.metric, cell.paper)
        for table in every()
        for cell in table.cells
        if cell.paper is not None
    )
    assert all(f"{value:.2f}" in " ".join(reader.load(number).notes) for number, *_, value in OUTSIDE)
    held.update(OUTSIDE)
    assert len(lines) == held.total() == 558
    assert held == printed


@pytest.mark.parametrize("table", every(), ids=lambda table: table.name)
class TestEveryFile:
    def test_what_is_shown_is_printed_by_the_paper(self, table):
        assert table.kind == "figure" or all(cell.paper is not None for cell in visible(table))

    def test_networks_fit_the_printed_sizes(self, table):
        for cell in table.cells:
            if cell.metric == "params_M" and cell.paper:
                network = catalog.networks()[cell.pair.teacher if cell.method == TEACHER else cell.pair.student]
                classes = 10 if cell.recipe.startswith("C10-") else network.classes
                channels = int(network.map.split("x")[0])
                params = network.params - (network.classes - classes) * (channels + 1)
                assert params / 1e6 == pytest.approx(
                    cell.paper, abs={17.2: 0.06, 2.2: 0.05, 1.4: 0.05, 0.7: 0.05}.get(cell.paper, 0.0051)
                )

    def test_is_its_own_selection(self, table):
        assert table.select(None, None) == table.select(["*"], ["*"]) == table.transposed().transposed() == table


def test_what_stands_in_two_places_is_one_cell():
    cells = [cell for cell in reader.load("7").cells if cell.metric == "params_M"]
    assert [(cell.row, cell.column, cell.paper) for cell in cells] == [
        (0, 0, 11.69),
        (0, 1, 21.80),
        (2, 0, None),
        (2, 1, 25.56),
    ]


@pytest.mark.parametrize(
    ("number", "key", "method", "probe", "paper"),
    [
        ("6", "wrn-40-4:wrn-16-2/kd/top1", "kd", None, 74.52),
        ("6", "wrn-40-4:wrn-16-2/teacher/params_M", TEACHER, None, 8.97),
        ("6", "wrn-40-4:wrn-16-2/student/params_M", "student", None, 0.7),
        ("4", "wrn-40-4:wrn-16-4/kd/PROBE-STL10/top1", "kd", "PROBE-STL10", 68.75),
        ("4", "wrn-40-4:mobilenetv2-cifar/srrl[sr]/PROBE-CIFAR100/top1", "srrl[sr]", "PROBE-CIFAR100", 71.00),
    ],
)
def test_cells_are_named_and_know_their_runs(number, key, method, probe, paper):
    cells = {cell.key: cell for cell in reader.load(number).cells}
    cell = cells[f"table0{number}/{key}"]
    pair, *_, metric = key.split("/")
    assert (cell.pair, cell.metric, cell.recipe) == (pair, metric, "C100")
    assert (cell.method, cell.probe, cell.paper) == (method, probe, paper)


@pytest.mark.parametrize(
    ("methods", "shown"),
    [
        (["kd", "srrl"], ["kd", "srrl", "teacher"]),
        (["r*", "?t"], ["at", "rkd", "teacher"]),
        (["*"], ["student", "kd", "at", "ofd", "rkd", "crd", "srrl", "teacher"]),
        (["teacher"], ["teacher"]),
        (["student", "kd"], ["student", "kd", "teacher"]),
        (["kd", "kd", "k*"], ["kd", "teacher"]),
        (["srrl[fm=0]"], ["srrl[sr]", "teacher"]),
        (["kd", "srrl+kd", "srrl[form=kl]"], ["kd", "kd+srrl", "srrl[form=kl]", "teacher"]),
    ],
)
def test_select_methods(methods, shown, table6):
    assert names(table6.select(methods, None)) == shown


def test_extended_keeps_every_column(table6):
    longer = table6.extended(["kd", "kd+srrl", "r*"])
    assert names(longer) == [*names(table6)[:-1], "kd+srrl", "teacher"]
    values = {cell.key: cell.paper for cell in table6.cells}
    added = {cell.key: cell.paper for cell in longer.cells if cell.key not in values}
    assert {cell.key: cell.paper for cell in longer.cells} == values | dict.fromkeys(added)
    assert len(added) == 9
    assert table6.extended(None) == table6.extended(["kd"]) == table6


@pytest.mark.parametrize(
    ("number", "methods", "chosen", "says"),
    [
        ("6", ["x*"], None, "no method of this table matches 'x\\*': it has student, teacher, kd"),
        ("3", ["teacher"], None, "no method of this table matches 'teacher': it has student, srrl"),
        ("6", ["srll"], None, "did you mean 'srrl'"),
        ("6", None, ["wrn-40-4"], r"no pair of this table matches 'wrn-40-4' \(TEACHER:STUDENT\): it has wrn-40-4:"),
        ("6", [], None, "--methods is empty"),
        ("6", None, [], "--pairs is empty"),
    ],
)
def test_select_names_what_it_cannot_find(number, methods, chosen, says):
    with pytest.raises(UserError, match=says) as caught:
        reader.load(number).select(methods, chosen)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["6", "06"])
def test_load(number):
    table = reader.load(number)
    assert (table.name, table.kind, table.number) == ("table06", "table", "6")


@pytest.mark.parametrize("number", [*reader.numbers(), "figure"])
def test_on_other_data_a_table_loses_what_the_paper_prints_and_the_names_of_its_data(number):
    table = reader.load("2", "figure") if number == "figure" else reader.load(number)
    moved = table.on("leaves")
    assert table.data
    assert not moved.prints
    assert "leaves" in moved.title
    for axis in (*moved.rows, *moved.columns):
        text = " ".join((axis.label, *axis.stub)).replace(axis.probe or "none", "")
        assert not [name for name in table.data if name in text]
    assert not [note for note in moved.notes if "print" in note or "paper says" in note]
    assert [cell.key for cell in moved.cells] == [cell.key for cell in table.cells]
    for before, after in ((table.rows, moved.rows), (table.columns, moved.columns)):
        assert len({axis.label for axis in after}) == len({axis.label for axis in before})


def test_on_other_data_a_title_without_names_of_data_says_which(own):
    path = own(
        "{title: Mine, recipe: C100, metric: top1, columns: [{label: a, pair: 'vgg13:vgg8'}], "
        "rows: [{label: KD, method: kd}], notes: [one, {paper: two}, {paper: three, elsewhere: four}]}"
    )
    table = reader.load(path)
    assert table.notes == ("one", "two", "three")
    moved = table.on("leaves")
    assert (moved.title, moved.notes) == ("Mine, on leaves", ("one", "four"))
    assert [axis.label for axis in moved.columns] == ["a"]


def test_load_a_figure():
    figure = reader.load("2", "figure")
    assert (figure.name, figure.kind, figure.number) == ("figure02", "figure", "2")
    assert figure.title.startswith("Visualization of h_S and h_T")
    assert [cell.key.removeprefix("figure02/wrn-40-4:wrn-16-4/") for cell in figure.cells][:5] == [
        "student/tsne",
        "srrl[fm]/tsne",
        "srrl[sr]/tsne",
        "srrl/tsne",
        "teacher/tsne",
    ]
    with pytest.raises(UserError, match=r"unknown figure '6'.*known are 2"):
        reader.load("6", "figure")


@pytest.mark.parametrize("number", ["0", "", "99", "six", "-6", "6.0"])
def test_unknown_tables(number):
    with pytest.raises(UserError, match=f"unknown table '{number}'.*known are .*6.*all"):
        reader.load(number)


def test_what_a_row_does_not_print_is_none(own):
    path = own(
        "{title: T, recipe: C100, heads: [Pair], metric: top1,"
        " columns: [{label: A, method: kd}, {label: B, method: at}],"
        " rows: [{label: R, pair: 'vgg13:vgg8', paper: [1]}, {label: S, pair: 'resnet56:resnet20'}]}"
    )
    assert [cell.paper for cell in reader.load(path).cells] == [1, None, None, None]
    assert [cell.paper for cell in reader.load(path).select(["at"], None).cells] == [None, None]


ROWS = 'rows: [{label: vgg13 -> vgg8, pair: "vgg13:vgg8"}]'
OWN = f"""
title: Two sizes of one family
recipe: C100
metric: top1
columns: [{{label: Student, method: student}}, {{label: KD, method: kd}}, {{label: Teacher, role: teacher}}]
{ROWS}
"""


@pytest.mark.parametrize("name", ["mine", "tableaux", "figures", "leaderboard_2", "table2b"])
def test_one_s_own_table_is_a_file_anywhere(name, own):
    path = own(name=name)
    table = reader.load(path)
    assert (table.kind, table.number, table.display_name, table.stem) == ("table", name, f"table {name}", name)
    assert [cell.key for cell in table.cells] == [
        f"{name}/vgg13:vgg8/{run}/top1" for run in ("student", "kd", "teacher")
    ]


@pytest.mark.parametrize(
    "name", ["table11", "Table11", "table11+kd", "table06-best", "figure02", "leaderboard", "claims", "table99"]
)
def test_one_s_own_table_cannot_take_the_place_of_the_project_s(name, own):
    path = own(name=name)
    with pytest.raises(UserError, match=re.escape(f"files of this project are called '{name}': give yours another")):
        reader.load(path)


def test_files_beside_the_tables_are_no_tables(tmp_path, monkeypatch):
    for name in ("table01", "table7", "tableaux", "table", "mine"):
        (tmp_path / f"{name}.yaml").write_text(OWN)
    monkeypatch.setattr(reader, "TABLES", tmp_path)
    assert reader.numbers() == ["1", "7"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("metric: top1", "metrics: top1", "line 4: metrics: unknown key 'metrics': did you mean 'metric'"),
        ("metric: top1", "", "there are cells without a metric"),
        ("metric: top1", "metric: top2", "line 2: unknown metric 'top2'"),
        ('pair: "vgg13:vgg8"', "", "there are cells without a pair"),
        ('pair: "vgg13:vgg8"', "pair: vgg8", r"line 6: rows\[0\]: 'vgg8' is no pair: write TEACHER:STUDENT"),
        ('pair: "vgg13:vgg8"', 'pair: "vgg13:vgg88"', r"rows\[0\]: unknown network 'vgg88': did you mean 'vgg8'"),
        ("method: kd", "method: kdd", r"line 5: columns\[1\]: unknown method 'kdd'"),
        ("recipe: C100", "recipe: C100\nheads: []", r"line 4: heads: expected a list of length >= 1, not \[\]"),
        ("recipe: C100", "recipe: C100\ndata: [CIFAR]", "line 4: data: no title and no label names CIFAR"),
        (ROWS, "rows: []", r"rows: expected a list of length >= 1, not \[\]"),
        ("label: vgg13", "stub: [a, b], label: vgg13", r"line 6: rows\[0\]: 'stub' has 2 texts for 1 heads"),
        ("label: vgg13", "paper: [1, 2, 3, 4], label: vgg13", r"rows\[0\]: 'paper' has 4 numbers for 3 columns"),
        ("label: vgg13", "method: kd, label: vgg13", "rows and columns name a method or role: only one of them can"),
        ("method: kd", "method: student", r"rows\[0\]: column 'KD' has the same number as another cell"),
    ],
)
def test_a_faulty_table_is_named(old, new, says, own):
    path = own(OWN.replace(old, new))
    with pytest.raises(UserError, match=says) as caught:
        reader.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["gone.yaml", "~nobody-of-that-name/mine.yaml"])
def test_a_table_s_file_that_is_not_there_is_named(path):
    with pytest.raises(UserError, match=f"^there is no file {path}$"):
        reader.load(path)


@pytest.mark.parametrize(
    "layout",
    [
        "columns: [{label: A, pair: 'vgg13:vgg8'}], rows: [{label: R}], metric: top1",
        "columns: [{label: A, metric: top1}], rows: [{label: R, pair: 'vgg13:vgg8'}]",
        "columns: [{label: A}], rows: [{label: R, pair: 'vgg13:vgg8', method: at}], metric: top1",
    ],
)
def test_where_a_method_has_no_place_none_is_added(layout, own):
    path = own(f"{{title: T, recipe: C100, {layout}}}")
    table = reader.load(path)
    assert table.select(None, None) == table
    with pytest.raises(UserError, match="table mine: no method can be added"):
        table.select(["kd"], None)


def test_a_table_of_teachers_alone_is_its_own_selection(own):
    path = own(OWN.replace("{label: Student, method: student}, {label: KD, method: kd}, ", ""))
    table = reader.load(path)
    assert table.select(None, None) == table
    assert [column.label for column in table.select(["kd"], None).columns] == ["KD", "Teacher"]


@pytest.mark.parametrize(
    ("number", "methods", "pairs", "rows", "columns"),
    [
        ("1", ["kd", "srrl"], None, ["Teacher (WRN-40-4)", "L_FM+L_SR @ conv4", "KD"], ["Top-1 (%)", "Top-5 (%)"]),
        (
            "2",
            ["a*", "srrl"],
            ["*:wrn-16-4"],
            ["AT", "L_FM+L_SR"],
            ["KL div. with teacher", "Cross-entropy with label", "Top-1 (%)"],
        ),
        ("4", ["kd", "vid"], ["*:wrn*"], ["WRN16-4 / STL10", "WRN16-4 / CIFAR100"], ["KD", "VID"]),
        ("7", ["rkd"], ["resnet50*:*"], ["ResNet50 (25.56M) -> MobileNet"] * 2, ["RKD", "Teacher"]),
        ("11", ["kd", "nst"], ["resnet56:resnet20"], ["Teacher", "KD", "NST"], ["resnet56 -> resnet20"]),
    ],
)
def test_select_in_every_layout(number, methods, pairs, rows, columns):
    chosen = reader.load(number).select(methods, pairs)
    assert [row.label for row in chosen.rows if not row.hidden] == rows
    assert [column.label for column in chosen.columns if not column.hidden] == columns
    whole = {cell.key: cell.paper for cell in reader.load(number).cells}
    assert {cell.key: cell.paper for cell in chosen.cells} == {cell.key: whole.get(cell.key) for cell in chosen.cells}
    assert len(chosen.paper) == len(chosen.rows)
    assert {len(values) for values in chosen.paper} == {len(chosen.columns)}


SWEEP = [f"srrl[fm={number}.5,form=kl,sr=0.5]" for number in range(1, 13)]


def test_a_sweep_has_files_whose_names_can_be_written(table6):
    whole = table6.extended(SWEEP)
    assert whole.added == tuple(SWEEP)
    assert whole.stem.startswith("table06+srrl[fm=1.5,form=kl,sr=0.5]+srrl[fm=2.5,")
    assert len(f"{whole.stem}-pairs.csv".encode()) <= 255
    assert whole.stem == table6.extended(SWEEP).stem
    assert len({table6.extended(SWEEP[:count]).stem for count in range(13)}) == 13


CHAIN = "resnet56>resnet32[kd]:resnet20"


class TestChains:
    def test_a_named_chain_stands_beside_another_teacher_of_its_student(self):
        table = reader.load("11")
        whole = table.with_chains([" resnet56 > resnet32[kd] : resnet20 ", "wrn-40-2:wrn-16-2", "resnet*>*", CHAIN])
        assert list(whole.pairs) == [*table.pairs[:3], CHAIN, *table.pairs[3:]]
        assert whole.columns[3].label == "resnet56 > resnet32[kd] -> resnet20"
        values = {cell.key: cell.paper for cell in table.cells}
        added = {cell.key: cell for cell in whole.cells if cell.key not in values}
        assert {cell.key: cell.paper for cell in whole.cells} == values | dict.fromkeys(added)
        assert [cell.method for cell in added.values()] == list(table.methods)
        assert (whole.chains, whole.stem) == ((CHAIN,), "table11+resnet56--resnet32[kd]--resnet20")
        assert whole.extended(["kd+srrl"]).stem == f"{whole.stem}+kd+srrl"
        assert table.with_chains(None) == table.with_chains(["*"]) == table
        assert whole.with_chains([CHAIN]) == whole

    def test_a_selection_has_chains_by_their_names_and_by_patterns(self):
        table = reader.load("11")
        for typed in (CHAIN, "resnet56 > resnet32[ kd ] : resnet20"):
            chosen = table.select(["kd"], [typed])
            assert [cell.key for cell in chosen.cells] == [f"table11/{CHAIN}/{run}/top1" for run in ("teacher", "kd")]
        assert list(table.select(["kd"], [CHAIN, "resnet56*"]).pairs) == ["resnet56:resnet20", CHAIN]
        assert list(table.with_chains([CHAIN]).select(["kd"], ["resnet56>*[kd]:*"]).pairs) == [CHAIN]
        assert list(table.select(["kd"], ["resnet56 : resnet*"]).pairs) == ["resnet56:resnet20"]

    def test_takes_the_recipes_of_the_pair_beside_it(self):
        chain = "resnet26-A>resnet14-A[kd]:wrn-16-1"
        cells = reader.load("5").with_chains([chain]).cells
        assert {(cell.recipe, cell.teacher_recipe) for cell in cells if cell.pair == chain} == {("C10-WRN", "C10-RES")}

    @pytest.mark.parametrize(
        ("number", "pair", "labels", "stubs"),
        [
            ("6", "wrn-40-4>wrn-16-4[kd]:wrn-16-2", ["wrn-40-4 > wrn-16-4[kd] -> wrn-16-2"], [()]),
            (
                "7",
                "resnet34-imagenet>resnet18-imagenet[kd]:mobilenet-imagenet",
                ["resnet34-imagenet > resnet18-imagenet[kd] -> mobilenet-imagenet"] * 2,
                [("MobileNet", "resnet34-imagenet>resnet18-imagenet[kd]", f"Top-{k}") for k in (1, 5)],
            ),
            (
                "4",
                "wrn-40-4>wrn-16-4[kd]:mobilenetv2-cifar",
                [f"MobileNetV2 / {data} (wrn-40-4>wrn-16-4[kd]:mobilenetv2-cifar)" for data in ("STL10", "CIFAR100")],
                [
                    ("MobileNetV2", f"{data} (wrn-40-4>wrn-16-4[kd]:mobilenetv2-cifar)")
                    for data in ("STL10", "CIFAR100")
                ],
            ),
        ],
    )
    def test_rows_are_told_apart(self, number, pair, labels, stubs):
        rows = [row for row in reader.load(number).select(["kd"], [pair]).rows if not row.hidden]
        assert [row.pair for row in rows] == [pair] * len(labels)
        assert [row.label for row in rows] == labels
        assert [row.stub for row in rows] == stubs

    @pytest.mark.parametrize(
        ("number", "pair", "says"),
        [
            (
                "11",
                "resnet56>resnet32[kd]:wrn-16-4",
                "cannot join table 11, whose students are wrn-16-2, wrn-40-1, res",
            ),
            ("2", "wrn-40-4>wrn-16-2[kd]:wrn-16-4", "cannot join table 2, which is about one pair as a whole"),
            ("11", "resnet56>resnt32[kd]:resnet20", "unknown network 'resnt32': did you mean 'resnet32'"),
            ("11", "resnet56>resnet32:resnet20", "say which method trains resnet32"),
            ("11", "resnet56>resnet32[*]:resnet20", "no pair of this table matches"),
        ],
    )
    def test_one_that_cannot_be_added_is_one_line(self, number, pair, says):
        with pytest.raises(UserError, match=re.escape(says)) as caught:
            reader.load(number).select(["kd"], [pair])
        assert "\n" not in str(caught.value)

    def test_one_s_own_table_may_be_about_chains(self, own):
        table = reader.load(own(OWN.replace('"vgg13:vgg8"', '" vgg13 > resnet20[srrl[sr]] : vgg8"')))
        assert table.pairs == ("vgg13>resnet20[srrl[sr]]:vgg8",)
        assert (table.chains, table.stem) == ((), "mine")
        assert table.select(["kd"], ["vgg13>resnet20[srrl[fm=0]]:vgg8"]).pairs == table.pairs
        with pytest.raises(UserError, match=r"line 6: rows\[0\]: unknown network 'resnt20'"):
            reader.load(own(OWN.replace('"vgg13:vgg8"', '"vgg13>resnt20[kd]:vgg8"')))


def test_brackets_of_methods_are_no_wildcards(table6):
    whole = table6.extended(["srrl[sr]", "srrl[fm]"])
    assert names(whole.select(["srrl[*]"], None)) == ["srrl[sr]", "srrl[fm]", "teacher"]
