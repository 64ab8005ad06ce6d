"""``rendering``: seconds to render a table and to plan all tables beside many records."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from statistics import median

from benchmark.cli.arguments import Parser, positive
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.files import write_atomically
from benchmark.planning.planner import make_plan
from benchmark.registry.catalog import ROOT
from benchmark.runs.job import Job
from benchmark.runs.store import DONE, Store
from benchmark.tables import reader

COMMANDS = {
    "render Table 6": ("--table", "6", "--render"),
    "render Table 11": ("--table", "11", "--render"),
    "plan all tables": ("--table", "all", "--plan"),
}
"""The timed commands, by their title in the CSV."""

_PROFILE = "paper"


def run(arguments: Sequence[str]) -> None:
    """Fill a store with synthetic records, time commands on it, print and write the seconds.

    Raises:
        UserError: the folder cannot be written.
    """
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = Store(Path(folder, "results", _PROFILE), Path(folder, "checkpoints", _PROFILE))
        written = _fill(store, options.records)
        seconds = {title: _seconds(words, Path(folder), options.rounds) for title, words in COMMANDS.items()}
    for title, found in seconds.items():
        spread = f"{min(found):.2f} to {max(found):.2f}"
        print(f"{title}: {median(found):.2f} s ({spread}), {written:,} records in the store")  # noqa: T201
    write_atomically(options.output / "rendering.csv", "".join(_csv(seconds, written)).encode())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m benchmark.bench rendering", description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=positive, default=10_000, metavar="N", help="in the store (default: 10000)")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="times each (default: 5)")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), metavar="FOLDER", help="of rendering.csv")
    return parser


def _fill(store: Store, records: int) -> int:
    metrics = {"epoch": 240, "top1": 75.0, "topk": 93.0, "loss": 1.0}
    provenance = {"device": "none", "threads": 1, "data": {"name": "synthetic", "official": False}}
    for number, job in enumerate(islice(_jobs(store), records)):
        numbers = {**metrics, "top1": 70 + number % 100 / 10}
        store.write(job, DONE, provenance, metrics={"params": 700_000, "last": numbers, "best": numbers})
    return sum(1 for _ in (store.results / "records").rglob("*.json"))


def _jobs(store: Store) -> Iterator[Job]:
    """The jobs of all tables and figures, seed by seed."""
    resolver, known = ConfigResolver(load_profile(_PROFILE), {}), set[str]()
    wanted = [*map(reader.load, reader.numbers()), *(reader.load(number, "figure") for number in reader.figures())]
    for seed in count():
        for job in make_plan(wanted, resolver, [seed], store).jobs:
            if job.id not in known:
                known.add(job.id)
                yield job


def _seconds(words: Sequence[str], folder: Path, rounds: int) -> list[float]:
    folders = ("--results", str(folder / "results"), "--checkpoints", str(folder / "checkpoints"))
    command = [sys.executable, str(ROOT / "run_all.py"), *words, "--profile", _PROFILE, *folders]
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        found.append(time.perf_counter() - start)
    return found


def _csv(seconds: dict[str, list[float]], records: int) -> Iterator[str]:
    yield "command,records,median_seconds,least_seconds,greatest_seconds\n"
    for title, found in seconds.items():
        yield f"{title},{records},{median(found):.3f},{min(found):.3f},{max(found):.3f}\n"
