"""What each command is called, takes and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        module: the module of this package whose ``run(session, say)`` carries the command out and returns the exit
            status; imported when the command runs, so that each command waits only for its own.
        about: one line for ``--help``.
        examples: lines of arguments.
        options: names of options by the title of their group in ``--help``.
        argument: name of the positional argument in `benchmark.cli.arguments`; empty for none.
        heading: whether the profile is printed first.
    """

    module: str
    about: str
    examples: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    argument: str = ""
    heading: bool = True


_TABLES = ("table", "figure", "leaderboard")
_VALUES = ("set", "preset", "teacher", "plugin")
_SELECTION = ("profile", "methods", "pairs", "seeds", *_VALUES)
_FOLDERS = ("data", "results", "checkpoints")
_TRAINING: Mapping[str, tuple[str, ...]] = {
    "what is trained and shown": (*_SELECTION, "selection"),
    "instead of training": ("plan", "verbose", "json", "render", "check"),
    "training": (
        *("time-budget", "retrain", "retry-failed", "force", "device", "jobs", "threads", "checkpoint-seconds"),
        "no-cuda-graphs",
    ),
    "folders": _FOLDERS,
}
_LOOKING_UP: Mapping[str, tuple[str, ...]] = {"tables and runs": (*_TABLES, *_SELECTION), "folders": _FOLDERS}

RUN = Command(
    "run",
    "Regenerate tables of the paper: plan, train what is missing, aggregate, print and write.",
    (
        "--table 6                    train what is missing, print and write",
        "--table 6 --render           from the records alone",
        "--table all --plan           what would be trained, and in what time",
        "--table 6 --methods kd,srrl --pairs 'wrn-40-4:*' --seeds 1",
    ),
    {"tables": _TABLES, **_TRAINING, "other": ("version",)},
)
"""What runs where no subcommand is named."""

COMMANDS: Mapping[str, Command] = {
    "leaderboard": Command(
        "run",
        "Rank methods over the pairs of tables/leaderboard.yaml: train what is missing, print and write the page.",
        (
            "leaderboard --methods mine,kd,srrl   your method beside two others",
            "leaderboard --render                 from the records alone",
            "leaderboard --plan                   what would be trained",
        ),
        _TRAINING,
    ),
    "why": Command(
        "why",
        "Show what a number rests on: runs, records, recipe, code revision, data, teacher.",
        (
            "why table06/wrn-40-4:wrn-16-2/kd   a cell: TABLE/TEACHER:STUDENT/METHOD",
            "why 3f2a91                         a run, by the beginning of its id",
        ),
        {"numbers": ("selection",), **_LOOKING_UP},
        argument="cell",
    ),
    "export": Command(
        "export",
        "Write a trained network as a folder: weights (safetensors), configuration and model card.",
        (
            "export table06/wrn-40-4:wrn-16-2/teacher",
            "export table06/wrn-40-4:wrn-16-2/kd/seed1 --to my-student",
            "export 3f2a91                       a run, by the beginning of its id",
        ),
        {**_LOOKING_UP, "folders": ("to", *_FOLDERS)},
        argument="run",
        heading=False,
    ),
    "claims": Command(
        "claims",
        "Compare what the paper says in words with the records: print verdicts and write the page.",
        ("claims", "claims --check   does the written page follow from the records?"),
        {
            "runs": ("profile", "seeds", *_VALUES, "selection"),
            "instead of writing": ("check",),
            "folders": _FOLDERS,
        },
    ),
    "status": Command(
        "status",
        "Count what is done, table by table.",
        ("status", "status --table 6 --pairs 'wrn-40-4:*'"),
        _LOOKING_UP,
    ),
    "list": Command(
        "list",
        "List methods, networks, datasets, tables, recipes, profiles or presets.",
        ("list methods", "list recipes", "list methods --markdown   docs/methods.md"),
        {"with what": ("plugin", "data", "checkpoints"), "form": ("markdown",)},
        argument="what",
        heading=False,
    ),
    "new-method": Command(
        "new_method",
        "Write a new method and its test: both run as they are, until you change the loss.",
        (
            "new-method mine                  methods/mine.py and tests/methods/test_mine.py",
            "new-method path/to/mine.py       outside the project, for --plugin",
        ),
        {},
        argument="name",
        heading=False,
    ),
    "check": Command(
        "check",
        "Check that written files follow from the records: tables, figure, leaderboard and claims; exit 1 if not.",
        ("check", "check --profile digits"),
        {"files": ("profile", "methods", "seeds", *_VALUES, "selection"), "folders": _FOLDERS},
    ),
}
