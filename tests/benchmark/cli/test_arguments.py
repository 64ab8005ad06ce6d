import argparse

import pytest

from benchmark.cli.arguments import parse_duration, parser, split


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (0, 1, 2)), ("0,2", (0, 2)), ("1", (0,)), ("2,2,5", (2, 5)), ("2,", (2,))]
)
def test_seeds(text, seeds):
    assert parser().parse_args(["--seeds", text]).seeds == seeds


@pytest.mark.parametrize(
    ("option", "text"),
    [
        *(("--seeds", text) for text in ("", ",", "-1,", "1000000000", f"{2**63},", "two")),
        *(
            (option, text)
            for option in ("--jobs", "--threads")
            for text in ("", "0", "-1", "9" * 20, "\N{SUPERSCRIPT TWO}")
        ),
    ],
)
def test_what_is_no_number_of_seeds_or_processes(option, text, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args([f"{option}={text}"])
    assert capsys.readouterr().err.startswith(f"error: argument {option}: ")


def test_commas_inside_brackets_do_not_split():
    assert split("kd, srrl[fm=0,sr=1] ,at") == ["kd", "srrl[fm=0,sr=1]", "at"]
    assert split(None) is None


def test_what_may_be_given_several_times_is_kept_in_order():
    options = parser().parse_args(["--teacher", "a=1", "--set", "x=1", "--teacher", "b=2", "--set", "y=2"])
    assert (options.teacher, options.set) == (["a=1", "b=2"], ["x=1", "y=2"])
    assert (parser().parse_args([]).teacher, parser().parse_args([]).set) == ([], [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("25m", 1500),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1h30m", 5400),
        ("1h30", 5400),
        ("1d 2h 3m 4.5s", 93_784.5),
        ("45", 2700),
        ("0.5", 30),
        ("25M", 1500),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds
    assert parser().parse_args(["--time-budget", text]).time_budget == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "0s", "-5m", "soon", "5 minutes", "m", "1.h", "1m1h", "5m5m", "1e3", "inf", "nan", "9" * 400],
)
def test_what_is_no_duration(text, capsys):
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration: write 25m, 90s"):
        parse_duration(text)
    with pytest.raises(SystemExit):
        parser().parse_args([f"--time-budget={text}"])
    assert capsys.readouterr().err.startswith("error: argument --time-budget: ")


def test_without_a_budget_there_is_none():
    assert parser().parse_args([]).time_budget is None


def test_a_name_too_long_for_a_file_is_no_file():
    long = "n" * 300
    assert parser().parse_args(["--table", f"6,{long}"]).table == ["6", long]
