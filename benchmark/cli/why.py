"""``--why NAME``: what lies behind a cell's number, or a run: records, recipe, code, data, teacher, first stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.cli import messages
from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.cli.commands import DONE, Say
from benchmark.cli.names import ambiguous, begins_id, find_cells
from benchmark.cli.session import Session
from benchmark.errors import UserError
from benchmark.lineage.graph import Node, chain, finder, planned, recorded
from benchmark.lineage.records import Archive
from benchmark.planning.plan import Plan
from benchmark.report import why
from benchmark.report.aggregate import aggregate
from benchmark.report.mixtures import comparisons, elsewhere
from benchmark.report.why import Section
from benchmark.runs.job import Job
from benchmark.tables.table import TEACHER, Cell, Table


def run(session: Session, say: Say) -> int:
    """Tell of one cell, or one run.

    Raises:
        UserError: the name means nothing, or several runs.
    """
    name = session.options.why
    sections = _of_run(name, session) if begins_id(name) else _of_cells(name, session)
    say(messages.profile_line(session))
    why.show(sections, messages.console())
    return DONE


def plan_of(tables: Sequence[Table], session: Session) -> Plan:
    """The plan of tables over the wanted seeds and those of the default, the wanted ones first."""
    return session.plan(tables, list(dict.fromkeys([*session.options.seeds, *DEFAULT_SEEDS])))


def jobs_of(cell: Cell, plan: Plan, session: Session) -> list[Job]:
    """A cell's jobs of the wanted seeds, and of others those that there are records of, by seed."""
    wanted = session.options.seeds
    jobs = (job for job in plan.cells[cell.key] if job.seed in wanted or job.id in plan.records)
    found = plan.cells[cell.key] if cell.method == TEACHER else jobs
    return sorted(found, key=lambda job: job.seed)


def find_run(name: str, plan: Plan, session: Session) -> Node:
    """The one job whose id begins so, from the plan or the records.

    Raises:
        UserError: there is none, or there are several.
    """
    store = session.store
    found = {known.id: recorded(known) for known in Archive(store.results).beginning(name)}
    found |= {job.id: planned(job, plan, store) for job in plan.jobs if job.id.startswith(name)}
    if len(found) > 1:
        raise ambiguous(name, found)
    if not found:
        elsewhere = next(_elsewhere(name, session), None)
        advice = "name its cell, or give --methods, --table and the like as you gave them to --plan"
        hint = f"there is one in {elsewhere}: name its profile" if elsewhere else advice
        raise UserError(f"no run of profile {session.resolver.folder} has an id that begins with '{name}': {hint}")
    return next(iter(found.values()))


def _elsewhere(name: str, session: Session) -> Iterator[str]:
    for folder in sorted(session.options.results.glob("*/records")):
        for known in Archive(folder.parent).beginning(name):
            yield messages.short(known.path)


def _of_cells(name: str, session: Session) -> list[Section]:
    table, cells = find_cells(name, session.whole_tables)
    plan = plan_of([table], session)
    jobs = {cell.key: tuple(jobs_of(cell, plan, session)) for cell in cells}
    records = replace(plan, cells=jobs).records_by_cell
    frame = aggregate(table, records, session.options.selection).set_index("cell", drop=False)
    compared = comparisons(table.cells, plan.records_by_cell, plan.records)

    def head(cell: Cell) -> Section:
        number, odd = frame.loc[cell.key].to_dict(), elsewhere(compared, cell)
        return why.of_cell(table, number, session.options.selection, stand_in=session.resolver.stand_in, elsewhere=odd)

    starts = ([planned(job, plan, session.store) for job in found] for found in jobs.values() if found)
    return [*map(head, cells), *why.of_groups(chain(starts, finder(plan, session.store)), messages.short)]


def _of_run(name: str, session: Session) -> list[Section]:
    plan = plan_of(session.whole_tables, session)
    node = find_run(name, plan, session)
    cells = [cell for cell, jobs in plan.cells.items() if any(job.id == node.id for job in jobs)]
    head = why.Section(node.id, (("stands in", ", ".join(cells) or "no table"),))
    return [head, *why.of_groups(chain([[node]], finder(plan, session.store)), messages.short)]
