"""The leaderboard's files: the ranking as Markdown, as CSV and for the terminal, and the page of all boards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from benchmark.report.layout import WORDS, Entry, Grid, layout, signed
from benchmark.report.leaderboard import page
from benchmark.report.leaderboard.data import METRICS, LeaderboardData
from benchmark.report.leaderboard.page_data import measured, name_of, printed
from benchmark.report.leaderboard.statistics.scores import BASELINES, KD
from benchmark.report.leaderboard.statistics.summary import LeaderboardStatistics
from benchmark.report.terminal import shown
from benchmark.runs.metrics import LAST, SELECTIONS
from benchmark.tables.table import TEACHER, Table
from benchmark.text import visible_in

NEAR, ELSEWHERE = "≈", "†"
_NONE = WORDS[MISSING]


@dataclass(frozen=True, eq=False)
class Leaderboard(Document):
    """Who stands where at one scale.

    Attributes:
        board: the numbers.
    """

    folder: ClassVar[str] = "leaderboard"

    board: LeaderboardData

    def forms(self) -> Mapping[str, str]:
        """Markdown, and CSV of the ranking and of all pairs."""
        stem = self._context.stem(self._table.stem)
        return {
            f"{stem}.md": self._markdown(),
            f"{stem}.csv": self._csv(lambda standing: standing.methods),
            f"{stem}-pairs.csv": self._csv(self._pairs),
        }

    def print(self, console: Console) -> None:
        """Show the ranking."""
        console.print(shown(f"Leaderboard. {self._title}", "bold"), highlight=False)
        ranking = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for head in _COLUMNS:
            if head not in _WIDE:
                texts = head == "Method"
                ranking.add_column(head, justify="left" if texts else "right", overflow="fold", no_wrap=head == _RANK)
        for line in self._ranking():
            # Intervals take more room than a terminal has.
            cells = dict(zip(_COLUMNS, line, strict=True))
            cells |= {head: cells[head].partition(" (")[0] for head in _WITH_INTERVALS}
            ranking.add_row(*(shown(cell) for head, cell in cells.items() if head not in _WIDE))
        console.print(ranking, highlight=False)
        for sentence in self._sentences:
            console.print(shown(sentence, "dim"), highlight=False)

    @property
    def _context(self) -> Context:
        return self.board.source.context

    @property
    def _table(self) -> Table:
        return self.board.table

    @property
    def _title(self) -> str:
        changes = f"; {', '.join(self._context.changes)}" if self._context.changes else ""
        return f"{self._table.title} (profile {self._context.profile}{changes})"

    @property
    def _standing(self) -> LeaderboardStatistics:
        return self.board.standing(self._table.defaults.metric or "", self._context.selection)

    @property
    def _sentences(self) -> tuple[str, ...]:
        return (*self._standing.sentences, *self.board.mixtures, *self.board.timing)

    def _ranking(self) -> Iterator[list[str]]:
        """Lines of the table of methods, the best first, those that are not ranked last."""
        ordered = self._standing.methods.sort_values(["ranked", "average_rank"], ascending=[False, True], kind="stable")
        places = ordered["average_rank"].round(_TIE_DECIMALS).rank(method="min")
        for place, method in zip(places, ordered.to_dict("records"), strict=True):
            name = method["method"]
            word = _NONE if method["pairs"] else self.board.lack(name)[0]
            named = {"place": place, "title": self._standing.titles[name], "word": word}
            line: dict[Any, Any] = {**named, **method, **self.board.cost(name)}
            yield [show(line) for show in _COLUMNS.values()]

    def _markdown(self) -> str:
        methods = ([markdown.escape(cell) for cell in line] for line in self._ranking())
        ranking = [*map(markdown.line, (list(_COLUMNS), [":--"] * len(_COLUMNS), *methods))]
        head = f"**Leaderboard.** {markdown.escape(self._title)}"
        sentences = markdown.escape(" ".join(self._sentences))
        return "\n".join([head, "", *ranking, "", sentences, "", markdown.render(self._grid())])

    def _grid(self) -> Grid:
        """The means of all methods on all pairs."""
        legend = (*caption(self.board.frame, self._context), f"{NEAR}: cannot be told from the best of its pair.")
        legend += (f"{ELSEWHERE}: made on another machine than what it is compared with.",) * bool(self.board.elsewhere)
        compare = not self._context.stand_in
        grid = layout(self._table, self.board.frame, self._title, legend, notes(self.board.frame), compare=compare)
        marks = {NEAR: self._standing.near, ELSEWHERE: self.board.elsewhere}
        cells = [[(row.run or "", column.pair or "") for column in self._table.columns] for row in self._table.rows]
        signs = [["".join(sign for sign, of in marks.items() if cell in of) for cell in row] for row in cells]
        rows = zip(grid.rows, signs, strict=True)
        marked = (replace(row, entries=tuple(map(_marked, row.entries, own))) for row, own in rows)
        return replace(grid, number="Pairs", rows=tuple(marked))

    def _pairs(self, standing: LeaderboardStatistics) -> pd.DataFrame:
        """The statistics of all pairs, and how many runs were made elsewhere than those they are compared with."""
        cells = zip(standing.pairs["method"], standing.pairs["pair"], strict=True)
        found = map(self.board.elsewhere.get, cells)
        return standing.pairs.assign(elsewhere=[one.seeds if one else 0 for one in found])

    def _csv(self, part: Callable[[LeaderboardStatistics], pd.DataFrame]) -> str:
        parts = [
            part(self.board.standing(key, selection)).assign(metric=key, epoch=selection)
            for selection in SELECTIONS
            for key in METRICS
        ]
        frame = pd.concat(parts, ignore_index=True).set_index(["metric", "epoch"]).reset_index()
        return csvfile.written(frame.round(_DECIMALS))


@dataclass(frozen=True, eq=False)
class Page(Document):
    """All boards and the paper's printed numbers as one HTML file.

    Attributes:
        boards: at each scale that there are runs of, the one first that the page opens with; at least one where the
            table holds no printed values.
        table: methods and pairs with the printed values.
        changed: how the runs of one profile came about that the user changed something for; None for the page of all.
    """

    folder: ClassVar[str] = Leaderboard.folder

    boards: Sequence[LeaderboardData]
    table: Table
    changed: Context | None = None

    def place(self, results: Path) -> Path:
        """The page of all profiles lies beside their results."""
        return super().place(results) if self.changed else results.parent

    def page_data(self) -> dict[str, Any]:
        """All that the page says."""
        boards = [*map(measured, self.boards), *([printed(self.table)] if self.table.prints else [])]
        page_data: dict[str, Any] = visible_in(
            {"title": self.table.title, "opens_with": boards[0]["name"], "boards": boards}
        )
        return page_data

    def forms(self) -> Mapping[str, str]:
        """The page."""
        # It holds every selection, so no selection has a page of its own.
        stem = replace(self.changed, selection=LAST).stem(self.table.stem) if self.changed else self.table.stem
        return {f"{stem}.html": page.render(self.page_data())}

    def view(self, selected: Table, context: Context) -> str | None:
        """What shows a part of a board alone, as the hash of the page's address.

        Args:
            selected: some of the methods and pairs.
            context: how the board's runs came about.

        Returns:
            None where the page has no such part.
        """
        methods, all_methods = ([name for name in table.methods if name != TEACHER] for table in (selected, self.table))
        boards = [name_of(board.source.context) for board in self.boards]
        if selected.stem != self.table.stem or name_of(context) not in boards:
            return None
        # As templates/state.js reads it.
        fields = [("board", name_of(context))]
        fields += [("epoch", context.selection)] if context.selection != LAST else []
        fields += [("method", name) for name in methods] if len(methods) < len(all_methods) else []
        return urlencode([*fields, *(("pair", pair) for pair in selected.pairs)], safe=":")

    def print(self, console: Console) -> None:
        """A page is for a browser."""


_DECIMALS = 4
_TIE_DECIMALS = 9
"""Average ranks that agree to so many decimals share a place."""


def _gain(baseline: str) -> Callable[[Mapping[str, Any]], str]:
    """``+0.70 (+0.10 to +1.30)``: a mean gain with its interval, if there is one."""
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


def _unknown(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


_RANK = "Average rank"
"""Where a method has none, a few words say why: they stay in one line."""

_COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "#": lambda line: f"{line['place']:.0f}" if line["ranked"] else _NONE,
    "Method": lambda line: line["title"],
    _RANK: lambda line: line["word"] if _unknown(line["average_rank"]) else f"{line['average_rank']:.2f}",
    "Gain over student": _gain("student"),
    "Gain over KD": _gain("kd"),
    "Gap closed": lambda line: _NONE if _unknown(line["gap_closed"]) else f"{signed(100 * line['gap_closed'], 0)} %",
    "W/T/L vs KD": _results,
    "Step time": lambda line: _NONE if _unknown(line["relative"]) else f"{line['relative']:.2f}×",
    "Extra parameters": lambda line: _NONE if _unknown(line["extra_parameters"]) else f"{line['extra_parameters']:,}",
    "Pairs": lambda line: str(line["pairs"]),
}
"""Heads of the ranking, and what stands under each."""

_WIDE = ("Extra parameters", "Pairs")
"""What the terminal leaves out."""
_WITH_INTERVALS = ("Gain over student", "Gain over KD")


def _marked(entry: Entry, signs: str) -> Entry:
    return replace(entry, mean=f"{entry.mean}{signs}")
