"""A column, measured: all its processes are started, then every round gives each of them its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.bench import floor, lab, load
from benchmark.bench.columns import SEPARATE, SIDE_BY_SIDE, Column, Variant, column
from benchmark.bench.measurements import (
    BARE_RATE,
    FLOOR_RATE,
    MATRIX_RATE,
    OTHERS,
    PAIRED,
    RATE,
    STEP,
    Measurement,
    baseline,
)
from benchmark.bench.processes import Process, together
from benchmark.config.overrides import Profile
from benchmark.config.resolve import ConfigResolver
from benchmark.runs.job import Job
from benchmark.runs.names import STUDENT
from benchmark.runs.store import Store

Say = Callable[[str], None]


@dataclass(frozen=True)
class Lineup:
    """How to measure.

    Attributes:
        profile: scale of the recipes.
        changes: to recipes.
        methods: only these of a column's; None for all.
        device: ``cpu`` or ``cuda``.
        cores: that are used.
        variants: of the cohort.
        rounds: turns of everybody.
        seconds: that a block lasts at least.
    """

    profile: Profile
    changes: dict[str, object]
    methods: Sequence[str] | None
    device: str
    cores: int
    variants: tuple[Variant, ...]
    rounds: int
    seconds: float

    def column(self, name: str, precision: str, seed: int) -> Column:
        """A column's runs in a precision."""
        resolver = ConfigResolver(self.profile, {**self.changes, "precision": precision})
        return column(name, self.methods, resolver, seed)


class ColumnRounds:
    """One column on this machine.

    Args:
        name: of the column.
        plan: how to measure.
        folder: for weights; nothing of it is kept.
        say: told what is going on.
    """

    def __init__(self, name: str, plan: Lineup, folder: Path, say: Say) -> None:
        self._name = name
        self._plan = plan
        self._folder = folder
        self._say = say
        self._column = plan.column(name, "fp32", seed=0)
        self._separate: dict[str, Process] = {}
        self._cohorts: dict[Variant, list[Process]] = {}
        self._measured: list[Measurement] = []

    def measure(self) -> Iterator[Measurement]:
        """Measure the rivals, then the cohort's variants; all processes end."""
        main, *others = self._plan.variants
        with ExitStack() as cohorts:
            with ExitStack() as rivals:
                self._say(f"{self._name}: starting {len(self._column.runs) + 1} separate trainings and the cohort")
                self._start(self._separates(), rivals)
                self._start(self._members_of(main), cohorts)
                for number in range(self._plan.rounds):
                    self._say(f"{self._name}: round {number + 1} of {self._plan.rounds}")
                    before = load.ticks()
                    yield from self._round(main, number)
                    after = load.ticks()
                    if before and after:
                        yield self._note("", "", OTHERS, number, load.others(before, after))
                self._say(f"{self._name}: parts, memory, matrix rates")
                yield from self._facts(main)
            # Not before the separate trainings have ended: all together need more memory than many machines have.
            self._say(f"{self._name}: the cohort in other ways")
            for variant in others:
                self._start(self._members_of(variant), cohorts)
            for number in range(self._plan.rounds):
                yield from self._ways(number)

    # Who is measured.

    def _start(self, processes: Iterator[Process], stack: ExitStack) -> None:
        starting: list[Process] = []
        for process in processes:
            stack.callback(process.close)
            starting.append(process)
            # As many at a time as there are cores: loading torch keeps one busy for seconds.
            if len(starting) >= self._plan.cores:
                starting.pop(0).answer()
        for process in starting:
            process.answer()

    def _separates(self) -> Iterator[Process]:
        runs = self._column.runs
        store, teacher = self._store(SEPARATE), _teacher(self._column)
        lab.leave_needs(runs, store)
        for run in (*runs, self._column.reference):
            arguments = (run, teacher, store.weights_path(teacher), self._plan.device)
            process = Process(f"{run.title} alone", "benchmark.bench.separate:Separate", arguments)
            self._separate[run.title] = process
            yield process

    def _members_of(self, variant: Variant) -> Iterator[Process]:
        self._cohorts[variant] = []
        for seed in range(variant.processes):
            process = self._cohort(variant, seed)
            self._cohorts[variant].append(process)
            yield process

    def _cohort(self, variant: Variant, seed: int) -> Process:
        measured = self._plan.column(self._name, variant.precision, seed)
        store = self._store(variant.name)
        lab.leave_needs(measured.runs, store)
        arguments = (measured.runs, measured.reference, store, self._plan.device, variant.cuda_graphs)
        return Process(variant.title, "benchmark.bench.cohort:CohortBenchmark", arguments, variant.threads)

    def _store(self, name: str) -> Store:
        folder = self._folder / self._name.replace("/", "-") / name
        return Store(folder / "results", folder / "checkpoints")

    # What is measured.

    def _round(self, main: Variant, number: int) -> Iterator[Measurement]:
        seconds = {title: process.call("block", self._plan.seconds) for title, process in self._separate.items()}
        yield from self._alone(SEPARATE, number, seconds, side_by_side=1)
        if self._plan.device == "cpu" and self._plan.cores > 1:
            beside = self._side_by_side("block", self._plan.seconds, 1)
            yield from self._alone(SIDE_BY_SIDE, number, beside, side_by_side=self._at_a_time)
        yield from self._together(main, number)

    def _ways(self, number: int) -> Iterator[Measurement]:
        for variant, processes in self._cohorts.items():
            turns = together(processes, "block", _TURNS * self._plan.seconds)
            rate = sum(len(self._column.runs) / turn for turn in turns)
            yield self._note(variant.name, "", PAIRED, number, rate)

    def _alone(self, variant: str, number: int, seconds: dict[str, float], side_by_side: int) -> Iterator[Measurement]:
        """Rates of trainings one after another, or so many at a time."""
        for title, value in seconds.items():
            yield self._note(variant, title, STEP, number, value)
        counted = [value for title, value in seconds.items() if title != STUDENT]
        yield self._note(variant, "", RATE, number, side_by_side * len(counted) / sum(counted))
        yield self._note(variant, "", BARE_RATE, number, side_by_side / seconds[STUDENT])

    @property
    def _at_a_time(self) -> int:
        """Separate trainings that run side by side, a thread each."""
        return min(self._plan.cores, len(self._separate))

    def _side_by_side(self, method: str, *arguments: Any) -> dict[str, Any]:
        """What a method of the separate trainings gives, asked of as many at a time as there are cores."""
        titles = list(self._separate)
        found: dict[str, Any] = {}
        for start in range(0, len(titles), self._at_a_time):
            # The last group is filled up with others, so that nobody has a core more than the rest had.
            group = [titles[place % len(titles)] for place in range(start, start + self._at_a_time)]
            values = together([self._separate[title] for title in group], method, *arguments)
            found = dict(zip(group, values, strict=True)) | found
        return found

    def _together(self, variant: Variant, number: int) -> Iterator[Measurement]:
        processes, members = self._cohorts[variant], len(self._column.runs)
        turns = together(processes, "block", _TURNS * self._plan.seconds)
        yield self._note(variant.name, "", RATE, number, sum(members / turn for turn in turns))
        steps = together(processes, "steps", 1 + round(self._plan.seconds))
        for title in steps[0]:
            mean = sum(own[title] for own in steps) / len(steps)
            yield self._note(variant.name, title, STEP, number, mean)
        bare = [_without_losses(turn, own) for turn, own in zip(turns, steps, strict=True)]
        yield self._note(variant.name, "", BARE_RATE, number, sum(members / turn for turn in bare))

    def _facts(self, main: Variant) -> Iterator[Measurement]:
        cohort = self._cohorts[main]
        for title, process in self._separate.items():
            for kind, value in process.call("memory").items():
                yield self._note(SEPARATE, title, kind, 0, value)
        for kind, value in cohort[0].call("memory").items():
            yield self._note(main.name, "", kind, 0, value)
        way = baseline(self._measured, self._name)
        if way == SIDE_BY_SIDE:
            parts = self._side_by_side("parts", 1)
            rates = together([*self._separate.values()][: self._at_a_time], "matrix_rate", "fp32", 1)
        else:
            parts = {title: process.call("parts") for title, process in self._separate.items()}
            rates = [self._separate[STUDENT].call("matrix_rate", "fp32")]
        yield from self._shares(way, [found for title, found in parts.items() if title != STUDENT])
        yield from self._shares(main.name, together(cohort, "parts"))
        yield from self._floor(way, rates, share=1.0)
        rates = together(cohort, "matrix_rate", main.precision)
        yield from self._floor(main.name, rates, share=1 / len(self._column.runs))

    def _shares(self, variant: str, seconds: list[dict[str, float]]) -> Iterator[Measurement]:
        total = sum(sum(own.values()) for own in seconds)
        for part in seconds[0]:
            value = sum(own[part] for own in seconds) / total
            yield self._note(variant, "", f"share of {part}", 0, value)

    def _floor(self, variant: str, rates: list[float], *, share: float) -> Iterator[Measurement]:
        macs = floor.step_macs(self._column.runs[0], _teacher(self._column), share)
        yield self._note(variant, "", MATRIX_RATE, 0, sum(rates))
        yield self._note(variant, "", FLOOR_RATE, 0, sum(rates) / macs)

    def _note(self, variant: str, method: str, quantity: str, number: int, value: float) -> Measurement:
        self._measured.append(Measurement(self._name, variant, method, quantity, number, value))
        return self._measured[-1]


_TURNS = 4
"""A cohort's block lasts so many times as long as that of a single training, since a batch goes through all members."""


def _teacher(measured: Column) -> Job:
    teacher = measured.runs[0].teacher
    assert teacher is not None
    return teacher


def _without_losses(turn: float, steps: dict[str, float]) -> float:
    """Seconds of a batch less the losses' own, which is what members take beyond the plain student."""
    losses = sum(value - steps[STUDENT] for value in steps.values())
    # On a busy machine one of the steps may have taken longer than the batch: no less is left than plain steps take.
    return max(turn - losses, (len(steps) - 1) * steps[STUDENT])
