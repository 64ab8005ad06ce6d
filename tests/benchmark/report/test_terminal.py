import io
import re

import pytest
from rich.console import Console

from benchmark.report import build
from benchmark.tables.reader import load, numbers
from tests.benchmark.hostile import ESCAPES, hidden


def printed(report, width, **options):
    file = io.StringIO()
    report.print(Console(file=file, width=width, **options))
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 160, 240])
def test_every_number_is_there_and_every_line_fits(table6, full_records, context, width):
    report = build(table6, full_records, context)
    text = printed(report, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    shown = report.frame[~report.frame["hidden"]]
    for column in ("mean", "paper"):
        for value in shown[column].dropna():
            assert re.search(rf"(?<![\d.]){value:.2f}(?!\d)", text)


def test_narrow_stacks_and_wide_does_not(table6, full_records, context):
    report = build(table6, full_records, context)
    narrow, wide = printed(report, 80), printed(report, 200)
    assert "WRN-16-2 (0.70M)     95.21" in narrow
    assert "  WRN-40-4 (8.97M)   ±0.01   (2/3)" in narrow
    assert re.search(r"WRN-16-2 \(0.70M\) +WRN-40-4 \(8.97M\) +95.21 ± 0.01 +96.25\* \(2/3\) +failed +– +n/a", wide)
    assert narrow.count("MobileNetV2") == wide.count("MobileNetV2") == 2


def test_too_many_columns_come_in_parts(small_table, named, record, context):
    methods = [f"method{i}" for i in range(12)]
    table = small_table(columns=methods)
    text = printed(build(table, named({method: [record(90 + i)] for i, method in enumerate(methods)}), context), 80)
    assert text.count("Small") > 1
    assert all(f"{90 + i}.00" in text and f"METHOD{i}" in text for i in range(12))


def test_best_is_marked_with_and_without_colour(small_table, named, record, context):
    report = build(small_table(), named({"student": [record(97.0)], "kd": [record(98.0)]}), context)
    assert "98.00*" in printed(report, 80)
    assert "*: best student" in printed(report, 80)
    coloured = printed(report, 80, force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[1;32m98.00\x1b[0m" in coloured
    assert "98.00*" not in coloured


def test_brackets_are_no_markup(small_table, context):
    assert "[bold]x" in printed(build(small_table(notes=("[bold]x",)), {}, context), 80)


@pytest.mark.parametrize("number", numbers())
@pytest.mark.parametrize("width", [80, 160])
def test_every_table_fits_and_is_whole(records_of, context, number, width):
    table = load(number)
    report = build(table, records_of(table), context)
    text = printed(report, width)
    assert max(map(len, text.splitlines())) <= width
    shown = report.frame[~report.frame["hidden"]]
    assert shown["mean"].notna().all()
    assert all(text.count(f"{value:.2f}") >= 1 for value in shown["mean"])


def test_seven_pairs_fit_a_small_terminal(records_of, context):
    table = load("11")
    text = printed(build(table, records_of(table), context), 80)
    assert text.count("Method") == 1
    assert re.search(r"^ +wrn-40-2 +wrn-40-2 +resnet56 +resnet110 +resnet110 +resnet32x4 +vgg13 *$", text, re.MULTILINE)
    assert re.search(
        r"^Method +wrn-16-2 +wrn-40-1 +resnet20 +resnet20 +resnet32 +resnet8x4 +vgg8 *$", text, re.MULTILINE
    )


@pytest.mark.parametrize("width", [80, 400])
def test_control_characters_are_spelled_out(small_table, named, record, context, width):
    changes = {"label": f"{ESCAPES} -> Small", "title": ESCAPES, "notes": (ESCAPES,), "number": ESCAPES}
    table = small_table(columns=(ESCAPES, "kd"), heads=(ESCAPES, "Teacher"), **changes)
    text = printed(build(table, named({"kd": [record(None, "failed", reason=ESCAPES)]}), context), width)
    assert hidden(text) == []
    assert text.count(r"\x1b[31m") >= (6 if width == 400 else 1)
