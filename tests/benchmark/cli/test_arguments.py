"""Command lines, right and wrong ones."""

import pytest

from benchmark.cli.arguments import parse
from benchmark.cli.commands import COMMANDS


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (0, 1, 2)), ("0,2", (0, 2)), ("1", (0,)), ("2,2,5", (2, 5)), ("2,", (2,))]
)
def test_seeds(text, seeds):
    assert parse(["status", "--seeds", text]).seeds == seeds


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
    assert parse(["--table", "6", "--time-budget", text]).time_budget == seconds
    assert parse(["--table", "6"]).time_budget is None


@pytest.mark.parametrize(
    ("option", "text"),
    [
        *(("--seeds", text) for text in ("", ",", "-1,", "1000000000", f"{2**63},", "two")),
        *(
            (option, text)
            for option in ("--jobs", "--threads")
            for text in ("", "0", "-1", "9" * 20, "\N{SUPERSCRIPT TWO}")
        ),
        *(
            ("--time-budget", text)
            for text in ("", " ", "0", "0s", "-5m", "soon", "5 minutes", "m", "1.h", "1m1h", "1e3", "inf", "9" * 400)
        ),
        ("--selection", "first"),
    ],
)
def test_values_that_an_option_cannot_have(option, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(["--table", "6", f"{option}={text}"])
    error = capsys.readouterr().err
    assert error.startswith(f"error: argument {option}: ")
    assert error.count("\n") == 1


def test_repeated_options_keep_their_order():
    options = parse(["status", "--teacher", "a=1", "--set", "x=1", "--teacher", "b=2", "--set", "y=2"])
    assert (options.teacher, options.set) == (["a=1", "b=2"], ["x=1", "y=2"])
    assert (parse(["status"]).teacher, parse(["status"]).set) == ([], [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name a table, for instance --table 6, a figure, or a command, for instance leaderboard"),
        ("--tabel 6", "unrecognized arguments: --tabel 6"),
        ("stauts", "unknown command 'stauts': did you mean 'status'?"),
        ("--profile digits status", "unrecognized arguments: status"),
        ("--table 6 --plan --render", "argument --render: not allowed with argument --plan"),
        ("leaderboard --plan --render", "argument --render: not allowed with argument --plan"),
        ("--table 6 --json", "--json and --verbose need --plan"),
        ("--table 6 --to here", "unrecognized arguments: --to here"),
        ("status --retrain", "unrecognized arguments: --retrain"),
        ("claims --table 6", "unrecognized arguments: --table 6"),
        ("why", "the following arguments are required: CELL"),
        ("list everything", "argument WHAT: invalid choice: 'everything'"),
    ],
)
def test_wrong_command_lines_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(words.split())
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_has_a_description_and_examples(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        parse([name, "--help"] if name else ["--help"])
    shown = capsys.readouterr().out
    assert f"{name} " in shown.splitlines()[0] or name is None
    assert "\nexamples:\n" in shown
    assert ("\ncommands" in shown) == (name is None)
    assert len(shown.splitlines()) < 70
    for option in ("--time-budget", "--to", "--methods"):
        wanted = {"--time-budget": (None, "leaderboard"), "--to": ("export",)}
        assert (f"  {option} " in shown) == (
            name in wanted[option] if option in wanted else name not in ("claims", "list", "new-method")
        )


@pytest.mark.parametrize("former", ["why", "export", "claims", "status", "list", "new-method"])
def test_a_command_that_was_an_option_is_named(former, capsys):
    with pytest.raises(SystemExit) as end:
        parse([f"--{former}", "x"])
    assert end.value.code == 2
    assert f"--{former} is a command now: " in capsys.readouterr().err
