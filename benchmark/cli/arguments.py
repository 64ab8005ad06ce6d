"""The arguments of every command: what each option is, how its value is read, and the parser."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.cli import USAGE_ERROR
from benchmark.cli.commands import COMMANDS, RUN, Command
from benchmark.errors import unknown
from benchmark.ids import LARGEST
from benchmark.registry.catalog import ROOT
from benchmark.text import visible_line

DEFAULT_SEEDS = (0, 1, 2)


def split(text: str | None) -> list[str] | None:
    """Items between commas; commas inside brackets do not separate."""
    if text is None:
        return None
    items, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return [item.strip() for item in items if item.strip()]


_MOST = 10_000
"""The largest number of seeds, processes or threads."""


def seeds(text: str) -> tuple[int, ...]:
    """Seeds of ``3`` (0, 1, 2), of the list ``0,2``, or of ``2,``, the one seed 2."""
    if "," in text:
        found = tuple(dict.fromkeys(int(item) for item in text.split(",") if item))
    else:
        found = tuple(range(min(int(text), _MOST + 1)))
    if not 0 < len(found) <= _MOST or min(found) < 0 or max(found) >= LARGEST:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of seeds up to {_MOST:,} nor a list like 0,2")
    return found


def positive(text: str) -> int:
    """A whole number from 1 to 10,000."""
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to {_MOST:,}")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds from 0."""
    found = float(text)
    if not found >= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return found


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``25m``, ``1.5h``, ``2d`` or ``1h30m``; a number without a unit means minutes.

    Raises:
        argparse.ArgumentTypeError: it is no duration, or none above 0.
    """
    written = text.lower().replace(" ", "")
    number = r"(?:([0-9]+(?:\.[0-9]+)?)%s)?"
    pattern = "".join(number % unit for unit in "dhms")
    found = re.fullmatch(pattern, f"{written}m" if written[-1:].isdigit() else written)
    counts = found.groups(default="0") if found else "0000"
    seconds = sum(float(count) * unit for count, unit in zip(counts, (86400, 3600, 60, 1), strict=True))
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration: write 25m, 90s, 1.5h, 2d or 1h30m")
    return seconds


class Parser(argparse.ArgumentParser):
    """Ends the process with one line and status 2 where the arguments are wrong."""

    def error(self, message: str) -> Any:
        """Print one line, as for every other error of the user, and exit."""
        self.exit(USAGE_ERROR, f"error: {visible_line(message)}; see {self.prog} --help\n")


LISTS = ("methods", "networks", "datasets", "tables", "recipes", "profiles", "presets")
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "cell": {"help": "a cell, TABLE/TEACHER:STUDENT/METHOD, or the beginning of a run's id"},
    "run": {"help": "a cell, with /seedN at its end for one of its runs, or the beginning of a run's id"},
    "name": {"help": "name of the method, or path of its file"},
    "what": {"choices": LISTS, "help": ", ".join(LISTS)},
}
_MODES = ("plan", "render")
_FORMER = ("--why", "--export", "--claims", "--status", "--list", "--new-method")
"""Options that became commands."""
_SWITCH = {"action": "store_true"}
_REPEATED: Mapping[str, Any] = {"action": "append", "default": []}
_NAMES: Mapping[str, Any] = {"action": "extend", "type": split, "default": []}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "table": {**_NAMES, "metavar": "N", "help": "numbers such as 6,11, a YAML file, or all"},
    "figure": {**_NAMES, "metavar": "N", "help": "2, or all"},
    "leaderboard": {**_SWITCH, "help": "the leaderboard, beside tables and figures"},
    "profile": {"metavar": "NAME", "help": "paper, quick, short or digits"},
    "methods": {"metavar": "LIST", "help": "such as 'kd,srrl[sr],kd+srrl' or 'r*'"},
    "pairs": {"metavar": "LIST", "help": "TEACHER:STUDENT patterns, such as 'wrn-40-4:*'"},
    "seeds": {
        "type": seeds,
        "default": DEFAULT_SEEDS,
        "metavar": "N",
        "help": "number of seeds, or a list such as 0,2 (default: 3)",
    },
    "set": {**_REPEATED, "metavar": "KEY=VALUE", "help": "change a value of the recipe"},
    "preset": {"metavar": "NAME", "help": "published values of others, such as authors"},
    "teacher": {**_REPEATED, "metavar": "NETWORK=FILE", "help": "weights to use in place of a trained teacher"},
    "plugin": {**_REPEATED, "type": Path, "metavar": "FILE", "help": "your own method, network or data set"},
    "selection": {"choices": ("last", "best"), "default": "last", "help": "epoch of the numbers (default: last)"},
    "plan": {**_SWITCH, "help": "say what would be trained, and in what time"},
    "verbose": {**_SWITCH, "help": "with --plan: name every job and cohort"},
    "json": {**_SWITCH, "help": "with --plan: print JSON"},
    "render": {**_SWITCH, "help": "print and write from the records alone"},
    "check": {**_SWITCH, "help": "compare the written files, exit 1 where stale"},
    "time-budget": {
        "type": parse_duration,
        "metavar": "TIME",
        "help": "train what fits into a time such as 25m or 1h30m",
    },
    "retrain": {**_SWITCH, "help": "train again what other machines trained"},
    "retry-failed": {**_SWITCH, "help": "train failed runs again"},
    "force": {**_SWITCH, "help": "train profiles of the paper's data on a CPU"},
    "device": {"metavar": "NAME", "help": "cpu, cuda or cuda:N"},
    "jobs": {"type": positive, "metavar": "N", "help": "processes (default: by GPUs, or cores and memory)"},
    "threads": {"type": positive, "metavar": "N", "help": "threads of each process (default: 1)"},
    "checkpoint-seconds": {
        "type": seconds,
        "default": 30.0,
        "metavar": "S",
        "help": "time between checkpoints (default: 30)",
    },
    "no-cuda-graphs": {**_SWITCH, "help": "launch the kernels of each step one by one"},
    "to": {"type": Path, "metavar": "DIR", "help": "folder to write (default: exports/NETWORK-RUN)"},
    "data": {"type": Path, "metavar": "DIR", "help": "data sets (default: $KD_DATA, else downloads)"},
    "results": {
        "type": Path,
        "default": ROOT / "results",
        "metavar": "DIR",
        "help": "records and tables (default: results)",
    },
    "checkpoints": {
        "type": Path,
        "default": ROOT / ".cache",
        "metavar": "DIR",
        "help": "checkpoints, weights and logs (default: .cache)",
    },
    "markdown": {**_SWITCH, "help": "of methods: print docs/methods.md"},
    "debug": {**_SWITCH, "help": "show the traceback of an error"},
    "version": {**_SWITCH, "help": "show the version and the code revision"},
}
"""What ``argparse`` is told of each option, by its name without ``--``."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; without a subcommand it regenerates tables.

    Returns:
        The value of every option of every command (the default where it is not given), and ``command``: its name, or
        None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words.pop(0) if words and not words[0].startswith("-") else None
    parser = _parser(name if name in COMMANDS else None)
    if former := next((word for word in words if word in _FORMER), None):
        parser.error(f"{former} is a command now: {parser.prog} {former.removeprefix('--')}")
    if name and name not in COMMANDS:
        parser.error(str(unknown("command", name, COMMANDS)))
    options = parser.parse_args(words, argparse.Namespace(**_defaults(), command=name))
    options.leaderboard |= name == "leaderboard"
    if (options.json or options.verbose) and not options.plan:
        parser.error("--json and --verbose need --plan")
    if options.markdown and options.what != "methods":
        parser.error("--markdown is for the list of methods")
    if options.plan and options.check:
        parser.error("leave out --plan or --check")
    if name is None and not (options.table or options.figure or options.leaderboard or options.version):
        parser.error("name a table, for instance --table 6, a figure, or a command, for instance leaderboard")
    return options


def _defaults() -> dict[str, Any]:
    return {
        name.replace("-", "_"): settings.get("default", False if settings.get("action") == "store_true" else None)
        for name, settings in OPTIONS.items()
    }


def _parser(name: str | None) -> Parser:
    command = COMMANDS[name] if name else RUN
    program = Path(sys.argv[0]).name
    parser = Parser(
        prog=f"{program} {name}" if name else program,
        usage=f"%(prog)s {command.argument.upper() or '[COMMAND]' * (not name)} [option ...]".replace("  ", " "),
        description=command.about,
        epilog=_epilog(command, program),
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=28),
        allow_abbrev=False,
        add_help=False,
    )
    if command.argument:
        parser.add_argument(command.argument, metavar=command.argument.upper(), **ARGUMENTS[command.argument])
    for title, options in {**command.options, "other": (*command.options.get("other", ()), "debug")}.items():
        group = parser.add_argument_group(title)
        modes = group.add_mutually_exclusive_group() if {*_MODES} <= {*options} else group
        for option in options:
            (modes if option in _MODES else group).add_argument(f"--{option}", **OPTIONS[option])
    group.add_argument("-h", "--help", action="help", help="show this message")
    return parser


def _epilog(command: Command, program: str) -> str:
    lines = ["examples:", *(f"  {program} {example}" for example in command.examples)]
    if command is RUN:
        about = (f"  {name:12} {other.about.partition(':')[0].rstrip('.')}" for name, other in COMMANDS.items())
        lines += ["", f"commands ({program} COMMAND --help tells more):", *about]
    return "\n".join(lines)
