"""The command's arguments."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path
from typing import Any

from benchmark.catalog import ROOT
from benchmark.commands.listing import LISTS

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


def _seeds(text: str) -> tuple[int, ...]:
    """``3`` means 0, 1, 2; ``0,2`` means itself, ``2,`` the one seed 2."""
    try:
        numbers = [int(item) for item in text.split(",") if item]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of seeds nor a list like 0,2") from None
    seeds = tuple(dict.fromkeys(numbers)) if "," in text else tuple(range(numbers[0]))
    if not seeds or min(seeds) < 0:
        raise argparse.ArgumentTypeError("at least one seed is needed, from 0")
    return seeds


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
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
        self.exit(USAGE_ERROR, f"error: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The command's parser; its ``--help`` is the reference of all options."""
    parser = Parser(prog=Path(sys.argv[0]).name, description=DESCRIPTION, allow_abbrev=False)
    what = parser.add_argument_group("what")
    what.add_argument(
        "--table", metavar="N", help="a table's number, the file of your own, or all: the whole paper with its figure"
    )
    what.add_argument("--figure", metavar="N", help="a figure's number, or all")
    what.add_argument(
        "--leaderboard", action="store_true", help="methods over the pairs of tables/leaderboard.yaml, as a page"
    )
    what.add_argument("--profile", metavar="NAME", help="paper, quick, digits (default: paper with CUDA, else digits)")
    what.add_argument("--methods", metavar="LIST", help="trained and shown, e.g. 'kd,srrl[sr],kd+srrl' or 'r*'")
    what.add_argument("--pairs", metavar="LIST", help="TEACHER:STUDENT patterns, e.g. 'wrn-40-4:*'")
    what.add_argument("--seeds", type=_seeds, default=DEFAULT_SEEDS, metavar="N", help="number of seeds, or a list 0,2")
    what.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe's value")
    what.add_argument("--preset", metavar="NAME", help="somebody else's values, such as authors")
    what.add_argument(
        "--teacher", action="append", default=[], metavar="NETWORK=FILE", help="weights that stand in for a trained one"
    )
    what.add_argument(
        "--plugin", action="append", default=[], type=Path, metavar="FILE", help="your own method, network or data set"
    )
    what.add_argument("--selection", choices=("last", "best"), default="last", help="the epoch that tables show")
    what.add_argument(
        "--time-budget",
        type=parse_duration,
        metavar="TIME",
        help="only what fits into 25m or 1h30m, whole columns first",
    )
    how = parser.add_argument_group("instead of training")
    how.add_argument("--render", action="store_true", help="print and write tables from the records alone")
    how.add_argument(
        "--check", action="store_true", help="with --render: fail where files do not follow from the records"
    )
    how.add_argument("--plan", action="store_true", help="say what would be trained, and how long it would take")
    how.add_argument("--brief", action="store_true", help="the plan's counts alone")
    how.add_argument("--json", action="store_true", help="the plan for machines")
    how.add_argument("--status", action="store_true", help="count what is done, table by table")
    how.add_argument("--claims", action="store_true", help="what the paper says in words, checked against the records")
    how.add_argument("--why", metavar="CELL", help="what a cell or a run rests on, e.g. table06/wrn-40-4:wrn-16-2/kd")
    how.add_argument("--export", metavar="RUN", help="a trained network with a model card, by its run's id or its cell")
    how.add_argument("--new-method", metavar="NAME", help="write methods/NAME.py and its test, to be changed")
    how.add_argument("--list", choices=sorted(LISTS), help="what there is")
    where = parser.add_argument_group("where")
    where.add_argument("--data", type=Path, metavar="DIR", help="data sets (default: $KD_DATA, else a download)")
    where.add_argument("--results", type=Path, default=ROOT / "results", metavar="DIR", help="records and tables")
    where.add_argument("--checkpoints", type=Path, default=ROOT / ".cache", metavar="DIR", help="checkpoints, logs")
    where.add_argument("--to", type=Path, metavar="DIR", help="where --export writes (default: exports/...)")
    where.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:N")
    where.add_argument("--jobs", type=positive, metavar="N", help="processes at a time")
    where.add_argument(
        "--checkpoint-seconds", type=seconds, default=30.0, metavar="S", help="time between checkpoints (default: 30)"
    )
    other = parser.add_argument_group("other")
    other.add_argument("--retry-failed", action="store_true", help="train failed runs again")
    other.add_argument("--force", action="store_true", help="profiles paper and quick on a CPU, however long it takes")
    other.add_argument("--launch", action="store_true", help="a GPU's steps one by one, not recorded as CUDA graphs")
    other.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser
