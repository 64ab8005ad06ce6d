"""A figure of point clouds side by side: PDF for print, PNG for the screen, and Markdown that shows it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from rich.console import Console

from benchmark.files import below, write_atomically
from benchmark.report.document import REFRESH, Document
from benchmark.report.markdown import escape
from benchmark.report.terminal import shown
from benchmark.runs.record import Points
from benchmark.text import visible

# matplotlib is imported only where a figure is drawn.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

# Twenty colours that are far apart in the perceptual space OKLab, the first ten the farthest.
PALETTE = (
    *("#2d64d7", "#f6663e", "#05c57c", "#bb2a34", "#a274f8", "#07808c", "#b19518", "#ef67b7", "#54dbee", "#6b2a36"),
    *("#bdd626", "#094672", "#feb47d", "#218b1b", "#d5affc", "#610e8d", "#825f12", "#06a3f9", "#88588e", "#085311"),
)
_ACROSS = 5
# In inches: a panel, the titles above it, the space around, the legend.
_SIDE, _HEAD, _GAP, _LEGEND = 1.4, 0.34, 0.06, 0.2
_LEGEND_UP_TO = 10
_MARGIN = 1.06
_QUIET, _FRAME = "#666666", "#cccccc"
_DPI = 240
_STYLE: Mapping[str, Any] = MappingProxyType({"font.size": 8, "pdf.fonttype": 42, "mathtext.fontset": "dejavusans"})
_ABOVE: Mapping[str, Any] = MappingProxyType(
    {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "baseline"}
)
# Without program names and dates, equal records give equal files.
_FORMATS: Mapping[str, Mapping[str, None]] = MappingProxyType(
    {
        ".pdf": MappingProxyType({"Creator": None, "Producer": None, "CreationDate": None}),
        ".png": MappingProxyType({"Software": None}),
    }
)


@dataclass(frozen=True)
class Panel:
    """One point cloud.

    Attributes:
        title: the name of the method; ``L_FM`` is set with an index.
        subtitle: a few numbers; may be empty.
        points: None where there is no run.
        absent: the text of a panel without points.
    """

    title: str
    subtitle: str
    points: Points | None
    absent: str = "no run yet"


@dataclass(frozen=True)
class Figure(Document):
    """Panels in rows of five at most.

    Attributes:
        stem: name of its files without suffix.
        number: ``Figure 2``.
        title: the first sentence of the caption.
        panels: from left to right.
        caption: sentences on how to read the figure.
        notes: remarks below it.
    """

    folder: ClassVar[str] = "figures"

    stem: str
    number: str
    title: str
    panels: tuple[Panel, ...]
    caption: tuple[str, ...]
    notes: tuple[str, ...]

    def forms(self) -> Mapping[str, str]:
        """The Markdown, by file name; the drawings differ between versions of matplotlib."""
        return {f"{self.stem}.md": self._markdown()}

    def stale(self, folder: Path) -> list[str]:
        """As in `Document`; drawings only have to exist."""
        drawings = (folder / f"{self.stem}{suffix}" for suffix in _FORMATS)
        missing = [f"{path}: missing; {REFRESH}" for path in drawings if not path.is_file()]
        return [*super().stale(folder), *missing]

    def write(self, folder: Path) -> list[Path]:
        """Write PDF, PNG and Markdown."""
        drawings = {below(folder, f"{self.stem}{suffix}"): content for suffix, content in draw(self.panels).items()}
        for path, content in drawings.items():
            write_atomically(path, content)
        return [*drawings, *super().write(folder)]

    def print(self, console: Console) -> None:
        """Print the figure in words."""
        console.print(shown(f"{self.number}. {self.title}"), highlight=False)
        for panel in self.panels:
            what = panel.absent if panel.points is None else f"{len(panel.points.x)} images"
            text = ", ".join(part for part in (what, panel.subtitle) if part)
            console.print(shown(f"  {panel.title}: {text}"), highlight=False)
        for sentences in (" ".join(self.caption), *self.notes):
            console.print(shown(sentences, "dim"), highlight=False)

    def _markdown(self) -> str:
        lines = [
            f"**{escape(self.number)}.** {escape(self.title)}",
            "",
            f"![{escape(', '.join(panel.title for panel in self.panels))}]({quote(self.stem, safe='+,=@~')}.png)",
            "",
            escape(" ".join(self.caption)),
        ]
        notes = [f"- {escape(note)}" for note in self.notes]
        return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def draw(panels: Sequence[Panel]) -> dict[str, bytes]:
    """The drawing, by suffix; equal panels give equal bytes.

    A class has the same colour in all panels; a legend names up to ten classes.
    """
    from matplotlib import style
    from matplotlib.figure import Figure as Sheet

    colours = _colours(panels)
    across = min(len(panels), _ACROSS)
    down = -(-len(panels) // _ACROSS)
    legend = _LEGEND if 0 < len(colours) <= _LEGEND_UP_TO else 0.0
    width, height = across * (_SIDE + _GAP) + _GAP, down * (_SIDE + _HEAD) + _GAP + legend
    # The style of a user would change the bytes.
    with style.context(["default", dict(_STYLE)]):
        sheet = Sheet(figsize=(width, height))
        for position, panel in enumerate(panels):
            row, column = divmod(position, _ACROSS)
            left, top = _GAP + column * (_SIDE + _GAP), (row + 1) * (_SIDE + _HEAD)
            axes = sheet.add_axes((left / width, 1 - top / height, _SIDE / width, _SIDE / height))
            _draw_panel(axes, panel, colours)
        if legend:
            _draw_legend(sheet, colours)
        return {suffix: _saved(sheet, suffix) for suffix in _FORMATS}


def _colours(panels: Sequence[Panel]) -> dict[float, str]:
    """The colour of each class, the same in all panels."""
    labels = sorted({label for panel in panels if panel.points for label in panel.points.label})
    return {label: PALETTE[position % len(PALETTE)] for position, label in enumerate(labels)}


def _draw_panel(axes: Axes, panel: Panel, colours: Mapping[float, str]) -> None:
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set(color=_FRAME, linewidth=0.5)
    lift = 3.0
    if panel.subtitle:
        axes.annotate(typeset(panel.subtitle), (0.5, 1), (0, lift), **_ABOVE, fontsize=6, color=_QUIET)
        lift += 8.5
    axes.annotate(typeset(panel.title), (0.5, 1), (0, lift), **_ABOVE)
    if panel.points is None:
        axes.text(0.5, 0.5, panel.absent, transform=axes.transAxes, ha="center", va="center", color=_QUIET, fontsize=7)
        return
    x, y = panel.points.x, panel.points.y
    tints = [colours[label] for label in panel.points.label]
    # Many points are drawn smaller.
    size = min(4.5, max(1.5, 3600 / len(x)))
    axes.scatter(x, y, s=size, c=tints, alpha=0.75, linewidths=0)
    half = _MARGIN * max(max(x) - min(x), max(y) - min(y)) / 2 or 1.0
    for centre, limit in ((max(x) + min(x)) / 2, axes.set_xlim), ((max(y) + min(y)) / 2, axes.set_ylim):
        limit(centre - half, centre + half)


def _draw_legend(sheet: Sheet, colours: Mapping[float, str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], linestyle="", marker="o", markersize=3.5, markeredgewidth=0, color=colour, label=f"{label:g}")
        for label, colour in colours.items()
    ]
    sheet.legend(
        handles=marks,
        loc="lower center",
        bbox_to_anchor=(0.5, 0),
        ncols=len(marks),
        frameon=False,
        fontsize=6.5,
        handletextpad=0,
        columnspacing=1.2,
        borderaxespad=0.2,
        borderpad=0.2,
    )


def typeset(text: str) -> str:
    """Plain text as markup of matplotlib, in which ``L_FM`` is a symbol with an index."""
    plain = visible(text).replace("$", r"\$")
    return re.sub(r"\b([A-Za-z])_([A-Za-z0-9]+)", r"$\\mathregular{\1_{\2}}$", plain)


def _saved(sheet: Sheet, suffix: str) -> bytes:
    buffer = io.BytesIO()
    sheet.savefig(buffer, format=suffix[1:], dpi=_DPI, metadata=dict(_FORMATS[suffix]))
    return buffer.getvalue()
