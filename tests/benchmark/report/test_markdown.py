import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from benchmark.report import build
from benchmark.report.markdown import code, escape, render
from benchmark.tables.reader import load, numbers
from benchmark.text import visible


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_parses_as_one_table(table6, full_records, context):
    lines = [line for line in render(build(table6, full_records, context).grid).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table6.rows)
    assert {len(cells(line)) for line in lines} == {10}
    assert set(cells(lines[1])) == {":--"}


def test_cells_read_as_meant(table6, full_records, context):
    text = render(build(table6, full_records, context).grid)
    row = next(line for line in text.splitlines() if line.startswith("| WRN-16-2"))
    small = "<br><sub>{}</sub>".format
    assert cells(row) == [
        "WRN-16-2 (0.70M)" + small("paper"),
        "WRN-40-4 (8.97M)",
        "95.21 ± 0.01" + small("72.70"),
        "**96.25** (2/3)" + small("74.52"),
        "failed" + small("74.33"),
        "–" + small("75.57"),
        "n/a" + small("74.23"),
        "**96.25** (2/3, 1 failed)" + small("75.27"),
        "95.11 ± 0.01" + small("75.96"),
        "95.20" + small("79.50"),
    ]


@pytest.mark.parametrize("label", ["a|b", "*x*", "<b>", "`code`", "l_1", "back\\slash", "[link](url)"])
def test_labels_cannot_break_the_table(small_table, context, label):
    text = render(build(small_table(columns=(label, "kd")), {}, context).grid)
    header, rule = (line for line in text.splitlines()[2:4])
    assert len(cells(header)) == len(cells(rule)) == 4
    assert re.sub(r"\\(.)", r"\1", cells(header)[2]) == label.upper()
    assert not re.search(r"(?<!\\)[*<`\[]", cells(header)[2])


def test_title_caption_and_notes(table6, full_records, context):
    text = render(build(table6, full_records, context).grid)
    assert text.startswith("**Table 6.** Top-1 accuracy (%) of various")
    assert "(profile digits)\n\n|" in text
    assert "Changed: epochs=1, lr=0.1.\n\n- The paper prints two accuracies" in text


@pytest.mark.parametrize("number", numbers())
def test_every_table_parses(records_of, context, number):
    table = load(number)
    grid = build(table, records_of(table), context).grid
    lines = [line for line in render(grid).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(grid.rows)
    assert {len(cells(line)) for line in lines} == {len(grid.heads) + len(grid.columns)}


def test_pairs_that_are_columns_have_breaks(records_of, context):
    table = load("12")
    header = render(build(table, records_of(table), context).grid).splitlines()[2]
    assert cells(header)[:2] == ["Method", "vgg13<br>↓<br>MobileNetV2"]


READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TYPED = [
    "&lt;b&gt; &amp; &#60; &copy; & ; A & B",
    "<script>alert(1)</script>",
    "a|b",
    "*a* **b** _c_ __d__ 2 * 3 a*b*c",
    "`code` ``more``",
    "[link](http://x) ![picture](y) [x]: z [ ] task",
    "# heading",
    "####### none",
    "#5",
    "> quote",
    ">quote",
    "- item",
    "+ item",
    "* item",
    "-",
    "---",
    "- - -",
    "* * *",
    "***",
    "1. one",
    "12) twelve",
    "2023. A year",
    "3.14",
    "-1 + 2",
    "--set x",
    "~~gone~~ ~~~",
    "``` fence",
    "=== ---",
    "trailing \\",
    "\\* \\< back",
    "\x1b[31mred",
    "a\u202eb",
]


def words(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", html))).strip()


@pytest.mark.parametrize("text", TYPED)
@pytest.mark.parametrize(
    ("frame", "form"),
    [
        ("{}\n", r"<p>[^<]*</p>"),
        ("- {}\n", r"<ul>\n<li>[^<]*</li>\n</ul>"),
        ("| {} | b |\n| :-- | :-- |\n| c | d |\n", r"<table>.*<th[^>]*>[^<]*</th>\n<th.*"),
    ],
)
def test_data_reads_as_typed(text, frame, form):
    html = READER.render(frame.format(escape(text))).strip()
    assert re.fullmatch(form, html, re.DOTALL)
    found = words(html)
    assert (found.split(" b c d")[0] if "|" in frame else found) == visible(text)


@pytest.mark.parametrize("text", ["2 * 3", "A & B", "#5", "3.14", "-1", "a > b", "+0.70 (+0.10 to +1.30)"])
def test_what_means_nothing_there_stays_for_readers_of_the_plain_text(text):
    assert escape(text) == text


@pytest.mark.parametrize("text", ["a b", "a `b` c", "``", "`", "*x* <b> &lt; \\", "\x1b[31m"])
def test_code_reads_as_typed(text):
    html = READER.render(code(text)).strip()
    assert re.fullmatch("<p><code>[^<]*</code></p>", html)
    assert words(html) == visible(text)


def test_a_table_s_own_name_reads_as_typed(small_table, context):
    text = render(build(small_table(name="a*b*_c|d", number="a*b*_c|d"), {}, context).grid)
    assert "<strong>Table a*b*_c|d.</strong> Accuracy" in READER.render(text)
