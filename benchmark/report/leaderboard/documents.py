"""The files of the leaderboard: the ranking as Markdown, CSV and text for the terminal, and the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable

from benchmark.report import csvfile, markdown
from benchmark.report.aggregate import MISSING
from benchmark.report.caption import Context, caption, notes
from benchmark.report.document import Document
from benchmark.report.layout import WORDS, CellText, Grid, layout, signed
from benchmark.report.leaderboard import page, published_data
from benchmark.report.leaderboard.data import METRICS, LeaderboardData
from benchmark.report.leaderboard.page_data import board_name, measured, printed
from benchmark.report.leaderboard.statistics.scores import BASELINES, KD
from benchmark.report.leaderboard.statistics.summary import LeaderboardStatistics
from benchmark.report.terminal import shown
from benchmark.runs.metrics import LAST, SELECTIONS
from benchmark.runs.names import TEACHER
from benchmark.tables.table import Table
from benchmark.text import visible_in

NEAR, ELSEWHERE = "≈", "†"
_NONE = WORDS[MISSING]


@dataclass(frozen=True, eq=False)
class Leaderboard(Document):
    """The ranking of one profile, with the table of all pairs."""

    folder: ClassVar[str] = "leaderboard"

    data: LeaderboardData

    def forms(self) -> Mapping[str, str]:
        """Markdown, and CSV of the ranking and of the pairs."""
        stem = self._context.stem(self._table.stem)
        return {
            f"{stem}.md": self._markdown(),
            f"{stem}.csv": self._csv(self._methods),
            f"{stem}-pairs.csv": self._csv(self._pairs),
        }

    def print(self, console: Console) -> None:
        """Print the ranking."""
        console.print(shown(f"Leaderboard. {self._title}", "bold"), highlight=False)
        ranking = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for head in self._columns:
            if head not in _WIDE:
                texts = head == "Method"
                ranking.add_column(head, justify="left" if texts else "right", overflow="fold", no_wrap=head == _RANK)
        for line in self._ranking():
            # Intervals take more room than a terminal has.
            cells = dict(zip(self._columns, line, strict=True))
            cells |= {head: cells[head].partition(" (")[0] for head in _WITH_INTERVALS}
            ranking.add_row(*(shown(cell) for head, cell in cells.items() if head not in _WIDE))
        console.print(ranking, highlight=False)
        for sentence in self._sentences:
            console.print(shown(sentence, "dim"), highlight=False)

    @property
    def _context(self) -> Context:
        return self.data.context

    @property
    def _table(self) -> Table:
        return self.data.table

    @property
    def _title(self) -> str:
        changes = f"; {', '.join(self._context.changes)}" if self._context.changes else ""
        return f"{self._table.title} (profile {self._context.profile}{changes})"

    @property
    def _statistics(self) -> LeaderboardStatistics:
        return self.data.statistics(self._table.defaults.metric or "", self._context.selection)

    @property
    def _sentences(self) -> tuple[str, ...]:
        return (*self._statistics.sentences, *self.data.mixtures, *self.data.timing)

    @cached_property
    def _columns(self) -> Mapping[str, Callable[[Mapping[str, Any]], str]]:
        """The columns of the ranking; those of `Effort` only where methods differ from the plain student."""
        hidden = {title for title, part in _EFFORT.items() if part not in self.data.differing}
        return {head: show for head, show in _COLUMNS.items() if head not in hidden}

    def _ranking(self) -> Iterator[list[str]]:
        """The lines of the ranking, the best method first, unranked methods last."""
        ordered = self._statistics.methods.sort_values(
            ["ranked", "average_rank"], ascending=[False, True], kind="stable"
        )
        places = ordered["average_rank"].round(_TIE_DECIMALS).rank(method="min")
        for place, method in zip(places, ordered.to_dict("records"), strict=True):
            name = method["method"]
            word = _NONE if method["pairs"] else self.data.why_no_number(name)[0]
            named = {"place": place, "title": self._statistics.titles[name], "word": word}
            line: dict[Any, Any] = {**named, **method, **self.data.cost(name), **self.data.effort(name)}
            yield [show(line) for show in self._columns.values()]

    def _markdown(self) -> str:
        methods = ([markdown.escape(cell) for cell in line] for line in self._ranking())
        ranking = [*map(markdown.line, (list(self._columns), [":--"] * len(self._columns), *methods))]
        head = f"**Leaderboard.** {markdown.escape(self._title)}"
        sentences = markdown.escape(" ".join(self._sentences))
        return "\n".join([head, "", *ranking, "", sentences, "", markdown.render(self._grid())])

    def _grid(self) -> Grid:
        """The table of all methods on all pairs."""
        legend = [
            *caption(self.data.frame, self._context),
            f"{NEAR}: not significantly worse than the best of its pair.",
        ]
        if self.data.elsewhere:
            legend.append(f"{ELSEWHERE}: made on another machine than the runs it is compared with.")
        remarks, compare = notes(self.data.frame), not self._context.stand_in
        grid = layout(self._table, self.data.frame, self._title, tuple(legend), remarks, compare=compare)
        marks = {NEAR: self._statistics.near, ELSEWHERE: self.data.elsewhere}
        cells = [[(row.run or "", column.pair or "") for column in self._table.columns] for row in self._table.rows]
        signs = [["".join(sign for sign, marked in marks.items() if cell in marked) for cell in row] for row in cells]
        rows = zip(grid.rows, signs, strict=True)
        marked = (replace(row, cells=tuple(map(_marked, row.cells, row_signs))) for row, row_signs in rows)
        return replace(grid, number="Pairs", rows=tuple(marked))

    def _methods(self, statistics: LeaderboardStatistics) -> pd.DataFrame:
        """The statistics of all methods, and the parts of `Effort` in which some differ from the plain student."""
        lines = statistics.methods
        efforts = [{**self.data.effort(method)} for method in lines["method"]]
        # As objects, because a column of whole numbers with gaps would become one of fractions.
        columns = {part: [effort[part] for effort in efforts] for part in self.data.differing}
        return lines.assign(**{part: pd.Series(column, lines.index, dtype=object) for part, column in columns.items()})

    def _pairs(self, statistics: LeaderboardStatistics) -> pd.DataFrame:
        """The statistics of all pairs, and how many runs were made elsewhere than those they are compared with."""
        cells = zip(statistics.pairs["method"], statistics.pairs["pair"], strict=True)
        found = map(self.data.elsewhere.get, cells)
        return statistics.pairs.assign(elsewhere=[one.seeds if one else 0 for one in found])

    def _csv(self, part: Callable[[LeaderboardStatistics], pd.DataFrame]) -> str:
        parts = [
            part(self.data.statistics(key, selection)).assign(metric=key, epoch=selection)
            for selection in SELECTIONS
            for key in METRICS
        ]
        frame = pd.concat(parts, ignore_index=True).set_index(["metric", "epoch"]).reset_index()
        return csvfile.written(frame.round(_DECIMALS))


@dataclass(frozen=True, eq=False)
class Page(Document):
    """All profiles and the paper's printed numbers as one HTML file.

    Attributes:
        profiles: the numbers of each profile that has runs; the page opens with the first. At least one where the table
            holds no printed values.
        table: methods and pairs with the printed values.
        changed: the context of the only profile if the user changed its runs; None for the page of all profiles.
    """

    folder: ClassVar[str] = Leaderboard.folder

    profiles: Sequence[LeaderboardData]
    table: Table
    changed: Context | None = None

    def place(self, results: Path) -> Path:
        """The page of all profiles is in the folder above theirs."""
        return super().place(results) if self.changed else results.parent

    def page_data(self) -> dict[str, Any]:
        """The data that the page shows."""
        boards = [*map(measured, self.profiles), *([printed(self.table)] if self.table.prints else [])]
        numbers = published_data.published(self.table)
        page_data: dict[str, Any] = visible_in(
            {"title": self.table.title, "opens_with": boards[0]["name"], "boards": boards, "published": numbers}
        )
        return page_data

    def forms(self) -> Mapping[str, str]:
        """The page."""
        # One page holds every selection.
        stem = replace(self.changed, selection=LAST).stem(self.table.stem) if self.changed else self.table.stem
        return {f"{stem}.html": page.render(self.page_data())}

    def view(self, selected: Table, context: Context) -> str | None:
        """The hash of the page's address that shows some methods and pairs of one profile.

        Args:
            selected: the methods and pairs.
            context: the context of the profile.

        Returns:
            None where the page does not have them.
        """
        methods, all_methods = ([name for name in table.methods if name != TEACHER] for table in (selected, self.table))
        boards = [board_name(data.context) for data in self.profiles]
        if selected.stem != self.table.stem or board_name(context) not in boards:
            return None
        # templates/state.js reads these fields.
        fields = [("board", board_name(context))]
        fields += [("epoch", context.selection)] if context.selection != LAST else []
        fields += [("method", name) for name in methods] if len(methods) < len(all_methods) else []
        return urlencode([*fields, *(("pair", pair) for pair in selected.pairs)], safe=":")

    def print(self, console: Console) -> None:
        """Print nothing: the page is for a browser."""


_DECIMALS = 4
_TIE_DECIMALS = 9
"""Average ranks that agree to that many decimals share a place."""


def _gain(baseline: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of mean gains with their intervals, if there are any: ``+0.70 (+0.10 to +1.30)``."""
    name = f"gain_{baseline}"

    def show(line: Mapping[str, Any]) -> str:
        if _unknown(line[name]) or line["method"] == BASELINES[baseline]:
            return _NONE
        ends = [line[f"{name}_{end}"] for end in ("low", "high")]
        interval = "" if any(map(_unknown, ends)) else f" ({' to '.join(signed(end, 2) for end in ends)})"
        return f"{signed(line[name], 2)}{interval}"

    return show


def _results(line: Mapping[str, Any]) -> str:
    counts = [line[name] for name in ("wins", "ties", "losses")]
    return _NONE if any(map(_unknown, counts)) or line["method"] == KD else "/".join(map(str, counts))


def _plain(value: Any) -> str:
    return _NONE if _unknown(value) else str(value)


def _unknown(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


_RANK = "Average rank"
"""Holds a few words on the reason where a method has no rank."""

_COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "#": lambda line: f"{line['place']:.0f}" if line["ranked"] else _NONE,
    "Method": lambda line: line["title"],
    _RANK: lambda line: line["word"] if _unknown(line["average_rank"]) else f"{line['average_rank']:.2f}",
    "Gain over student": _gain("student"),
    "Gain over KD": _gain("kd"),
    "Gap closed": lambda line: _NONE if _unknown(line["gap_closed"]) else f"{signed(100 * line['gap_closed'], 0)} %",
    "W/T/L vs KD": _results,
    "Epochs": lambda line: _plain(line["epochs"]),
    "Views": lambda line: _plain(line["views"]),
    "Passes": lambda line: _plain(line["passes"]),
    "Step time": lambda line: _NONE if _unknown(line["relative"]) else f"{line['relative']:.2f}×",
    "Extra parameters": lambda line: _NONE if _unknown(line["extra_parameters"]) else f"{line['extra_parameters']:,}",
    "Pairs": lambda line: str(line["pairs"]),
}
"""The columns of the ranking: title, and the text of a line."""

_EFFORT = {"Epochs": "epochs", "Views": "views", "Passes": "passes"}
"""Titles of columns, and the parts of `Effort` that they show."""
_WIDE = ("Extra parameters", "Pairs", *_EFFORT)
"""Columns that the terminal leaves out."""
_WITH_INTERVALS = ("Gain over student", "Gain over KD")


def _marked(cell: CellText, signs: str) -> CellText:
    return replace(cell, mean=f"{cell.mean}{signs}")
