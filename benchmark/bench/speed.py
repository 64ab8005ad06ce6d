"""``speed``: student steps a second of the cohort loop against separate trainings as the field does them."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmark.bench import columns
from benchmark.bench.measurements import Measurement
from benchmark.bench.report import Machine, write
from benchmark.cli.arguments import Parser, positive, seconds, split
from benchmark.config.overrides import load_profile, parse_changes
from benchmark.devices import cores, name, processor, workers

_DESCRIPTION = (
    "Student steps a second of the cohort loop against separate trainings as the field does them, on random images and "
    "untrained teachers. A column takes about five minutes on two cores and 15 GiB; leave the machine alone meanwhile."
)
CALM = {"lr": 1e-4}
"""Changes no time, and keeps networks under untrained teachers from overflowing."""


def run(arguments: Sequence[str]) -> None:
    """Measure and write CSV, Markdown and plot.

    Raises:
        UserError: a column or a method is unknown, or a folder cannot be written.
    """
    options = _parser().parse_args(arguments)
    from benchmark.bench.rounds import ColumnRounds, Lineup

    (device, *more), _ = workers(options.device, None, None)
    used = 1 + len(more) if device == "cpu" else cores()
    plan = Lineup(
        profile=load_profile("paper"),
        changes=CALM | parse_changes(options.set),
        methods=split(options.methods),
        device=device,
        cores=used,
        variants=columns.variants(device, used),
        rounds=options.rounds,
        seconds=options.seconds,
    )
    names = split(options.columns) or columns.COLUMNS
    for title in names:
        plan.column(title, "fp32", seed=0)  # what is misspelt is said before anything is measured
    label = processor() if device == "cpu" else name(device)
    machine = Machine(
        label,
        cores(),
        device,
        version("torch"),
        options.rounds,
        options.seconds,
    )
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for title in names:
            found += ColumnRounds(title, plan, Path(folder), _say).measure()
            write(found, machine, plan.variants, options.output)  # what is measured stays, whatever comes after
    for page in ("speed.md", "speed-details.md"):
        print((options.output / page).read_text(encoding="utf-8"))  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m benchmark.bench speed", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--columns", metavar="LIST", help=f"TABLE/TEACHER:STUDENT, ... (default: {', '.join(columns.COLUMNS)})"
    )
    parser.add_argument("--methods", metavar="LIST", help="only these of the columns' methods")
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="turns of everybody (default: 3)")
    parser.add_argument(
        "--seconds", type=seconds, default=0.7, metavar="S", help="a block lasts at least so long (default: 0.7)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: the best there is)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe's value")
    parser.add_argument(
        "--output", type=Path, default=Path("results/bench"), metavar="FOLDER", help="default: results/bench"
    )
    return parser


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201
