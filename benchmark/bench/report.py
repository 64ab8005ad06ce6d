"""The measured speed as CSV, Markdown and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.bench.columns import COHORT, SEPARATE, SIDE_BY_SIDE, WAYS, Variant
from benchmark.bench.measurements import (
    BARE_RATIO,
    FLOOR,
    GAIN,
    LOSS_COST,
    MEAN,
    OTHERS,
    RATE,
    RATIO,
    Measurement,
    Numbers,
    Row,
    rows,
    to_csv,
)
from benchmark.bench.plot import draw
from benchmark.files import write_atomically

STEM = "speed"
_OTHER_WAY = {SEPARATE: SIDE_BY_SIDE, SIDE_BY_SIDE: SEPARATE}
_GIBI = 2**30


@dataclass(frozen=True)
class Machine:
    """Where and how it was measured.

    Attributes:
        processor: its name.
        cores: that could be used.
        device: ``cpu`` or ``cuda``.
        torch: its version.
        rounds: turns of everybody.
        seconds: that a block lasted at least.
    """

    processor: str
    cores: int
    device: str
    torch: str
    rounds: int
    seconds: float

    @property
    def name(self) -> str:
        """For the CSV."""
        return f"{self.processor}, {self.cores} cores, {self.device}, torch {self.torch}"


def write(measured: Sequence[Measurement], machine: Machine, variants: Sequence[Variant], folder: Path) -> None:
    """Write ``speed.csv``, ``speed.md``, ``speed-details.md`` and ``speed.png`` into a folder.

    Raises:
        UserError: the folder cannot be written.
    """
    found = rows(measured)
    numbers = Numbers(found)
    write_atomically(folder / f"{STEM}.csv", to_csv(found, machine.name).encode())
    write_atomically(folder / f"{STEM}.md", markdown(numbers).encode())
    write_atomically(folder / f"{STEM}-details.md", details(numbers, machine, variants).encode())
    write_atomically(folder / f"{STEM}.png", draw(numbers, variants))


def markdown(numbers: Numbers) -> str:
    """The table of ratios."""
    return f"{_ratios(numbers)}\n"


def details(numbers: Numbers, machine: Machine, variants: Sequence[Variant]) -> str:
    """How it was measured, and tables of what losses cost, of what parts share, and of other ways to train."""
    parts = [_settings(machine, variants), _costs(numbers), _parts(numbers), _ways(numbers, variants)]
    return "\n\n".join(parts) + "\n"


def _settings(machine: Machine, variants: Sequence[Variant]) -> str:
    cohorts = "; ".join(
        f"{variant.title}: {variant.processes} x {variant.threads or 'default'} threads" for variant in variants
    )
    return (
        f"{machine.name}. {machine.rounds} rounds, interleaved; blocks of at least {machine.seconds:g} s after an "
        f"untimed step; numbers are medians over the rounds, in brackets the least and the greatest. {cohorts}. "
        f"Separate trainings: a process each, on a CPU in the better of two ways ({'; '.join(WAYS.values())}), fp32 "
        "(on a GPU with torch's default of TF32 in convolutions), default memory layout, PIL images from a DataLoader, "
        "the teacher's forward pass in every step, published losses. Images are random pixels, teachers untrained: "
        "neither changes the time. "
        "The floor: the operations of student and teacher at the rate of a large matrix product in the same precision, "
        "which convolutions in fp32 may exceed."
    )


def _ratios(numbers: Numbers) -> str:
    heads = [
        *("column", "separate, steps/s", "cohort, steps/s", "ratio", "without the losses' cost"),
        *("of the floor: separate", "of the floor: cohort", "memory: separate, all", "memory: one cohort"),
    ]
    lines = []
    for column in (*numbers.columns, MEAN):
        memory = [numbers.total(column, SEPARATE, "memory"), numbers.value(column, COHORT, "memory")]
        lines.append(
            [
                column,
                *(_cell(numbers.get(column, name, RATE), _plain) for name in (numbers.way(column), COHORT)),
                *(_cell(numbers.get(column, COHORT, quantity), _times) for quantity in (RATIO, BARE_RATIO)),
                *(_cell(numbers.get(column, name, FLOOR), _percent) for name in (numbers.way(column), COHORT)),
                *(f"{value / _GIBI:.1f} GiB" if value else "" for value in memory),
            ]
        )
    return _table(heads, lines)


def _ways(numbers: Numbers, variants: Sequence[Variant]) -> str:
    others = variants[1:]
    heads = [
        "column",
        *(f"cohort over {variant.title}" for variant in others),
        *("separate trainings", "the other way over this", "processors taken by others"),
    ]
    lines = [
        [
            column,
            *(_cell(numbers.get(column, variant.name, GAIN), _times) for variant in others),
            "" if column == MEAN else WAYS[numbers.way(column)],
            _cell(numbers.get(column, _OTHER_WAY[numbers.way(column)], RATIO), _times),
            _cell(numbers.get(column, "", OTHERS), _percent),
        ]
        for column in (*numbers.columns, MEAN)
    ]
    return _table(heads, lines)


def _costs(numbers: Numbers) -> str:
    """What a method's step takes beyond the plain student's, as a share of it."""
    heads = ["loss's cost over the student's step", *numbers.columns]
    lines = [
        [method, *(_cell(numbers.get(column, COHORT, LOSS_COST, method), _percent) for column in numbers.columns)]
        for method in numbers.methods()
    ]
    return _table(heads, lines)


def _parts(numbers: Numbers) -> str:
    from benchmark.training.parts import PARTS

    heads = ["share of the time", *PARTS, "other"]
    lines = [
        [
            f"{column}, {variant}",
            *(_cell(numbers.get(column, variant, f"share of {part}"), _percent) for part in heads[1:]),
        ]
        for column in numbers.columns
        for variant in (numbers.way(column), COHORT)
    ]
    return _table(heads, lines)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruler, *lines))


def _cell(row: Row | None, spoken: Callable[[float], str]) -> str:
    if row is None:
        return ""
    value, low, high = (spoken(number) for number in (row.value, row.low, row.high))
    return value if low == high else f"{value} ({low} to {high})"


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _times(value: float) -> str:
    return f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{value:.0%}"
