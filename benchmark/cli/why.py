"""``why``: what a cell's number, or a run, rests on: records, recipe, code, data, teacher, first stages."""

from __future__ import annotations

from dataclasses import replace

from benchmark.cli import OK, Say, messages
from benchmark.cli.names import Lookup, begins_id, find_cells
from benchmark.cli.session import Session
from benchmark.lineage.graph import chain, finder, planned
from benchmark.report import explanation
from benchmark.report.aggregate import aggregate
from benchmark.report.explanation import Section
from benchmark.report.mixed_conditions import comparisons, elsewhere
from benchmark.tables.table import Cell


def run(session: Session, _say: Say) -> int:
    """Print what a cell, or a run named by the beginning of its id, rests on.

    Raises:
        UserError: the name fits nothing, or several runs.
    """
    name, lookup, selection = session.options.cell, session.lookup, session.options.selection
    if begins_id(name):
        sections = _of_run(name, lookup)
    else:
        sections = _of_cells(name, lookup, selection, stand_in=session.resolver.stand_in)
    explanation.show(sections, messages.console())
    return OK


def _of_cells(name: str, lookup: Lookup, selection: str, *, stand_in: bool) -> list[Section]:
    table, cells = find_cells(name, lookup.tables)
    plan = lookup.plan([table])
    jobs = {cell.key: tuple(lookup.jobs(cell, plan)) for cell in cells}
    records = replace(plan, cells=jobs).records_by_cell
    frame = aggregate(table, records, selection).set_index("cell", drop=False)
    compared = comparisons(table.cells, plan.records_by_cell, plan.records)

    def head(cell: Cell) -> Section:
        number, odd = frame.loc[cell.key].to_dict(), elsewhere(compared, cell)
        return explanation.of_cell(table, number, selection, stand_in=stand_in, elsewhere=odd)

    starts = ([planned(job, plan, lookup.store) for job in found] for found in jobs.values() if found)
    return [*map(head, cells), *explanation.of_groups(chain(starts, finder(plan, lookup.store)), messages.short)]


def _of_run(name: str, lookup: Lookup) -> list[Section]:
    plan = lookup.plan(lookup.tables)
    node = lookup.run(name, plan)
    cells = [cell for cell, jobs in plan.cells.items() if any(job.id == node.id for job in jobs)]
    head = explanation.Section(node.id, (("stands in", ", ".join(cells) or "no table"),))
    return [head, *explanation.of_groups(chain([[node]], finder(plan, lookup.store)), messages.short)]
