"""The measured speed as a plot: how many times faster, and what each loss costs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.bench.columns import COHORT, SEPARATE_WAYS, Variant
from benchmark.bench.measurements import BARE_RATIO, LOSS_COST, MEAN, RATIO, Key, Spread, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, distinguishable with any colour vision.
_COLOURS = ("#0072b2", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#000000")
_WIDTH = 0.8
_DPI = 160
_TITLE = 34  # points between panel and title: room for the legend
_RATIO_GOAL, _COST_GOAL = 5.0, 0.5


def draw(summary: Summary, columns: Sequence[str], methods: Sequence[str], variants: Sequence[Variant]) -> bytes:
    """A PNG of two panels: ratios by column, loss costs by method."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    series = [
        ("cohort", COHORT, RATIO),
        ("cohort, without the losses' cost", COHORT, BARE_RATIO),
        *((variant.title, variant.name, RATIO) for variant in variants[1:]),
        *((f"separate trainings {title}", way, RATIO) for way, title in SEPARATE_WAYS.items()),
    ]
    places = [*columns, MEAN]
    ratios = {
        title: [summary.get(Key(place, name, "", quantity)) for place in places] for title, name, quantity in series
    }
    costs = {column: [summary.get(Key(column, COHORT, method, LOSS_COST)) for method in methods] for column in columns}
    with plt.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 7), layout="constrained")
        _draw_bars(upper, places, {title: found for title, found in ratios.items() if any(found)})
        upper.axhline(1, color="#666666", linewidth=0.8)
        upper.set_ylabel("student steps a second,\nover separate trainings")
        upper.set_title("How many times faster (lines: 1 and 5 times; whiskers: all rounds)", loc="left", pad=_TITLE)
        _draw_bars(lower, methods, costs)
        lower.set_ylabel("over the plain student's step")
        lower.set_title("What a loss costs in the cohort (line: half a step)", loc="left", pad=_TITLE)
        for axes, goal in ((upper, _RATIO_GOAL), (lower, _COST_GOAL)):
            axes.axhline(goal, color="#666666", linewidth=0.8, linestyle="--")
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
        plt.close(figure)
    return content.getvalue()


def _draw_bars(axes: Axes, places: Sequence[str], series: dict[str, list[Spread | None]]) -> None:
    width = _WIDTH / max(1, len(series))
    for number, (title, found) in enumerate(series.items()):
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
