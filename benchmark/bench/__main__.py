"""``python -m benchmark.bench``: steps per second of the cohort loop and of separate trainings."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path

from benchmark.bench import columns
from benchmark.bench.measurements import Measurement
from benchmark.bench.report import Machine, write
from benchmark.cli import USAGE_ERROR
from benchmark.cli.arguments import Parser, positive, seconds, split
from benchmark.config.overrides import load_profile, parse_changes
from benchmark.devices import cores, name, processor, workers
from benchmark.errors import UserError

_DESCRIPTION = (
    "Student steps per second of the cohort loop and of separate trainings as published code does them, on random "
    "images with untrained teachers. A column takes about five minutes on two idle cores and 15 GiB."
)
_LEARNING_RATE = {"lr": 1e-4}
"""Keeps students of untrained teachers from overflowing; the time of a step does not depend on it."""


def main(arguments: Sequence[str]) -> int:
    """Measure columns and return the exit status: 0, or 2 for a user's error."""
    try:
        _measure(_parser().parse_args(arguments))
    except (UserError, BrokenProcessPool) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    return 0


def _measure(options: argparse.Namespace) -> None:
    """Write CSV, Markdown and plot after each column, and print the pages at the end."""
    from benchmark.bench.measure import BenchmarkConfig, ColumnBenchmark

    (device, *more), _ = workers(options.device, None, None)
    used = 1 + len(more) if device == "cpu" else cores()
    config = BenchmarkConfig(
        profile=load_profile("paper"),
        changes=_LEARNING_RATE | parse_changes(options.set),
        methods=split(options.methods),
        device=device,
        cores=used,
        variants=columns.variants(device, used),
        rounds=options.rounds,
        seconds=options.seconds,
    )
    names = split(options.columns) or columns.COLUMNS
    for title in names:
        config.column(title, "fp32", seed=0)  # reports misspelt names before anything is measured
    label = processor() if device == "cpu" else name(device)
    where = f"{label}, {cores()} cores, {device}, torch {version('torch')}"
    machine = Machine(where, options.rounds, options.seconds)
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for title in names:
            found += ColumnBenchmark(title, config, Path(folder), _say).measure()
            write(found, machine, config.variants, options.output)
    for page in ("speed.md", "speed-details.md"):
        print((options.output / page).read_text(encoding="utf-8"))  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m benchmark.bench", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--columns", metavar="LIST", help=f"TABLE/TEACHER:STUDENT, ... (default: {', '.join(columns.COLUMNS)})"
    )
    parser.add_argument("--methods", metavar="LIST", help="only these of the columns' methods")
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="turns of each process (default: 3)")
    parser.add_argument(
        "--seconds", type=seconds, default=0.7, metavar="S", help="least time of a measurement (default: 0.7)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: the best there is)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe's value")
    parser.add_argument(
        "--output", type=Path, default=Path("results/bench"), metavar="FOLDER", help="default: results/bench"
    )
    return parser


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
