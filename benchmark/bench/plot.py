"""The measured speed drawn: how many times faster, and what each loss costs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.bench.columns import COHORT, WAYS, Variant
from benchmark.bench.measurements import BARE_RATIO, LOSS_COST, MEAN, RATIO, Numbers, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Okabe and Ito's colours, which are told apart with any colour vision.
_COLOURS = ("#0072b2", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#000000")
_WIDTH = 0.8
_DPI = 160
_TITLE = 34  # points between panel and title: room for the legend
_MOST = 0.5
_LEAST = 5.0


def draw(numbers: Numbers, variants: Sequence[Variant]) -> bytes:
    """A PNG of two panels."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 7), layout="constrained")
        _draw_ratios(upper, numbers, variants)
        _draw_costs(lower, numbers)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
        plt.close(figure)
    return content.getvalue()


def _draw_ratios(axes: Axes, numbers: Numbers, variants: Sequence[Variant]) -> None:
    places = (*numbers.columns, MEAN)
    series = [
        ("cohort", COHORT, RATIO),
        ("cohort, without the losses' cost", COHORT, BARE_RATIO),
        *((variant.title, variant.name, RATIO) for variant in variants[1:]),
        *((f"separate trainings {title}", way, RATIO) for way, title in WAYS.items()),
    ]
    bars = [(title, [numbers.get(place, name, quantity) for place in places]) for title, name, quantity in series]
    _draw_bars(axes, places, [(title, found) for title, found in bars if any(found)])
    axes.axhline(1, color="#666666", linewidth=0.8)
    axes.axhline(_LEAST, color="#666666", linewidth=0.8, linestyle="--")
    axes.set_ylabel("student steps a second,\nover separate trainings")
    axes.set_title("How many times faster (lines: 1 and 5 times; whiskers: all rounds)", loc="left", pad=_TITLE)


def _draw_costs(axes: Axes, numbers: Numbers) -> None:
    methods = numbers.methods()
    bars = [
        (column, [numbers.get(column, COHORT, LOSS_COST, method) for method in methods]) for column in numbers.columns
    ]
    _draw_bars(axes, methods, bars)
    axes.axhline(_MOST, color="#666666", linewidth=0.8, linestyle="--")
    axes.set_ylabel("over the plain student's step")
    axes.set_title("What a loss costs in the cohort (line: half a step)", loc="left", pad=_TITLE)


def _draw_bars(axes: Axes, places: Sequence[str], series: Sequence[tuple[str, Sequence[Row | None]]]) -> None:
    width = _WIDTH / max(1, len(series))
    for number, (title, found) in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * width
        known = [(place + shift, row) for place, row in enumerate(found) if row is not None]
        values = [row.value for _, row in known]
        spread = [[row.value - row.low for _, row in known], [row.high - row.value for _, row in known]]
        axes.bar(
            [place for place, _ in known],
            values,
            width,
            yerr=spread,
            label=title,
            color=_COLOURS[number % len(_COLOURS)],
            error_kw={"linewidth": 0.8},
        )
    axes.set_xticks(range(len(places)), [place.replace("/", "\n", 1) for place in places])
    axes.legend(frameon=False, ncols=3, fontsize=7, loc="lower left", bbox_to_anchor=(0, 1))
