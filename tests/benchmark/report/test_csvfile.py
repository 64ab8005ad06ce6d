import csv
import io

import pandas as pd
import pytest

from benchmark.report import build
from benchmark.report.csvfile import render, written


@pytest.fixture
def lines(table6, full_records, context):
    return list(csv.DictReader(io.StringIO(render(build(table6, full_records, context).frame))))


def test_columns_are_exactly_these(table6, full_records, context):
    header = render(build(table6, full_records, context).frame).splitlines()[0]
    assert header == "table,row,column,metric,mean,std,n,paper,difference,state"


PRINTED = [
    ("WRN-40-4 (8.97M) -> WRN-16-2 (0.70M)", "Student (Params)", "params_M", 0.70),
    ("WRN-16-10 (17.2M) -> WRN-10-10 (7.49M)", "Teacher (Params)", "params_M", 17.2),
    ("WRN-40-4 (8.97M) -> WRN-16-2 (0.70M)", "Student", "top1", 72.70),
    ("ResNet-34 (1.39M) -> ResNet-10 (0.34M)", "CRD", "top1", 70.24),
    ("ResNet-34 (21.33M) -> WRN-16-2 (0.70M)", "Ours", "top1", 75.38),
    ("WRN-40-4 (8.97M) -> MobileNetV2 (2.37M)", "Teacher", "top1", 79.50),
]


def test_every_cell_has_the_papers_value(lines):
    assert len(lines) == 90
    assert all(line["paper"] and line["table"] == "6" for line in lines)
    found = {(line["row"], line["column"], line["metric"]): float(line["paper"]) for line in lines}
    assert len(found) == 90
    for row, column, metric, value in PRINTED:
        assert found[row, column, metric] == value


def test_numbers_and_what_is_not_there(lines):
    by_column = {line["column"]: line for line in lines if line["row"].endswith("WRN-16-2 (0.70M)")}
    first = {line["column"]: line for line in lines[:10]}
    assert by_column.keys() == first.keys()
    assert (first["KD"]["mean"], first["KD"]["std"], first["KD"]["n"]) == ("96.25", "0.3536", "2")
    assert (first["KD"]["difference"], first["KD"]["state"]) == ("21.73", "partial")
    assert (first["Teacher"]["std"], first["Teacher"]["n"]) == ("", "1")
    assert [first["AT"][key] for key in ("mean", "std", "n", "difference", "state")] == ["", "", "0", "", "failed"]
    assert {line["state"] for line in lines} == {"done", "partial", "failed", "missing", "not_applicable"}


def test_no_negative_zero(small_table, named, record, context):
    text = render(build(small_table(), named({"kd": [record(70.99999)]}), context).frame)
    assert ",71.0,,1,71.0,0.0,done" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("\n=1", r"\n=1"),
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ('a,"=1"', 'a,"=1"'),
        ("a=1-2", "a=1-2"),
        ("−1", "−1"),
        ("", ""),
    ],
)
def test_no_text_is_a_formula(small_table, context, text, shown):
    table = small_table(label=text, columns=("kd", text), number=text)
    [first, second] = csv.DictReader(io.StringIO(render(build(table, {}, context).frame)))
    assert [first[key] for key in ("table", "row")] == [shown, shown]
    assert (first["column"], second["column"]) == ("KD", shown.replace(text, text.upper()))


def test_negative_numbers_are_numbers():
    frame = pd.DataFrame({"mean": [-1.5, None], "n": [-1, 2], "mixed": [-3, "-3"], "yes": [True, False]})
    assert written(frame) == "mean,n,mixed,yes\n-1.5,-1,-3,True\n,2,'-3,False\n"
