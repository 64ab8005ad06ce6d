"""Measures a column: every round gives each process its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.bench import floor, random_data
from benchmark.bench.columns import SEPARATE, SIDE_BY_SIDE, Column, Variant, column
from benchmark.bench.measurements import (
    BARE_RATE,
    FLOOR_RATE,
    MATRIX_RATE,
    PAIRED,
    RATE,
    STEP,
    Key,
    Measurement,
    baseline,
    summarise,
)
from benchmark.bench.processes import Remote, call_together
from benchmark.config.overrides import Profile
from benchmark.config.resolve import ConfigResolver
from benchmark.runs.names import STUDENT
from benchmark.runs.store import Store

_COHORT_SECONDS = 4
"""A cohort is measured this many times as long as a single training, since a batch goes through all its members."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """How to measure.

    Attributes:
        profile: scale of the recipes.
        changes: changes of recipes by key.
        methods: restricts the methods of a column; None for all.
        device: ``cpu`` or ``cuda``.
        cores: number of CPU cores to use.
        variants: ways to train the cohort, the default first.
        rounds: number of rounds.
        seconds: least time of a measurement.
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


class ColumnBenchmark:
    """Measures one column on this machine.

    Args:
        name: of the column.
        config: how to measure.
        folder: holds weights for the time of the measurement.
        say: prints a line of progress.
    """

    def __init__(self, name: str, config: BenchmarkConfig, folder: Path, say: Callable[[str], None]) -> None:
        self._name = name
        self._config = config
        self._folder = folder / name.replace("/", "-")
        self._say = say
        self._column = config.column(name, "fp32", seed=0)
        self._separate: dict[str, Remote] = {}
        self._cohorts: dict[Variant, list[Remote]] = {}
        self._measured: list[Measurement] = []

    def measure(self) -> list[Measurement]:
        """Measure separate trainings and the cohort in turns, then the cohort's variants in turns."""
        config = self._config
        main, *others = config.variants
        with ExitStack() as cohorts:
            with ExitStack() as separate:
                self._say(f"{self._name}: starting {len(self._column.runs) + 1} separate trainings and the cohort")
                self._start(self._separate_trainings(), separate)
                self._start(self._cohort(main), cohorts)
                for number in range(config.rounds):
                    self._say(f"{self._name}: round {number + 1} of {config.rounds}")
                    self._measure_separate(number)
                    self._measure_cohort(main, number)
                self._say(f"{self._name}: memory, matrix rates")
                self._measure_memory(main)
                self._measure_floors(main)
            # Starts when the separate trainings have ended: many machines lack the memory for all together.
            self._say(f"{self._name}: other ways to train the cohort")
            for variant in others:
                self._start(self._cohort(variant), cohorts)
            for number in range(config.rounds):
                for variant in config.variants:
                    self._note(variant.name, "", PAIRED, number, sum(self._rates(self._batch_seconds(variant))))
        return self._measured

    def _start(self, remotes: Iterator[Remote], stack: ExitStack) -> None:
        starting: list[Remote] = []
        for remote in remotes:
            stack.callback(remote.close)
            starting.append(remote)
            # One start per core at a time: importing torch keeps a core busy for seconds.
            if len(starting) >= self._config.cores:
                starting.pop(0).ready()
        for remote in starting:
            remote.ready()

    def _separate_trainings(self) -> Iterator[Remote]:
        store, teacher = self._store(SEPARATE), self._column.teacher
        random_data.save_needs(self._column.runs, store)
        for run in (*self._column.runs, self._column.reference):
            arguments = (run, teacher, store.weights_path(teacher), self._config.device)
            self._separate[run.title] = Remote("benchmark.bench.separate:SeparateTraining", arguments)
            yield self._separate[run.title]

    def _cohort(self, variant: Variant) -> Iterator[Remote]:
        self._cohorts[variant] = []
        store = self._store(variant.name)
        for seed in range(variant.processes):
            made = self._config.column(self._name, variant.precision, seed)
            random_data.save_needs(made.runs, store)
            arguments = (made.runs, made.reference, store, self._config.device, variant.cuda_graphs)
            remote = Remote("benchmark.bench.cohort:CohortBenchmark", arguments, variant.threads)
            self._cohorts[variant].append(remote)
            yield remote

    def _store(self, name: str) -> Store:
        return Store(self._folder / name / "results", self._folder / name / "checkpoints")

    def _measure_separate(self, number: int) -> None:
        seconds = {title: remote.call("step_seconds", self._config.seconds) for title, remote in self._separate.items()}
        self._note_separate(SEPARATE, number, seconds, at_a_time=1)
        if self._config.device == "cpu" and self._config.cores > 1:
            self._note_separate(SIDE_BY_SIDE, number, self._side_by_side(), at_a_time=self._at_a_time)

    def _note_separate(self, variant: str, number: int, seconds: dict[str, float], at_a_time: int) -> None:
        for title, value in seconds.items():
            self._note(variant, title, STEP, number, value)
        distilled = [value for title, value in seconds.items() if title != STUDENT]
        self._note(variant, "", RATE, number, at_a_time * len(distilled) / sum(distilled))
        self._note(variant, "", BARE_RATE, number, at_a_time / seconds[STUDENT])

    @property
    def _at_a_time(self) -> int:
        """Number of separate trainings that run side by side with a thread each."""
        return min(self._config.cores, len(self._separate))

    def _side_by_side(self) -> dict[str, float]:
        titles, size = list(self._separate), self._at_a_time
        found: dict[str, float] = {}
        for start in range(0, len(titles), size):
            # Others fill up the last group, so that all groups keep the same number of cores busy.
            group = [titles[place % len(titles)] for place in range(start, start + size)]
            remotes = [self._separate[title] for title in group]
            values = call_together(remotes, "step_seconds", self._config.seconds, 1)
            found = dict(zip(group, values, strict=True)) | found
        return found

    def _measure_cohort(self, variant: Variant, number: int) -> None:
        batches = self._batch_seconds(variant)
        self._note(variant.name, "", RATE, number, sum(self._rates(batches)))
        steps = self._call(variant, "step_seconds", 1 + round(self._config.seconds))
        for title in steps[0]:
            self._note(variant.name, title, STEP, number, sum(own[title] for own in steps) / len(steps))
        bare = [_without_losses(batch, own) for batch, own in zip(batches, steps, strict=True)]
        self._note(variant.name, "", BARE_RATE, number, sum(self._rates(bare)))

    def _batch_seconds(self, variant: Variant) -> list[float]:
        return self._call(variant, "batch_seconds", _COHORT_SECONDS * self._config.seconds)

    def _rates(self, batch_seconds: Sequence[float]) -> list[float]:
        """Student steps per second of each process."""
        return [len(self._column.runs) / seconds for seconds in batch_seconds]

    def _call(self, variant: Variant, method: str, *arguments: Any) -> list[Any]:
        return call_together(self._cohorts[variant], method, *arguments)

    def _measure_memory(self, main: Variant) -> None:
        measured = [(SEPARATE, title, remote) for title, remote in self._separate.items()]
        for variant, title, remote in (*measured, (main.name, "", self._cohorts[main][0])):
            for kind, value in remote.call("memory").items():
                self._note(variant, title, kind, 0, value)

    def _measure_floors(self, main: Variant) -> None:
        way = baseline(summarise(self._measured), self._name)
        if way == SIDE_BY_SIDE:
            rates = call_together([*self._separate.values()][: self._at_a_time], "matrix_rate", "fp32", 1)
        else:
            rates = [self._separate[STUDENT].call("matrix_rate", "fp32")]
        self._note_floor(way, rates, fraction=1.0)
        rates = self._call(main, "matrix_rate", main.precision)
        self._note_floor(main.name, rates, fraction=1 / len(self._column.runs))

    def _note_floor(self, variant: str, rates: list[float], *, fraction: float) -> None:
        macs = floor.step_macs(self._column.runs[0], self._column.teacher, fraction)
        self._note(variant, "", MATRIX_RATE, 0, sum(rates))
        self._note(variant, "", FLOOR_RATE, 0, sum(rates) / macs)

    def _note(self, variant: str, method: str, quantity: str, number: int, value: float) -> None:
        self._measured.append(Measurement(Key(self._name, variant, method, quantity), number, value))


def _without_losses(batch: float, steps: dict[str, float]) -> float:
    """Seconds of a batch minus those by which the members' steps exceed the plain student's."""
    plain, members = steps[STUDENT], len(steps) - 1
    losses = sum(steps.values()) - plain - members * plain
    # On a busy machine a step may have taken longer than the batch: at least the plain steps are left.
    return max(batch - losses, members * plain)
