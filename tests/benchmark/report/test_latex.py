import re
import shutil
import subprocess

import pytest

from benchmark.report import build
from benchmark.report.latex import escape, render

SPECIAL = r"100% of a_b & c#d, $5, {x}, a^b ~c \d <e> |f| [g] * h -> i -- ± − – “”".replace("“”", '"')


def test_escapes():
    assert escape("50% & a_b #1 $x$ {y}") == r"50\% \& a\_b \#1 \$x\$ \{y\}"
    assert escape("a\\b~c^d") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"
    assert escape("A -> B ± −1") == r"A $\to$ B $\pm$ $-$1"
    assert escape("--set") == "-{}-set"
    assert escape("[sr] * 2") == "{[}sr] {*} 2"


def test_rows_have_equal_numbers_of_cells(table6, full_records, context):
    lines = [line for line in render(build(table6, full_records, context).grid).splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {8}
    assert r"\begin{tabular}{lcccccccc}" in render(build(table6, full_records, context).grid)


def test_cells_read_as_meant(table6, full_records, context):
    text = render(build(table6, full_records, context).grid)
    first = text.split("\\midrule\n")[1].split("\\addlinespace")[0].splitlines()
    assert [line.removesuffix(r" \\").split(" & ")[:3] for line in first] == [
        ["WRN-16-2 (0.70M)", "95.21", r"\textbf{96.25}"],
        [r"\quad WRN-40-4 (8.97M)", r"\scriptsize $\pm$0.01", r"\scriptsize (2/3)"],
        ["", "", ""],
        [r"\quad \scriptsize paper", r"\scriptsize 72.70", r"\scriptsize 74.52"],
    ]
    assert r"\scriptsize 1 fail" in first[2]


def test_nothing_special_is_left_in_texts(small_table, context):
    table = small_table(columns=(SPECIAL, "kd"), label=SPECIAL, title=SPECIAL, notes=(SPECIAL,))
    text = render(build(table, {}, context).grid).split("\n", 1)[1]
    assert not re.search(r"(?<!\\)[%#_^~|<>\"]", text)
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))
    assert all(ord(character) < 128 for character in text)


def test_compiles(table6, full_records, small_table, context, tmp_path):
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is not installed: whether the table compiles was not tried")
    awkward = small_table(columns=(SPECIAL, "kd"), label=SPECIAL, title=SPECIAL, notes=(SPECIAL,))
    tables = [render(build(*parts, context).grid) for parts in ((table6, full_records), (awkward, {}))]
    source = "\n".join(
        [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}", *tables, r"\end{document}"]
    )
    (tmp_path / "paper.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
