"""The arguments of every command: what each option is, and how its value is read."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmark.cli import USAGE_ERROR
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


def _seeds(text: str) -> tuple[int, ...]:
    """Seeds of ``3`` (0, 1, 2), of the list ``0,2``, or of ``2,``, the one seed 2."""
    try:
        numbers = [int(item) for item in text.split(",") if item]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of seeds nor a list like 0,2") from None
    counted = "," not in text
    if counted and max(numbers, default=0) > _MOST:
        raise argparse.ArgumentTypeError(f"'{text}' are more than {_MOST:,} seeds; the one seed {text} is '{text},'")
    seeds = tuple(range(*numbers)) if counted and numbers else tuple(dict.fromkeys(numbers))
    if not seeds or min(seeds) < 0:
        raise argparse.ArgumentTypeError("at least one seed is needed, from 0")
    if max(seeds) >= LARGEST:
        raise argparse.ArgumentTypeError(f"a seed is below {LARGEST}")
    return seeds


def _names(text: str) -> list[str]:
    """The names in ``6`` or ``6,11``; the path of a file that contains a comma is one name."""
    # pathlib's raises where a name is too long.
    named = "," in text and os.path.isfile(text)  # noqa: PTH113
    names = [text] if named else [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' holds an empty name: write 6 or 6,11")
    return names


def positive(text: str) -> int:
    """A whole number from 1 to 10,000."""
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to {_MOST:,}")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds from 0."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
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


ARGUMENTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "cell": {"metavar": "CELL", "help": "a cell, TABLE/TEACHER:STUDENT/METHOD, or the beginning of a run's id"},
        "run": {
            "metavar": "RUN",
            "help": "a cell, with /seedN at its end for one of its runs, or the beginning of a run's id",
        },
        "name": {"metavar": "NAME", "help": "name of the method, or path of its file"},
        "what": {
            "metavar": "WHAT",
            "choices": ("methods", "networks", "datasets", "tables", "recipes", "profiles", "presets"),
            "help": "methods, networks, datasets, tables, recipes, profiles or presets",
        },
    }
)
_SWITCH = {"action": "store_true"}
_REPEATED: Mapping[str, Any] = MappingProxyType({"action": "append", "default": []})
_NAMES: Mapping[str, Any] = MappingProxyType({"action": "extend", "type": _names, "default": []})
OPTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "table": {**_NAMES, "metavar": "N", "help": "numbers such as 6,11, a YAML file, or all"},
        "figure": {**_NAMES, "metavar": "N", "help": "2, or all"},
        "leaderboard": {**_SWITCH, "help": "the leaderboard, beside tables and figures"},
        "profile": {
            "metavar": "NAME",
            "help": "paper, quick, short or digits",
        },
        "methods": {"metavar": "LIST", "help": "such as 'kd,srrl[sr],kd+srrl' or 'r*'"},
        "pairs": {"metavar": "LIST", "help": "TEACHER:STUDENT patterns, such as 'wrn-40-4:*'"},
        "seeds": {
            "type": _seeds,
            "default": DEFAULT_SEEDS,
            "metavar": "N",
            "help": "number of seeds, or a list such as 0,2 (default: 3)",
        },
        "set": {**_REPEATED, "metavar": "KEY=VALUE", "help": "change a value of the recipe"},
        "preset": {"metavar": "NAME", "help": "published values of others, such as authors"},
        "teacher": {**_REPEATED, "metavar": "NETWORK=FILE", "help": "weights to use in place of a trained teacher"},
        "plugin": {**_REPEATED, "type": Path, "metavar": "FILE", "help": "your own method, network or data set"},
        "selection": {
            "choices": ("last", "best"),
            "default": "last",
            "help": "epoch of the numbers (default: last)",
        },
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
        "debug": {**_SWITCH, "help": "show the traceback of an error"},
        "version": {**_SWITCH, "help": "show the version and the code revision"},
    }
)
"""What ``argparse`` is told of each option, by its name without ``--``."""


def defaults() -> dict[str, Any]:
    """The value of every option that is not given, by its attribute of the parsed arguments."""
    return {
        name.replace("-", "_"): settings.get("default", False if settings.get("action") == "store_true" else None)
        for name, settings in OPTIONS.items()
    }
