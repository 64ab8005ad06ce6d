import re
import shutil
import subprocess

import pytest

from benchmark.report import build
from benchmark.report.latex import escape, render
from benchmark.tables.reader import load, numbers

SPECIAL = r"100% of a_b & c#d, $5, {x}, a^b ~c \d <e> |f| [g] * h -> i -- --- `j` ± − – “”".replace("“”", '"')


def read(text):
    """Rows as TeX reads them: a comment hides the rest of its line, the line's end and the spaces that follow."""
    seen = re.sub(r"(?<!\\)%.*\n[ \t]*", "", text)
    return [" ".join(row.split()) for row in re.split(r" \\\\\n", seen)]


def cells(row):
    """A row's cells; spaces around a cell are not printed."""
    return [cell.strip() for cell in re.split(r"(?<!\\)&", row)]


def test_escapes():
    assert escape("50% & a_b #1 $x$ {y}") == r"50\% \& a\_b \#1 \$x\$ \{y\}"
    assert escape("a\\b~c^d") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"
    assert escape("A -> B ± −1") == r"A $\to$ B $\pm$ $-$1"
    assert escape("--set") == "-{}-set"
    assert escape("---") == "-{}-{}-"
    assert escape("a`b") == r"a\textasciigrave{}b"
    assert escape("a\n\n  b\x1b[31m") == r"a b\textbackslash{}x1b{[}31m"
    assert escape("[sr] * 2") == "{[}sr] {*} 2"


def test_rows_have_equal_numbers_of_cells(table6, full_records, context):
    *rows, _ = read(render(build(table6, full_records, context).grid))
    assert {len(cells(row)) for row in rows} == {9}
    assert r"\begin{tabular}{lcccccccc}" in render(build(table6, full_records, context).grid)


def test_cells_read_as_meant(table6, full_records, context):
    text = render(build(table6, full_records, context).grid)
    first = read(text.split("\\midrule\n")[1].split("\\addlinespace")[0])[:-1]
    assert [cells(row)[:3] for row in first] == [
        ["WRN-16-2 (0.70M)", "95.21", r"\textbf{96.25}"],
        [r"\quad WRN-40-4 (8.97M)", r"\scriptsize $\pm$0.01", r"\scriptsize (2/3)"],
        ["", "", ""],
        [r"\quad \scriptsize paper", r"\scriptsize 72.70", r"\scriptsize 74.52"],
    ]
    assert r"\scriptsize 1 fail" in first[2]


def test_nothing_special_is_left_in_texts(small_table, context):
    table = small_table(columns=(SPECIAL, "kd"), label=SPECIAL, title=SPECIAL, notes=(SPECIAL,))
    text = render(build(table, {}, context).grid).split("\n", 1)[1]
    assert not re.search(r"(?<!\\)[%#_^~|<>\"`]|--", text)
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))
    assert all(ord(character) < 128 for character in text)


def test_compiles(table6, full_records, records_of, small_table, context, tmp_path):
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is not installed: whether the table compiles was not tried")
    awkward = small_table(columns=(SPECIAL, "kd"), label=SPECIAL, title=SPECIAL, notes=(SPECIAL,))
    others = [(load(number), records_of(load(number))) for number in numbers()]
    tables = [render(build(*parts, context).grid) for parts in ((table6, full_records), (awkward, {}), *others)]
    source = "\n".join(
        [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", *tables, r"\end{document}"]
    )
    (tmp_path / "paper.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_comment_names_the_runs_behind_each_mean(small_table, named, record, context):
    first, second, third = record(seed=1), record(98.0, seed=2), record(seed=3)
    failed = record(None, "failed")
    records = {"student": [first, second], "kd": [third, failed, None], "at": [failed]}
    row = render(build(small_table(heads=("Pair",)), named(records), context).grid).split("\\midrule\n")[1]
    assert row.splitlines()[:6] == [
        r"Big $\to$ Small",
        rf"  & \textbf{{97.50}} % {first.id[:12]} {second.id[:12]}",
        f"  & 97.00 % {third.id[:12]}",
        "  & failed",
        r"  & \textendash{}",
        r"  \\",
    ]


def test_comments_change_nothing_in_print(small_table, named, record, context):
    with_ids = render(build(small_table(), named({"student": [record()], "kd": [record(), None]}), context).grid)
    without = with_ids.replace(f" % {record().id[:12]}", "")
    assert with_ids != without
    # Header and data alike; the first line of the file is a comment of its own.
    assert [cells(row) for row in read(with_ids)] == [cells(row) for row in read(without)]


def test_a_row_without_a_label_leaves_no_empty_line(small_table, named, record, context):
    text = render(build(small_table(label=""), named({"kd": [record()]}), context).grid)
    assert "\n\n" not in text


@pytest.mark.parametrize("number", numbers())
def test_every_table_has_rows_of_equal_length(records_of, context, number):
    table = load(number)
    grid = build(table, records_of(table), context).grid
    text = render(grid)
    *rows, _ = read(text)
    assert {len(cells(row)) for row in rows} == {1 + len(grid.columns)}
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == text.count(r"\begin{tabular}")
    assert all(ord(character) < 128 for character in text)


def test_pairs_that_are_columns_take_three_lines(records_of, context):
    table = load("11")
    header = render(build(table, records_of(table), context).grid).split("\\toprule\n")[1].split("\\midrule")[0]
    assert [line.split(" & ")[:2] for line in header.splitlines()] == [
        ["Method", r"\scriptsize wrn-40-2"],
        ["", r"\scriptsize $\downarrow$"],
        ["", r"\scriptsize wrn-16-2"],
    ]


def test_what_exceeds_a_page_goes_on_under_the_same_number(records_of, context):
    table = load("11")
    text = render(build(table, records_of(table), context).grid)
    first, second = text.split(r"\end{table}")[:2]
    assert first.count(r"\label") == 1
    assert r"\addtocounter{table}{-1}" in second
    assert r"\caption{(continued)}" in second
    assert (r"\label" in second, r"\begin{minipage}" in first, r"\begin{minipage}" in second) == (False, False, True)
    methods = re.findall(r"^(\w+)\n  & ", text, re.MULTILINE)
    assert methods == [row.label for row in table.rows]
    assert all(part.count(r" \\") <= 42 + 3 for part in (first, second))


def test_what_fits_a_page_is_one_environment(table6, full_records, context):
    assert render(build(table6, full_records, context).grid).count(r"\begin{table}") == 1


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("table06", "table06"),
        ("table06-best+kd", "table06-best+kd"),
        ("50% of_{x}#&~^\\$", "50-of_-x-"),
        ("größe", "gr-e"),
        ("a}b\\input{c", "a-b-input-c"),
    ],
)
def test_a_label_is_nothing_but_a_name(small_table, context, name, label):
    text = render(build(small_table(name=name), {}, context).grid)
    assert text.count(rf"\label{{tab:{label}}}") == text.count(r"\label") == 1
