from dataclasses import replace

import pytest

from benchmark.report import build
from benchmark.report.layout import signed, stacked, stub_texts, title_lines
from benchmark.tables.reader import load
from tests.benchmark import made_up


@pytest.fixture
def texts_of(small_table, named, context):
    def make(by_method, **changes):
        table = small_table(**changes)
        return dict(zip([*table.columns], build(table, named(by_method), context).grid.rows[0].cells, strict=True))

    return lambda by_method, **changes: {
        axis.method or axis.role: cell for axis, cell in make(by_method, **changes).items()
    }


def test_texts_of_each_state(texts_of, record):
    failed, refused = record(None, "failed"), record(None, "not_applicable")
    found = texts_of(
        {
            "student": [record(97.0), record(97.2)],
            "kd": [record(97.2189), None],
            "at": [record(97.0), failed, None],
            "ofd": [failed],
            "rkd": [refused],
        },
        columns=("student", "kd", "at", "ofd", "rkd", "crd"),
    )
    texts = {method: f"{cell.mean} {cell.detail}".strip() for method, cell in found.items()}
    assert texts == {
        "student": "97.10 ± 0.14",
        "kd": "97.22 (1/2)",
        "at": "97.00 (1/3, 1 failed)",
        "ofd": "failed",
        "rkd": "n/a",
        "crd": "–",
    }
    assert [cell.paper for cell in found.values()] == [f"{value}.00" for value in range(70, 76)]


def test_all_that_tie_as_displayed_are_best_and_the_teacher_is_not(texts_of, record):
    found = texts_of(
        {"student": [record(97.301)], "kd": [record(97.299)], "at": [record(97.29)], "teacher": [record(99.0)]}
    )
    assert [method for method, cell in found.items() if cell.best] == ["student", "kd"]


def test_an_incomplete_cell_can_be_best(texts_of, record):
    found = texts_of({"student": [record(97.0), record(97.0)], "kd": [record(98.0), None]})
    assert [method for method, cell in found.items() if cell.best] == ["kd"]


def test_nothing_is_best_where_there_is_nothing_to_compare(texts_of, record):
    found = texts_of({"kd": [record(98.0)], "at": [record(None, "failed")], "teacher": [record(99.0)]})
    assert not any(cell.best for cell in found.values())


def test_hidden_columns_do_not_compete(small_table, named, record, context):
    table = small_table()
    columns = (*table.columns[:2], replace(table.columns[2], hidden=True))
    records = named({"student": [record(96.0)], "kd": [record(97.0)], "at": [record(98.0)]})
    grid = build(replace(table, columns=columns), records, context).grid
    assert [cell.best for cell in grid.rows[0].cells] == [False, True]


def test_difference_is_shown_unless_the_data_are_a_stand_in(small_table, named, record, context):
    table, records = small_table(), named({"kd": [record(71.5)]})
    real = type(context)(profile="paper", note="", changes=(), seeds=(0,))
    assert build(table, records, real).grid.rows[0].cells[1].reference == "71.00 (+0.50)"
    assert build(table, records, context).grid.rows[0].cells[1].reference == "71.00"


@pytest.mark.parametrize(("value", "text"), [(0.704, "+0.70"), (-22.7, "−22.70"), (0.004, "0.00"), (-0.004, "0.00")])
def test_signed(value, text):
    assert signed(value, 2) == text


def test_labels_are_split_under_their_heads(table6, full_records, context):
    assert stub_texts(("Student (Params)", "Teacher (Params)"), "T (9M) -> S (1M)") == ("S (1M)", "T (9M)")
    assert stub_texts(("Teacher", "Student"), "T -> S") == ("T", "S")
    assert stub_texts(("Method",), "T -> S") == ("T -> S",)
    assert stub_texts(("Student", "Teacher"), "no pair") == ("no pair", "")
    grid = build(table6, full_records, context).grid
    assert grid.rows[0].stub == ("WRN-16-2 (0.70M)", "WRN-40-4 (8.97M)")


def test_hidden_columns_are_dropped(table6, full_records, context):
    grid = build(table6, full_records, context).grid
    assert grid.columns == ("Student", "KD", "AT", "OFD", "RKD", "CRD", "Ours", "Teacher")
    assert {len(row.cells) for row in grid.rows} == {8}


def test_stacked_drops_empty_lines(small_table, named, record, context):
    one = build(small_table(heads=("Pair",)), named({"kd": [record(97.0)]}), context).grid.rows[0]
    assert [line.stub for line in stacked(one)] == ["Big -> Small", "paper"]
    several = build(small_table(), named({"kd": [record(97.0), record(96.0)]}), context).grid.rows[0]
    assert [line.texts[1] for line in stacked(several)] == ["96.50", "±0.71", "71.00"]


def test_three_stub_columns(records_of, context):
    table = load("7")
    grid = build(table, records_of(table), context).grid
    assert grid.heads == ("Student (Params)", "Teacher (Params)", "Accuracy (%)")
    assert [row.stub for row in grid.rows] == [
        ("ResNet18 (11.69M)", "ResNet34 (21.80M)", "Top-1"),
        ("ResNet18 (11.69M)", "ResNet34 (21.80M)", "Top-5"),
        ("MobileNet", "ResNet50 (25.56M)", "Top-1"),
        ("MobileNet", "ResNet50 (25.56M)", "Top-5"),
    ]
    assert [line.stub for line in stacked(grid.rows[1])][:3] == ["ResNet18 (11.69M)", "ResNet34 (21.80M)", "Top-5"]


def best_places(number, values, context, record):
    """Row and column labels of the best cells, where the cells of these places hold these values."""
    table = load(number)
    records = {
        cell.key: [record(values[place])]
        for cell in table.cells
        if (place := (table.rows[cell.row].label, table.columns[cell.column].label)) in values
    }
    grid = build(table, records, context).grid
    labels = [row.label for row in table.rows if not row.hidden]
    return {
        (label, column)
        for label, row in zip(labels, grid.rows, strict=True)
        for column, cell in zip(grid.columns, row.cells, strict=True)
        if cell.best
    }


def test_best_per_column_where_columns_are_pairs(context, record):
    left, right = "vgg13 -> vgg8", "resnet56 -> resnet20"
    values = {
        ("Teacher", left): 90.0,
        ("KD", left): 80.0,
        ("NST", left): 81.0,
        ("KD", right): 79.0,
        ("NST", right): 78.0,
    }
    assert best_places("11", values, context, record) == {("NST", left), ("KD", right)}


def test_best_per_data_set_of_a_probe(context, record):
    first, second = "WRN16-4 / STL10", "WRN16-4 / CIFAR100"
    values = {(first, "KD"): 60.0, (first, "CRD"): 61.0, (second, "KD"): 70.0, (second, "CRD"): 69.0}
    assert best_places("4", values, context, record) == {(first, "CRD"), (second, "KD")}


def test_best_is_the_lowest_where_lower_is_better(context, kinds):
    table = load("3")
    last = {"student": {"l2": 1.5, "nmi": 70.0}, "srrl": {"l2": 1.2, "nmi": 71.0}, "srrl[sr]": {"l2": 1.3, "nmi": 72.0}}
    records = {
        cell.key: [made_up.record(kinds()["analyse"], metrics={"last": last[cell.method]})]
        for cell in table.cells
        if cell.method in last
    }
    rows = build(table, records, context).grid.rows
    assert [[cell.best for cell in row.cells] for row in rows] == [
        [False, False, False, True],
        [False, False, True, False],
        [False, False, False, False],
    ]


def test_what_does_not_apply_keeps_its_printed_zero(record, context):
    table = load("11")
    refused = record(None, "not_applicable", "unequal channels")
    grid = build(table, {"table11/wrn-40-2:wrn-40-1/fsp/top1": [refused]}, replace(context, stand_in=False)).grid
    cell = next(row for row in grid.rows if row.stub == ("FSP",)).cells[1]
    assert (cell.mean, cell.reference) == ("n/a", "0.00")
    assert any("0.00 for FSP" in note for note in grid.notes)
    assert "Not applicable: wrn-40-2 -> wrn-40-1, FSP: unequal channels." in grid.notes


def test_titles_of_pairs_take_three_lines():
    assert title_lines("vgg13 -> vgg8") == ["vgg13", "↓", "vgg8"]
    assert title_lines("Top-1 (%)") == ["Top-1 (%)"]


def test_figures_are_numbered_as_such(context):
    assert build(load("2", "figure"), {}, context).number == "Figure 2"
