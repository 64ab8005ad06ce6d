"""The measured speed as CSV, Markdown and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.bench.columns import COHORT, SEPARATE, SEPARATE_WAYS, SIDE_BY_SIDE, Variant
from benchmark.bench.measurements import (
    BARE_RATIO,
    FLOOR,
    GAIN,
    LOSS_COST,
    MEAN,
    RATE,
    RATIO,
    Key,
    Measurement,
    Spread,
    Summary,
    baseline,
    summarise,
    to_csv,
)
from benchmark.bench.plot import draw
from benchmark.files import write_atomically
from benchmark.runs.names import STUDENT

_OTHER_WAY = {SEPARATE: SIDE_BY_SIDE, SIDE_BY_SIDE: SEPARATE}
_GIBI = 2**30

Format = Callable[[float], str]
_steps: Format = "{:.3g}".format
_times: Format = "{:.2f}".format
_percent: Format = "{:.0%}".format


@dataclass(frozen=True)
class Machine:
    """Where and how it was measured.

    Attributes:
        name: processor, cores, device, version of torch.
        rounds: number of rounds.
        seconds: least time of a measurement.
    """

    name: str
    rounds: int
    seconds: float


def write(measured: Sequence[Measurement], machine: Machine, variants: Sequence[Variant], folder: Path) -> None:
    """Write ``speed.csv``, ``speed.md``, ``speed-details.md`` and ``speed.png`` into a folder.

    Raises:
        UserError: the folder cannot be written.
    """
    summary = summarise(measured)
    write_atomically(folder / "speed.csv", to_csv(summary, machine.name).encode())
    write_atomically(folder / "speed.md", markdown(summary).encode())
    write_atomically(folder / "speed-details.md", details(summary, machine, variants).encode())
    write_atomically(folder / "speed.png", draw(summary, columns(summary), methods(summary), variants))


def columns(summary: Summary) -> list[str]:
    """The measured columns."""
    return [name for name in dict.fromkeys(key.column for key in summary) if name != MEAN]


def methods(summary: Summary) -> list[str]:
    """The methods with a loss cost."""
    return list(dict.fromkeys(key.method for key in summary if key.quantity == LOSS_COST))


def markdown(summary: Summary) -> str:
    """The table of ratios."""
    heads = [
        *("column", "separate, steps/s", "cohort, steps/s", "ratio", "without the losses' cost"),
        *("of the floor: separate", "of the floor: cohort", "memory: separate, all", "memory: one cohort"),
    ]
    lines = []
    for column in (*columns(summary), MEAN):
        ways = (baseline(summary, column), COHORT)
        ratios = [_cell(summary, Key(column, COHORT, "", quantity), _times) for quantity in (RATIO, BARE_RATIO)]
        rates, floors = (
            [_cell(summary, Key(column, way, "", quantity), form) for way in ways]
            for quantity, form in ((RATE, _steps), (FLOOR, _percent))
        )
        lines.append([column, *rates, *ratios, *floors, *_memory(summary, column)])
    return f"{_table(heads, lines)}\n"


def _memory(summary: Summary, column: str) -> list[str]:
    """Of all separate trainings together, without the plain student's, and of a cohort."""
    found = [(key, spread.value) for key, spread in summary.items() if key[::3] == (column, "memory")]
    separate = sum(value for key, value in found if key.variant == SEPARATE and key.method != STUDENT)
    cohort = sum(value for key, value in found if key.variant == COHORT)
    return [f"{value / _GIBI:.1f} GiB" if value else "" for value in (separate, cohort)]


def details(summary: Summary, machine: Machine, variants: Sequence[Variant]) -> str:
    """How it was measured, what losses cost, and other ways to train."""
    return "\n\n".join([_settings(machine, variants), _costs(summary), _ways(summary, variants)]) + "\n"


def _settings(machine: Machine, variants: Sequence[Variant]) -> str:
    cohorts = "; ".join(
        f"{variant.title}: {variant.processes} x {variant.threads or 'default'} threads" for variant in variants
    )
    return (
        f"{machine.name}. {machine.rounds} rounds, interleaved; blocks of at least {machine.seconds:g} s after an "
        f"untimed step; numbers are medians over the rounds, in brackets the least and the greatest. {cohorts}. "
        f"Separate trainings: a process each, on a CPU in the better of two ways ({'; '.join(SEPARATE_WAYS.values())}),"
        " fp32 (on a GPU with torch's default of TF32 in convolutions), default memory layout, PIL images from a "
        "DataLoader, the teacher's forward pass in every step, published losses. Images are random pixels, teachers "
        "untrained: neither changes the time. "
        "The floor: the operations of student and teacher at the rate of a large matrix product in the same precision, "
        "which convolutions in fp32 may exceed."
    )


def _costs(summary: Summary) -> str:
    names = columns(summary)
    cells = [
        [method, *(_cell(summary, Key(column, COHORT, method, LOSS_COST), _percent) for column in names)]
        for method in methods(summary)
    ]
    return _table(["loss's cost over the student's step", *names], cells)


def _ways(summary: Summary, variants: Sequence[Variant]) -> str:
    others = variants[1:]
    gains = [f"cohort over {variant.title}" for variant in others]
    lines = []
    for column in (*columns(summary), MEAN):
        way = baseline(summary, column)
        gain = [_cell(summary, Key(column, variant.name, "", GAIN), _times) for variant in others]
        other = _cell(summary, Key(column, _OTHER_WAY[way], "", RATIO), _times)
        lines.append([column, *gain, "" if column == MEAN else SEPARATE_WAYS[way], other])
    return _table(["column", *gains, "separate trainings", "the other way over this"], lines)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruler, *lines))


def _cell(summary: Summary, key: Key, form: Format) -> str:
    spread: Spread | None = summary.get(key)
    if spread is None:
        return ""
    value, low, high = map(form, spread)
    return value if low == high else f"{value} ({low} to {high})"
