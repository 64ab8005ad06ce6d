"""How it goes: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmark.planning.estimates import format_duration
from benchmark.planning.plan import CACHED, Cohort, Plan
from benchmark.runs.job import Job
from benchmark.runs.store import DONE, FAILED
from benchmark.text import visible_line

LINE_SECONDS = 5.0


@dataclass
class _Row:
    cohort: Cohort
    epoch: int = 0
    epochs: int = 0
    rate: float = 0.0
    best: float | None = None

    @property
    def fraction(self) -> float:
        return self.epoch / self.epochs if self.epochs else 0.0


class Progress:
    """Counts runs, estimates the time left, and shows both.

    Args:
        console: where to print.
        plan: what is going to be trained.
        slots: number of workers.
    """

    def __init__(self, console: Console, plan: Plan, slots: int) -> None:
        self._console = console
        self._slots = slots
        self._cached = sum(state == CACHED for state in plan.states.values())
        self._seconds = {job.id: cohort.seconds / len(cohort.runs) for cohort in plan.cohorts for job in cohort.runs}
        self._total = sum(self._seconds.values())
        self._left = dict(self._seconds)
        self._done = self._failed = 0
        self._rows: dict[int, _Row] = {}
        self._begun = time.monotonic()
        self._printed = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, slot: int, cohort: Cohort) -> None:
        """A worker begins a cohort."""
        self._rows[slot] = _Row(cohort)
        self._show(f"started {cohort}")

    def epoch(self, slot: int, event: Mapping[str, Any]) -> None:
        """A cohort finished an epoch."""
        row = self._rows[slot]
        row.epoch, row.epochs = event["epoch"], event["epochs"]
        row.rate, row.best = event["images_per_second"], event["best"]
        due = time.monotonic() - self._printed >= LINE_SECONDS
        self._show(f"{_words(row)}; {self._summary()}" if due else None)

    def ended(self, job: Job, status: str, message: str) -> None:
        """A run left its record."""
        self._left.pop(job.id, None)
        self._done += status == DONE
        self._failed += status == FAILED
        self._show(f"{status} {job}: {message}")

    def idle(self, slot: int) -> None:
        """A worker has nothing to do."""
        self._rows.pop(slot, None)
        self._show(None)

    def note(self, message: str) -> None:
        """A worker says what takes time."""
        self._console.print(Text(visible_line(message)), soft_wrap=True)

    def _show(self, line: str | None) -> None:
        line = None if line is None else visible_line(line)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            if line is not None and line.startswith(("failed", "blocked")):
                self._live.console.print(Text(line, style="red"))
        elif line is not None:
            self._printed = time.monotonic()
            self._console.print(Text(line), soft_wrap=True)

    def _summary(self) -> str:
        running = sum(job.id in self._left for row in self._rows.values() for job in row.cohort.runs)
        return (
            f"{self._done} done, {running} running, {self._failed} failed, {self._cached} cached, "
            f"{len(self._left) - running} waiting, {self._time_left()}"
        )

    def _time_left(self) -> str:
        running = sum(row.cohort.seconds * row.fraction for row in self._rows.values())
        left = max(0.0, sum(self._left.values()) - running)
        trained = self._total - left
        elapsed = time.monotonic() - self._begun
        # Once a tenth is through, what it took tells more than the estimate.
        seconds = elapsed * left / trained if trained > 0.1 * self._total else left / self._slots
        return f"about {format_duration(seconds)} left"

    def _table(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, justify in _COLUMNS.items():
            table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
        for _, row in sorted(self._rows.items()):
            best = "" if row.best is None else f"{row.best:.2f}"
            epoch = f"{row.epoch}/{row.epochs}" if row.epochs else "starting"
            table.add_row(str(row.cohort), epoch, f"{row.rate:,.0f}" if row.rate else "", best)
        return Group(table, Text(self._summary(), style="bold"))


_COLUMNS = {"cohort": "left", "epoch": "right", "images/s": "right", "best top-1": "right"}


def _words(row: _Row) -> str:
    best = "" if row.best is None else f", best top-1 {row.best:.2f}"
    return f"{row.cohort}: epoch {row.epoch}/{row.epochs}, {row.rate:,.0f} images/s{best}"
