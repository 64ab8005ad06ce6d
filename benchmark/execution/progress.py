"""Progress of training: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmark.planning.cohorts import NOUNS, Cohort, counted
from benchmark.planning.plan import CACHED, Plan, format_duration
from benchmark.runs.job import Job
from benchmark.runs.record import PROBE, STAGE, TRAIN
from benchmark.runs.store import DONE, FAILED
from benchmark.text import visible_line

LINE_SECONDS = 5.0
"""Time between two plain lines about epochs."""
_TRAINED = (TRAIN, STAGE, PROBE)
_NAMES, _NUMBERS = ("pair", "method"), ("seed", "epoch", "loss", "top-1", "images/s")


@dataclass
class _Run:
    """A job and its last reported epoch, training loss and test."""

    job: Job
    epoch: int = 0
    loss: float | None = None
    top1: float | None = None

    @property
    def epochs(self) -> int:
        return self.job.recipe.epochs if self.job.kind in _TRAINED else 0


@dataclass
class _Slot:
    """The running jobs of a worker's cohort, and the images per second of each that finished the last epoch."""

    runs: dict[str, _Run]
    rates: dict[str, float]


class Progress:
    """Shows the state of running jobs, counts the others and estimates the time left.

    Args:
        console: to print to.
        plan: of the jobs to be done.
        workers: number of processes.
    """

    def __init__(self, console: Console, plan: Plan, workers: int) -> None:
        self._console = console
        self._workers = workers
        self._cached = sum(state == CACHED for state in plan.states.values())
        self._seconds = {job.id: cohort.seconds / len(cohort.runs) for cohort in plan.cohorts for job in cohort.runs}
        self._left = dict(self._seconds)
        self._trained = 0.0
        self._done = self._failed = 0
        self._slots: dict[int, _Slot] = {}
        self._begun = time.monotonic()
        self._printed = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_interactive else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, slot: int, cohort: Cohort) -> None:
        """Add the jobs of a cohort to the running ones."""
        self._slots[slot] = _Slot({job.id: _Run(job) for job in cohort.runs}, {})
        self._left |= {job.id: self._seconds.get(job.id, 0.0) for job in cohort.runs}
        self._show(f"started {cohort}")

    def resumed(self, slot: int, event: Mapping[str, Any]) -> None:
        """Show after which epoch jobs continue."""
        runs = self._update(slot, event)
        for epoch, epochs in dict.fromkeys((run.epoch, run.epochs) for run in runs):
            jobs = [run.job for run in runs if (run.epoch, run.epochs) == (epoch, epochs)]
            self.note(f"{_name(jobs)}: resumed after epoch {epoch} of {epochs}")
        self._show(None)

    def epoch(self, slot: int, event: Mapping[str, Any]) -> None:
        """Show the epoch that jobs have finished."""
        before = sum(self._left.values())
        runs = self._update(slot, event)
        self._trained += before - sum(self._left.values())
        self._slots[slot].rates = dict.fromkeys(event["runs"], event["images_per_second"] / len(event["runs"]))
        due = time.monotonic() - self._printed >= LINE_SECONDS
        self._show(f"{_name([run.job for run in runs])}: {self._facts(slot, runs)}; {self._summary()}" if due else None)

    def elsewhere(self, job: Job) -> None:
        """Count a job that another command is working on as waiting."""
        self._drop(job)

    def ended(self, job: Job, status: str, message: str) -> None:
        """Count a job that has its final status."""
        self._drop(job)
        seconds = self._left.pop(job.id, 0.0)
        if status == DONE:
            self._trained += seconds
        self._done += status == DONE
        self._failed += status == FAILED
        self._show(f"{status} {job}: {message}")

    def idle(self, slot: int) -> None:
        """Remove a worker without jobs."""
        self._slots.pop(slot, None)
        self._show(None)

    def note(self, message: str) -> None:
        """Print a message, above the live table if there is one."""
        self._console.print(Text(visible_line(message)), soft_wrap=True)

    def stopping(self) -> None:
        """End the live table and answer an interrupt, before the executor waits for its workers."""
        self.__exit__()
        self.note("stopping, checkpoints are kept; another Ctrl-C ends at once")

    def _update(self, slot: int, event: Mapping[str, Any]) -> list[_Run]:
        """Store what an event reports about runs; returns these."""
        known = self._slots[slot].runs
        reported = [known[job_id] for job_id in event["runs"] if job_id in known]
        for run in reported:
            facts = event["runs"][run.job.id]
            run.epoch, run.loss, run.top1 = facts["epoch"], facts["loss"], facts["top1"]
            self._left[run.job.id] = self._seconds.get(run.job.id, 0.0) * (1 - run.epoch / run.epochs)
        return reported

    def _drop(self, job: Job) -> None:
        for slot in self._slots.values():
            slot.runs.pop(job.id, None)

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
        running = sum(len(slot.runs) for slot in self._slots.values())
        return (
            f"{self._done} done, {running} running, {self._failed} failed, {self._cached} cached, "
            f"{len(self._left) - running} waiting, {self._time_left()}"
        )

    def _time_left(self) -> str:
        left, elapsed = sum(self._left.values()), time.monotonic() - self._begun
        # Once a tenth of the work is done, its measured time is a better guide than the plan's estimate.
        measured = self._trained > 0.1 * (self._trained + left)
        seconds = elapsed * left / self._trained if measured else left / self._workers
        return f"about {format_duration(seconds)} left"

    def _table(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in _NAMES:
            table.add_column(name)  # may wrap: rich makes these narrower before the others
        for name in _NUMBERS:
            table.add_column(name, justify="right", no_wrap=True)
        for number, rows in self._rows().items():
            for runs in rows:
                cells = (*_labels(runs), *self._numbers(number, runs).values())
                table.add_row(*(Text(visible_line(cell), no_wrap=True, overflow="ellipsis") for cell in cells))
        # The summary comes first because rich cuts off the end of what is higher than the terminal.
        return Group(Text(self._summary(), style="bold"), table)

    def _rows(self) -> dict[int, list[list[_Run]]]:
        """The runs in each row, by slot: a row a run, or a row a cohort, the largest first, as the height requires."""
        rows = {number: [[run] for run in slot.runs.values()] for number, slot in sorted(self._slots.items())}
        room = self._console.height - 3  # the summary, the head, and the line of the cursor
        for number in sorted(rows, key=lambda number: -len(rows[number])):
            if sum(map(len, rows.values())) > room and rows[number]:
                rows[number] = [list(self._slots[number].runs.values())]
        return rows

    def _numbers(self, slot: int, runs: Sequence[_Run]) -> dict[str, str]:
        """Texts of the numeric columns for one run, or their ranges over several."""
        epochs = max(run.epochs for run in runs)
        rate = sum(self._slots[slot].rates.get(run.job.id, 0.0) for run in runs)
        return {
            "epoch": f"{_range([run.epoch for run in runs], 'd')}/{epochs}" if epochs else "",
            "loss": _range([run.loss for run in runs], ".4g"),
            "top-1": _range([run.top1 for run in runs], ".2f"),
            "images/s": f"{rate:,.0f}" if rate else "",
        }

    def _facts(self, slot: int, runs: Sequence[_Run]) -> str:
        numbers = self._numbers(slot, runs)
        rate = numbers.pop("images/s")
        return ", ".join([*(f"{name} {text}" for name, text in numbers.items() if text), f"{rate} images/s"])


def _name(jobs: Sequence[Job]) -> str:
    return str(jobs[0]) if len(jobs) == 1 else str(Cohort(tuple(jobs)))


def _labels(runs: Sequence[_Run]) -> tuple[str, str, str]:
    """Pair, method and seed of one run, or pairs and methods of several of a cohort, which share the seed."""
    jobs = [run.job for run in runs]
    pairs = ", ".join(dict.fromkeys(job.pair for job in jobs))
    methods = ", ".join(dict.fromkeys(job.title.rstrip(",") for job in jobs))
    count = f"{counted(len(jobs), NOUNS[jobs[0].kind])}: " if len(jobs) > 1 else ""
    return pairs, f"{count}{methods}", str(jobs[0].seed)


def _range(values: Iterable[float | None], form: str) -> str:
    """The lowest and the highest value, once if they read the same; empty without values."""
    known = [value for value in values if value is not None]
    texts = [format(value, form) for value in (min(known), max(known))] if known else []
    return " to ".join(dict.fromkeys(texts))
