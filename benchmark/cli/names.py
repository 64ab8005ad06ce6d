"""What people call numbers and runs: a cell by its name, a run by its id or the beginning of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from benchmark.errors import UserError, unknown
from benchmark.runs.objective import parse_method
from benchmark.tables.table import TEACHER, Cell, Table

SHORTEST_ID = 6
EXAMPLE = "table06/wrn-40-4:wrn-16-2/kd"


def begins_id(name: str) -> bool:
    """Whether a name is (the beginning of) an id rather than that of a cell.

    Raises:
        UserError: it is neither.
    """
    if "/" in name:
        return False
    if not re.fullmatch("[0-9a-f]{1,64}", name):
        raise UserError(f"'{name}' is neither a cell, like {EXAMPLE}, nor the beginning of a run's id")
    if len(name) < SHORTEST_ID:
        raise UserError(f"'{name}' is too short for an id: give at least {SHORTEST_ID} characters of it")
    return True


def find_cells(name: str, tables: Sequence[Table]) -> tuple[Table, list[Cell]]:
    """The cells that a name means, and their table, with a method that was added to it where the name asks for one.

    Args:
        name: ``TABLE/TEACHER:STUDENT/METHOD``, then the recipe of a probe, a metric, both or neither; all cells that
            agree are meant.
        tables: to look in.

    Raises:
        UserError: a part is missing or unknown.
    """
    table_name, *parts = name.split("/")
    by_name = {table.name: table for table in tables}
    if table_name not in by_name:
        raise unknown("table", table_name, by_name)
    if len(parts) < 2:
        raise UserError(f"'{name}' is no cell yet: write TABLE/TEACHER:STUDENT/METHOD, like {EXAMPLE}")
    table, (pair, method, *rest) = by_name[table_name], parts
    if pair not in table.pairs:
        raise unknown(f"pair of {table.name}", pair, table.pairs)
    asked = method if method == TEACHER else parse_method(method)
    whole = table.extended([asked])
    of_pair = [cell for cell in whole.cells if cell.pair == pair]
    found = [cell for cell in of_pair if cell.method == asked]
    if not found:
        raise unknown(f"method on {pair} in {table.name}", asked, {cell.method for cell in of_pair})
    for part in rest:
        known = {word for cell in found for word in (cell.probe, cell.metric) if word}
        if part not in known:
            raise unknown(f"metric of {table.name}/{pair}/{asked}", part, known)
        found = [cell for cell in found if part in (cell.probe, cell.metric)]
    return whole, found


def split_seed(name: str) -> tuple[str, int | None]:
    """A cell's name without ``/seedN`` at its end, and N."""
    match = re.fullmatch(r"(.*)/seed(\d+)", name)
    return (match[1], int(match[2])) if match else (name, None)


def ambiguous(name: str, ids: Iterable[str]) -> UserError:
    """The error of an id's beginning that several runs share."""
    return UserError(f"several ids begin with '{name}': give more of it. They are {', '.join(sorted(ids))}")
