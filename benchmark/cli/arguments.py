"""The command's arguments."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmark.ids import LARGEST
from benchmark.registry.catalog import ROOT
from benchmark.text import visible_line

DESCRIPTION = "Regenerate tables of the paper: plan, train what is missing, aggregate, print and write."
USAGE_ERROR = 2
DEFAULT_SEEDS = (0, 1, 2)


def split(text: str | None) -> list[str] | None:
    """Items between commas, those inside brackets left alone."""
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
"""So many seeds, processes or threads at most."""


def _seeds(text: str) -> tuple[int, ...]:
    """``3`` means 0, 1, 2; ``0,2`` means itself, ``2,`` the one seed 2."""
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
    """``6`` is one name, ``6,11`` are two; a file whose path holds a comma is one."""
    # pathlib's raises where a name is too long.
    named = "," in text and os.path.isfile(text)  # noqa: PTH113
    names = [text] if named else [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' holds an empty name: write 6 or 6,11")
    return names


def positive(text: str) -> int:
    """A whole number above 0, of a size that a machine can have."""
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
    """Ends the process with one line where a user's arguments are wrong."""

    def error(self, message: str) -> Any:
        """One line, as for every other error of a user."""
        self.exit(USAGE_ERROR, f"error: {visible_line(message)}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The command's parser; its ``--help`` is the reference of all options."""
    parser = Parser(prog=Path(sys.argv[0]).name, description=DESCRIPTION, allow_abbrev=False)
    for title, options in _OPTIONS.items():
        group = parser.add_argument_group(title)
        for name, settings in options.items():
            group.add_argument(f"--{name}", **settings)
    return parser


_SWITCH = {"action": "store_true"}
_REPEATED: Mapping[str, Any] = MappingProxyType({"action": "append", "default": []})
_NAMES: Mapping[str, Any] = MappingProxyType({"action": "extend", "type": _names, "default": []})
_OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "what": {
            "table": {
                **_NAMES,
                "metavar": "N",
                "help": "numbers of tables like 6,11, the file of your own, or all: the whole paper with its figure",
            },
            "figure": {**_NAMES, "metavar": "N", "help": "a figure's number, or all"},
            "leaderboard": {**_SWITCH, "help": "methods over the pairs of tables/leaderboard.yaml, as a page"},
            "profile": {
                "metavar": "NAME",
                "help": "paper, quick, short, digits (default: paper with CUDA, else digits)",
            },
            "methods": {"metavar": "LIST", "help": "trained and shown, e.g. 'kd,srrl[sr],kd+srrl' or 'r*'"},
            "pairs": {"metavar": "LIST", "help": "TEACHER:STUDENT patterns, e.g. 'wrn-40-4:*'"},
            "seeds": {
                "type": _seeds,
                "default": DEFAULT_SEEDS,
                "metavar": "N",
                "help": "number of seeds, or a list 0,2",
            },
            "set": {**_REPEATED, "metavar": "KEY=VALUE", "help": "change a recipe's value"},
            "preset": {"metavar": "NAME", "help": "somebody else's values, such as authors"},
            "teacher": {
                **_REPEATED,
                "metavar": "NETWORK=FILE",
                "help": "weights that stand in for a trained one; FILE:student or FILE:teacher where both would fit",
            },
            "plugin": {**_REPEATED, "type": Path, "metavar": "FILE", "help": "your own method, network or data set"},
            "selection": {"choices": ("last", "best"), "default": "last", "help": "the epoch that tables show"},
            "time-budget": {
                "type": parse_duration,
                "metavar": "TIME",
                "help": "only what fits into 25m or 1h30m, whole columns first",
            },
        },
        "instead of training": {
            "render": {**_SWITCH, "help": "print and write tables from the records alone"},
            "check": {**_SWITCH, "help": "with --render: fail where files do not follow from the records"},
            "plan": {**_SWITCH, "help": "say what would be trained, and how long it would take"},
            "brief": {**_SWITCH, "help": "the plan's counts alone"},
            "json": {**_SWITCH, "help": "the plan for machines"},
            "status": {**_SWITCH, "help": "count what is done, table by table"},
            "claims": {**_SWITCH, "help": "what the paper says in words, checked against the records"},
            "why": {"metavar": "CELL", "help": "what a cell or a run rests on, e.g. table06/wrn-40-4:wrn-16-2/kd"},
            "export": {"metavar": "RUN", "help": "a trained network with a model card, by its run's id or its cell"},
            "new-method": {"metavar": "NAME", "help": "write methods/NAME.py and its test, to be changed"},
            "list": {
                "choices": ("methods", "networks", "presets", "profiles", "recipes", "tables"),
                "help": "what there is",
            },
        },
        "where": {
            "data": {"type": Path, "metavar": "DIR", "help": "data sets (default: $KD_DATA, else a download)"},
            "results": {"type": Path, "default": ROOT / "results", "metavar": "DIR", "help": "records and tables"},
            "checkpoints": {"type": Path, "default": ROOT / ".cache", "metavar": "DIR", "help": "checkpoints, logs"},
            "to": {"type": Path, "metavar": "DIR", "help": "where --export writes (default: exports/...)"},
            "device": {"metavar": "NAME", "help": "cpu, cuda or cuda:N"},
            "jobs": {
                "type": positive,
                "metavar": "N",
                "help": "processes at a time (default: one a GPU; on a CPU as many as cores and memory hold)",
            },
            "threads": {"type": positive, "metavar": "N", "help": "threads of a process (default: 1)"},
            "checkpoint-seconds": {
                "type": seconds,
                "default": 30.0,
                "metavar": "S",
                "help": "time between checkpoints (default: 30)",
            },
        },
        "other": {
            "retrain": {**_SWITCH, "help": "train again here what other machines left of the selected students' runs"},
            "retry-failed": {**_SWITCH, "help": "train failed runs again"},
            "force": {**_SWITCH, "help": "profiles of the paper's data on a CPU, however long it takes"},
            "launch": {**_SWITCH, "help": "a GPU's steps one by one, not recorded as CUDA graphs"},
            "debug": {**_SWITCH, "help": "show the traceback of an error"},
        },
    }
)
"""Groups of options, and what each of them is."""
