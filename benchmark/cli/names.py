"""Finds cells by their names, and runs by their ids or the beginning of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.errors import UserError, unknown
from benchmark.lineage.graph import Node, planned, recorded
from benchmark.lineage.records import Archive
from benchmark.planning.plan import Plan
from benchmark.registry import catalog
from benchmark.runs.job import Job
from benchmark.runs.names import TEACHER, parse_method
from benchmark.runs.store import Store
from benchmark.tables.patterns import chains
from benchmark.tables.table import Cell, Table

EXAMPLE = "table06/wrn-40-4:wrn-16-2/kd"


def begins_id(name: str) -> bool:
    """Whether a name is an id, or the beginning of one, and not that of a cell.

    Raises:
        UserError: it is neither.
    """
    if "/" in name:
        return False
    if not re.fullmatch("[0-9a-f]{1,64}", name):
        raise UserError(f"'{name}' is neither a cell, like {EXAMPLE}, nor the beginning of a run's id")
    return True


def find_cells(name: str, tables: Sequence[Table]) -> tuple[Table, list[Cell]]:
    """Find all cells that a name fits, and their table, extended by the method or chain of teachers that it lacks.

    Args:
        name: ``TABLE/TEACHER:STUDENT/METHOD``, then the recipe of a probe, a metric, both or neither.
        tables: to look in.

    Raises:
        UserError: a part is missing or unknown.
    """
    table_name, *parts = _parts(name)
    by_name = {table.name: table for table in tables}
    if table_name not in by_name:
        raise unknown("table", table_name, by_name)
    if len(parts) < 2:
        raise UserError(f"'{name}' is no cell yet: write TABLE/TEACHER:STUDENT/METHOD, like {EXAMPLE}")
    text, method, *rest = parts
    table = by_name[table_name].with_chains([text])
    pair = next(iter(chains([text])), text)
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


def _parts(name: str) -> list[str]:
    """The words of a cell's name between slashes; the names of a package's networks, as ``timm/NAME``, have one too."""
    table, _, rest = name.partition("/")
    teacher, colon, after = rest.partition(":")
    words = after.split("/")
    of_student = 2 if "/".join(words[:2]) in catalog.networks() else 1
    return [table, *filter(None, [f"{teacher}{colon}{'/'.join(words[:of_student])}"]), *words[of_student:]]


def split_seed(name: str) -> tuple[str, int | None]:
    """A cell's name without ``/seedN`` at its end, and N."""
    match = re.fullmatch(r"(.*)/seed(\d+)", name)
    return (match[1], int(match[2])) if match else (name, None)


@dataclass(frozen=True)
class Lookup:
    """Finds cells and runs by the names that a person gives them.

    Attributes:
        tables: to look in.
        seeds: the wanted ones.
        store: where the records lie.
        make_plan: plans tables over seeds.
    """

    tables: Sequence[Table]
    seeds: Sequence[int]
    store: Store
    make_plan: Callable[[Sequence[Table], Sequence[int]], Plan]

    def plan(self, tables: Sequence[Table]) -> Plan:
        """The plan of tables over the wanted seeds and those of the default, the wanted ones first."""
        return self.make_plan(tables, list(dict.fromkeys([*self.seeds, *DEFAULT_SEEDS])))

    def jobs(self, cell: Cell, plan: Plan) -> list[Job]:
        """A cell's jobs of the wanted seeds and of those that have records, by seed."""
        jobs = (job for job in plan.cells[cell.key] if job.seed in self.seeds or job.id in plan.records)
        found = plan.cells[cell.key] if cell.method == TEACHER else jobs
        return sorted(found, key=lambda job: job.seed)

    def run(self, name: str, plan: Plan) -> Node:
        """The one job of the plan or the records whose id begins with a name.

        Raises:
            UserError: there is none, or there are several.
        """
        found = {known.id: recorded(known) for known in Archive(self.store.results).beginning(name)}
        found |= {job.id: planned(job, plan, self.store) for job in plan.jobs if job.id.startswith(name)}
        if len(found) > 1:
            ids = ", ".join(sorted(found))
            raise UserError(f"several ids begin with '{name}': give more of it. They are {ids}")
        if not found:
            advice = "name its profile or its cell, or give --methods, --table and the like as you gave them to --plan"
            folder = self.store.results.name
            raise UserError(f"no run of profile {folder} has an id that begins with '{name}': {advice}")
        return next(iter(found.values()))
