"""Published numbers of the leaderboard's pairs and methods, in the form of JSON.

They stand beside the project's own numbers and enter none of its means, ranks or tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.config import overrides
from benchmark.tables.published import SUITES, Overstatement, PublishedNumber, by_method, load, overstatement
from benchmark.tables.table import Table

FIELDS = ("method", "pair", "suite", "printed", "top1", "std", "selection", "source", "year")
"""The fields of a row, in order."""


def published(table: Table) -> dict[str, Any]:
    """The rows of a table's methods on its pairs, with the suites that they belong to.

    A pair has the rows whose data set is that of its recipe. A table without the paper's data has no rows.
    """
    numbers = load()
    rows = sorted(_rows(table, numbers), key=lambda row: [*SUITES].index(row[2])) if table.prints else []
    named = {row[2] for row in rows}
    found = overstatement(numbers)
    return {
        "suites": [{"id": name, "title": suite.title} for name, suite in SUITES.items() if name in named],
        "fields": list(FIELDS),
        "rows": rows,
        "note": sentence(found) if found else "",
    }


def _rows(table: Table, numbers: tuple[PublishedNumber, ...]) -> Iterator[list[Any]]:
    """The rows by pair, and within a pair in the table's order of methods."""
    groups = by_method(numbers)
    for column in table.columns:
        dataset = overrides.load_recipe(column.recipe or table.recipe).values["dataset"]
        for row in table.rows:
            for number in groups.get(row.run, ()) if row.run else ():
                if number.pair == column.pair and SUITES[number.suite].dataset == dataset:
                    yield [row.run, column.pair, *(getattr(number, field) for field in FIELDS[2:])]


def sentence(found: Overstatement) -> str:
    """How much a best epoch is above the last one, in words."""
    low, high = (f"{mean:.2f}" for mean in found.means)
    return (
        f"In {found.logs} public logs that state both, the best epoch is {low} to {high} points above the last on "
        f"average, by method, and up to {found.largest:.1f}: as much as most gains that are claimed."
    )
