import csv
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from benchmark.config.overrides import names as known_recipes
from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.metrics import METRICS
from benchmark.runs.names import TEACHER, parse_method
from benchmark.tables import reader

PRINTED = Path(__file__).with_name("paper_values.csv")


@pytest.fixture
def table6():
    return reader.load("6")


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
    held.update(
        (table.number, aside.row, aside.column, aside.metric, aside.value)
        for table in every()
        for aside in table.asides
    )
    assert len(lines) == held.total() == 558
    assert held == printed


@pytest.mark.parametrize("table", every(), ids=lambda table: table.name)
class TestEveryFile:
    def test_is_short(self, table):
        assert len((reader.TABLES / f"{table.name}.yaml").read_text(encoding="utf-8").splitlines()) <= 60

    def test_what_is_shown_is_printed_by_the_paper(self, table):
        assert table.kind == "figure" or all(cell.paper is not None for cell in visible(table))

    def test_every_place_shown_has_a_name_of_its_own(self, table):
        rows, columns = ([axis for axis in axes if not axis.hidden] for axes in (table.rows, table.columns))
        assert len({cell.key for cell in visible(table)}) == len(rows) * len(columns)

    def test_method_names_are_canonical(self, table):
        methods = [axis.method for axis in (*table.rows, *table.columns) if axis.method]
        assert methods == [parse_method(name) for name in methods]

    def test_networks_metrics_and_recipes_are_known(self, table):
        for cell in table.cells:
            assert {cell.pair.teacher, cell.pair.student} <= catalog.networks().keys()
            assert cell.metric in METRICS
        assert {name for cell in table.cells for name in (cell.recipe, cell.teacher_recipe)} <= set(
            known_recipes("recipe")
        )

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

    def test_notes_tell_what_stands_outside_the_cells(self, table):
        for aside in table.asides:
            assert f"{aside.value:.2f}" in " ".join(table.notes)

    def test_stubs_have_a_text_for_each_head(self, table):
        assert {len(row.stub) for row in table.rows} <= {0, len(table.heads)}

    def test_is_its_own_selection(self, table):
        assert table.select(None, None) == table.select(["*"], ["*"]) == table.transposed().transposed() == table


def run_of(cell):
    """What tells a cell's run from others; a teacher is the plain student of its own recipe."""
    if cell.method == TEACHER:
        return cell.teacher_recipe, cell.pair.teacher, "student", None
    partner = None if cell.method == "student" else (cell.pair.teacher, cell.teacher_recipe)
    return cell.recipe, cell.pair.student, cell.method, partner


def test_one_run_has_one_printed_number_in_all_tables():
    printed = defaultdict(set)
    for table in every():
        for cell in table.cells:
            if cell.paper is not None:
                printed[run_of(cell), cell.probe, cell.metric].add(cell.paper)
    contradictions = {run[:2]: values for (run, _, _), values in printed.items() if len(values) > 1}
    assert contradictions == {("C100", "resnet34-wide"): {77.26, 78.44}}


def test_tables_share_their_runs():
    runs = {table.name: {run_of(cell) for cell in table.cells} for table in every()}
    assert len(runs["table10"] - runs["table06"]) == 18
    assert len(runs["table09"] - runs["table01"]) == 2
    assert runs["table03"] < runs["table02"] < runs["table01"] | runs["table06"]
    assert runs["figure02"] < runs["table01"]
    assert {run[1:3] for run in runs["table04"] - runs["table01"] - runs["table06"]} == {
        ("mobilenetv2-cifar", "srrl[fm]"),
        ("mobilenetv2-cifar", "srrl[sr]"),
    }
    assert ("C10-WRN", "wrn-16-2", "student", None) in runs["table05"]
    assert not runs["table11"] & (runs["table05"] | runs["table06"])


def test_numbers_of_runs():
    """As many as the experiments' specification counts."""

    def students(*numbers):
        return {run_of(cell) for number in numbers for cell in reader.load(number).cells if cell.method != TEACHER}

    assert len(students("5")) == 35
    assert len(students("1", "2", "3", "4", "6", "9", "10")) == 88
    assert len(students("7")) == len(students("8")) == 14
    assert len([run for run in students("11") if run[2] != "student"]) == 98
    assert len([run for run in students("12") if run[2] != "student"]) == 78
    assert len([run for run in students("11", "12") if run[2] == "student"]) == 9


def test_rows_may_have_recipes_of_their_own():
    recipes = {cell.pair: (cell.recipe, cell.teacher_recipe) for cell in reader.load("5").cells}
    assert recipes == {
        "wrn-16-2:wrn-16-1": ("C10-WRN", "C10-WRN"),
        "wrn-40-2:wrn-16-2": ("C10-WRN", "C10-WRN"),
        "resnet26-A:resnet8-A": ("C10-RES", "C10-RES"),
        "resnet26-A:resnet14-A": ("C10-RES", "C10-RES"),
        "resnet34-narrow:resnet18-narrow": ("C10-RES", "C10-RES"),
        "resnet26-A:wrn-16-1": ("C10-WRN", "C10-RES"),
    }
    assert [cell.recipe for cell in reader.load("8").cells] == ["C100-BIN"] * 8 + ["IN-BIN"] * 8


def test_probes_stand_in_names():
    cells = {cell.key: cell for cell in reader.load("4").cells}
    cell = cells["table04/wrn-40-4:wrn-16-4/kd/PROBE-STL10/top1"]
    assert (cell.probe, cell.recipe, cell.paper) == ("PROBE-STL10", "C100", 68.75)
    assert cells["table04/wrn-40-4:mobilenetv2-cifar/srrl[sr]/PROBE-CIFAR100/top1"].paper == 71.00
    assert {cell.probe for cell in reader.load("6").cells} == {None}


def test_what_stands_in_two_places_is_one_cell():
    cells = [cell for cell in reader.load("7").cells if cell.metric == "params_M"]
    assert [(cell.row, cell.column, cell.paper) for cell in cells] == [
        (0, 0, 11.69),
        (0, 1, 21.80),
        (2, 0, None),
        (2, 1, 25.56),
    ]


def test_cells_are_named_and_know_their_runs(table6):
    cells = {cell.key: cell for cell in table6.cells}
    assert len(cells) == 90
    cell = cells["table06/wrn-40-4:wrn-16-2/kd/top1"]
    assert (cell.pair.teacher, cell.pair.student, cell.method, cell.metric, cell.paper) == (
        "wrn-40-4",
        "wrn-16-2",
        "kd",
        "top1",
        74.52,
    )
    assert cells["table06/wrn-40-4:wrn-16-2/teacher/top1"].method == TEACHER
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
    assert {cell.key: cell.paper for cell in chosen.cells} == {
        "table06/wrn-40-4:wrn-16-2/teacher/params_M": 8.97,
        "table06/wrn-40-4:wrn-16-2/kd/top1": 74.52,
        "table06/wrn-40-4:wrn-16-2/srrl[sr]/top1": None,
        "table06/wrn-40-4:wrn-16-2/teacher/top1": 79.50,
    }


def test_extended_keeps_every_column(table6):
    longer = table6.extended(["kd", "kd+srrl", "r*"])
    assert names(longer) == [*names(table6)[:-1], "kd+srrl", "teacher"]
    values = {cell.key: cell.paper for cell in table6.cells}
    added = {cell.key: cell.paper for cell in longer.cells if cell.key not in values}
    assert {cell.key: cell.paper for cell in longer.cells} == values | dict.fromkeys(added)
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
    table = reader.load(number)
    assert (table.name, table.kind, table.number) == ("table06", "table", "6")


@pytest.mark.parametrize("number", [*reader.numbers(), "figure"])
def test_on_other_data_a_table_loses_what_the_paper_prints_and_the_names_of_its_data(number):
    table = reader.load("2", "figure") if number == "figure" else reader.load(number)
    moved = table.on("leaves")
    assert table.data
    assert not moved.prints
    assert not moved.asides
    assert "leaves" in moved.title
    for axis in (*moved.rows, *moved.columns):
        text = " ".join((axis.label, *axis.stub)).replace(axis.probe or "none", "")
        assert not [name for name in table.data if name in text]
    assert not [note for note in moved.notes if "print" in note or "paper says" in note]
    assert [cell.key for cell in moved.cells] == [cell.key for cell in table.cells]
    for before, after in ((table.rows, moved.rows), (table.columns, moved.columns)):
        assert len({axis.label for axis in after}) == len({axis.label for axis in before})


def test_on_other_data_a_title_without_names_of_data_says_which(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{title: Mine, recipe: C100, metric: top1, columns: [{label: a, pair: 'vgg13:vgg8'}], "
        "rows: [{label: KD, method: kd}], notes: [one, {paper: two}, {paper: three, elsewhere: four}]}"
    )
    table = reader.load(str(path))
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


def test_what_a_row_does_not_print_is_none(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{title: T, recipe: C100, heads: [Pair], metric: top1,"
        " columns: [{label: A, method: kd}, {label: B, method: at}],"
        " rows: [{label: R, pair: 'vgg13:vgg8', paper: [1]}, {label: S, pair: 'resnet56:resnet20'}]}"
    )
    assert [cell.paper for cell in reader.read(path).cells] == [1, None, None, None]
    assert [cell.paper for cell in reader.read(path).select(["at"], None).cells] == [None, None]


ROWS = 'rows: [{label: vgg13 -> vgg8, pair: "vgg13:vgg8"}]'
OWN = f"""
title: Two sizes of one family
recipe: C100
metric: top1
columns: [{{label: Student, method: student}}, {{label: KD, method: kd}}, {{label: Teacher, role: teacher}}]
{ROWS}
"""


@pytest.mark.parametrize("name", ["mine", "tableaux", "figures", "leaderboard_2", "table2b"])
def test_one_s_own_table_is_a_file_anywhere(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(OWN)
    table = reader.load(str(path))
    assert (table.kind, table.number, table.spoken, table.stem) == ("table", name, f"table {name}", name)
    assert [cell.key for cell in table.cells] == [
        f"{name}/vgg13:vgg8/{run}/top1" for run in ("student", "kd", "teacher")
    ]


@pytest.mark.parametrize(
    "name", ["table11", "Table11", "table11+kd", "table06-best", "figure02", "leaderboard", "claims", "table99"]
)
def test_one_s_own_table_cannot_take_the_place_of_the_project_s(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(OWN)
    with pytest.raises(UserError, match=re.escape(f"files of this project are called '{name}': give yours another")):
        reader.load(str(path))


def test_a_figure_of_one_s_own_there_is_none(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    with pytest.raises(UserError, match=r"unknown figure .*known are 2, all"):
        reader.load(str(path), "figure")


def test_files_beside_the_tables_are_no_tables(tmp_path, monkeypatch):
    for name in ("table01", "table7", "tableaux", "table", "mine"):
        (tmp_path / f"{name}.yaml").write_text(OWN)
    monkeypatch.setattr(reader, "TABLES", tmp_path)
    assert reader.numbers() == ["1", "7"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title: Two sizes of one family", "", "line 3: it lacks 'title'"),
        ("metric: top1", "metrics: top1", "line 4: metrics: unknown key 'metrics': did you mean 'metric'"),
        ("metric: top1", "", "there are cells without a metric"),
        ("metric: top1", "metric: top2", "line 2: unknown metric 'top2'"),
        ('pair: "vgg13:vgg8"', "", "there are cells without a pair"),
        ('pair: "vgg13:vgg8"', "pair: vgg8", r"line 6: rows\[0\]: 'vgg8' is no pair: write TEACHER:STUDENT"),
        ('pair: "vgg13:vgg8"', 'pair: "vgg13:vgg88"', r"rows\[0\]: unknown network 'vgg88': did you mean 'vgg8'"),
        ("method: kd", "method: kdd", r"line 5: columns\[1\]: unknown method 'kdd'"),
        ("label: KD, method", "label: KD, methd", r"line 5: columns\[1\].methd: unknown key 'methd'"),
        ("label: KD", "paper: [1], label: KD", r"columns\[1\].paper: unknown key 'paper'"),
        ("{label: KD, method: kd}", "{method: kd}", r"line 5: columns\[1\]: it lacks 'label'"),
        ("recipe: C100", "recipe: [C100", "cannot be read"),
        (OWN, "", r"expected a mapping \(key: value\), not None"),
        ("recipe: C100", "recipe: C100\nheads: []", r"line 4: heads: expected a list of length >= 1, not \[\]"),
        ("recipe: C100", "recipe: C100\nnotes: [{paper: a, else: b}]", r"notes\[0\].else: unknown key 'else'"),
        ("recipe: C100", "recipe: C100\ndata: [CIFAR]", "line 4: data: no title and no label names CIFAR"),
        ("recipe: C100", "recipe: C100\nasides: [{row: a}]", r"asides\[0\]: it lacks 'column'"),
        ("recipe: C100", "recipe: C100\nrole: techer", "role: unknown value 'techer': did you mean 'teacher'"),
        (ROWS, "rows: []", r"rows: expected a list of length >= 1, not \[\]"),
        ('pair: "vgg13:vgg8"', "pair: 5", r"rows\[0\].pair: expected text or null, not 5"),
        ("label: vgg13", "stub: [a, b], label: vgg13", r"line 6: rows\[0\]: 'stub' has 2 texts for 1 heads"),
        ("label: vgg13", "paper: [a], label: vgg13", r"rows\[0\].paper\[0\]: expected a number or null, not 'a'"),
        ("label: vgg13", "paper: [1, 2, 3, 4], label: vgg13", r"rows\[0\]: 'paper' has 4 numbers for 3 columns"),
        ("label: vgg13", "method: kd, label: vgg13", "rows and columns name a method or role: only one of them can"),
        ("method: kd", "method: student", r"rows\[0\]: column 'KD' has the same number as another cell"),
        ("label: vgg13", "role: student, label: vgg13", "rows and columns name a method or role"),
    ],
)
def test_a_faulty_table_is_named(old, new, says, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(UserError, match=says) as caught:
        reader.load(str(path))
    assert "\n" not in str(caught.value)


def test_a_table_s_file_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"^there is no file gone.yaml$"):
        reader.load("gone.yaml")


def test_methods_may_be_rows():
    table = reader.load("1")
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


@pytest.mark.parametrize(
    "layout",
    [
        "columns: [{label: A, pair: 'vgg13:vgg8'}], rows: [{label: R}], metric: top1",
        "columns: [{label: A, metric: top1}], rows: [{label: R, pair: 'vgg13:vgg8'}]",
        "columns: [{label: A}], rows: [{label: R, pair: 'vgg13:vgg8', method: at}], metric: top1",
    ],
)
def test_where_a_method_has_no_place_none_is_added(layout, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"{{title: T, recipe: C100, {layout}}}")
    table = reader.load(str(path))
    assert table.select(None, None) == table
    with pytest.raises(UserError, match="table mine: no method can be added"):
        table.select(["kd"], None)


def test_a_table_of_teachers_alone_is_its_own_selection(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace("{label: Student, method: student}, {label: KD, method: kd}, ", ""))
    table = reader.load(str(path))
    assert table.select(None, None) == table
    assert [column.label for column in table.select(["kd"], None).columns] == ["KD", "Teacher"]


def test_added_methods_make_another_file(table6):
    assert table6.extended(["kd", "r*"]).stem == "table06"
    assert table6.extended(["kd+srrl", "kd", "srrl[sr]"]).stem == "table06+kd+srrl+srrl[sr]"


PAIRS_11 = ["wrn-40-2 -> wrn-16-2", "wrn-40-2 -> wrn-40-1"]


@pytest.mark.parametrize(
    ("number", "methods", "pairs", "rows", "columns"),
    [
        ("1", ["srrl[fm]"], None, ["Teacher (WRN-40-4)", "L_FM @ conv4"], ["Top-1 (%)", "Top-5 (%)"]),
        (
            "2",
            ["a*", "srrl"],
            ["*:wrn-16-4"],
            ["AT", "L_FM+L_SR"],
            ["KL div. with teacher", "Cross-entropy with label", "Top-1 (%)"],
        ),
        ("3", ["student", "crd"], None, ["L2 Distance", "NMI (%)", "Top-1 (%)"], ["Student", "CRD"]),
        ("4", ["kd", "vid"], ["*:wrn*"], ["WRN16-4 / STL10", "WRN16-4 / CIFAR100"], ["KD", "VID"]),
        ("5", ["ofd"], ["*:resnet8-A"], ["ResNet-26 (0.37M) -> ResNet-8 (0.08M)"], ["OFD", "Teacher"]),
        ("7", ["rkd"], ["resnet50*:*"], ["ResNet50 (25.56M) -> MobileNet"] * 2, ["RKD", "Teacher"]),
        ("8", ["student"], ["resnet18*:*"], ["ImageNet-1K / ResNet18 (real teacher -> binary student)"], ["Student"]),
        ("9", ["srrl[form=ce]", "kd"], None, ["Teacher: WRN-40-4", "L_FM+L_SR-CE", "KD"], ["Top-1 (%)", "Top-5 (%)"]),
        ("10", ["kd+srrl"], ["wrn-16-10:*"], ["WRN-16-10 (17.2M) -> WRN-10-10 (7.49M)"], ["KD+Ours", "Teacher"]),
        ("11", ["kd", "nst"], ["resnet56:resnet20"], ["Teacher", "KD", "NST"], ["resnet56 -> resnet20"]),
        ("11", ["crd", "ofd"], ["wrn*:*"], ["Teacher", "CRD", "OFD"], PAIRS_11),
        (
            "12",
            ["srrl"],
            ["*:shufflenetv2", "vgg13:*"],
            ["Teacher", "Ours"],
            ["vgg13 -> MobileNetV2", "resnet32x4 -> ShuffleNetV2"],
        ),
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


def test_panels_of_a_figure_are_selected_too():
    chosen = reader.load("2", "figure").select(["srrl", "kd"], None)
    assert [column.label for column in chosen.columns] == ["L_FM+L_SR", "KD", "Teacher"]
    assert chosen.stem == "figure02+kd"


def test_a_table_without_the_teacher_cannot_show_it():
    with pytest.raises(UserError, match="no method of this table matches 'teacher': it has student, srrl"):
        reader.load("3").select(["teacher"], None)


def test_pairs_that_are_columns_are_named_where_none_matches():
    with pytest.raises(UserError, match="it has wrn-40-2:wrn-16-2, wrn-40-2:wrn-40-1, resnet56:resnet20"):
        reader.load("11").select(None, ["wrn-40-4:*"])


def test_one_s_own_table_in_the_home_of_nobody_is_not_there():
    with pytest.raises(UserError, match=r"there is no file ~nobody-of-that-name/mine.yaml"):
        reader.load("~nobody-of-that-name/mine.yaml")


SWEEP = [f"srrl[fm={number}.5,form=kl,sr=0.5]" for number in range(1, 13)]


def test_a_sweep_has_files_whose_names_can_be_written(table6):
    whole = table6.extended(SWEEP)
    assert whole.added == tuple(SWEEP)
    assert whole.stem.startswith("table06+srrl[fm=1.5,form=kl,sr=0.5]+srrl[fm=2.5,")
    assert len(f"{whole.stem}-pairs.csv".encode()) <= 255
    assert whole.stem == table6.extended(SWEEP).stem
    assert len({table6.extended(SWEEP[:count]).stem for count in range(13)}) == 13


@pytest.mark.parametrize("name", ["n" * 250, "ä" * 125, "漢" * 83])
def test_so_has_a_table_of_one_s_own_with_a_long_name(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(OWN)
    table = reader.load(str(path))
    assert (table.name, table.number) == (name, name)
    assert len(f"{table.stem}-pairs.csv".encode()) <= 255
