"""Make a plan: expand tables into jobs, look up their records, and group the missing ones into cohorts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmark.config.resolve import ConfigResolver
from benchmark.planning import retrain
from benchmark.planning.cohorts import form_cohorts
from benchmark.planning.estimates import Estimates
from benchmark.planning.expansion import Expansion
from benchmark.planning.plan import CACHED, MISSING, RETRAIN, Plan, seeds_of
from benchmark.planning.retrain import Retraining
from benchmark.planning.schedule import longest_chain_first
from benchmark.runs.job import Job, Run
from benchmark.runs.names import TEACHER, CellKey, MethodName
from benchmark.runs.record import Conditions
from benchmark.runs.store import DONE, FAILED, NOT_APPLICABLE, Record, Store
from benchmark.tables.table import Cell, Table


def make_plan(
    tables: Sequence[Table],
    expansion: Expansion | ConfigResolver,
    seeds: Sequence[int],
    store: Store,
    estimates: Estimates | None = None,
    *,
    retry: bool = False,
    here: Sequence[Conditions] = (),
) -> Plan:
    """Expand tables into jobs, drop duplicates, look up records, and group missing jobs into cohorts.

    Args:
        tables: the selected tables.
        expansion: expands cells into jobs; plans of one command share it. A resolver stands for a new one.
        seeds: seeds of the students; a teacher is one run of seed 0.
        store: holds the records.
        estimates: estimated seconds of cohorts; None if they are not needed.
        retry: whether failed runs are trained again.
        here: conditions of this machine's processes, if records of other machines are to be replaced.
    """
    if isinstance(expansion, ConfigResolver):
        expansion = Expansion(expansion)
    cells, trials, choices = _expand(tables, expansion, seeds, store)
    jobs = _closure([*(job for found in cells.values() for job in found), *trials])
    records = {job.id: record for job in jobs if (record := store.read(job)) is not None}
    states = {job.id: _state(records.get(job.id)) for job in jobs}
    again = _again(tables, cells, jobs, records, here, store) if here else Retraining()
    states |= {job.id: RETRAIN for job in again.why}
    blocked = _blocked(jobs, states, store, retry=retry)
    states |= _blocked_states(blocked, states)
    todo = MISSING, RETRAIN, *([FAILED] if retry else [])
    wanted = _with_lost_weights([job for job in jobs if states[job.id] in todo and job not in blocked], states, store)
    lost = [job for job in jobs if job in wanted and states[job.id] == CACHED]
    states |= {job.id: MISSING for job in lost}
    estimated_seconds = estimates.estimated_seconds if estimates else lambda _: 0.0
    cohorts = longest_chain_first(form_cohorts((job for job in jobs if job in wanted), estimated_seconds))
    broken = dict.fromkeys(job for job in blocked.values() if states[job.id] == FAILED)
    retrained = again.remarks([job for job in again.why if states[job.id] == RETRAIN], here) if here else ()
    remarks = (*retrained, *map(_blocked_remark, broken), *_lost_remarks(lost, jobs, store))
    return Plan(tuple(tables), jobs, cells, records, states, cohorts, remarks, choices, estimates)


def _expand(
    tables: Sequence[Table], expansion: Expansion, seeds: Sequence[int], store: Store
) -> tuple[dict[CellKey, tuple[Job, ...]], list[Run], tuple[str, ...]]:
    """Jobs by cell, the trials of tuned methods, and what these methods chose, as sentences.

    A cell has one job per seed; none while not all of its trials are done.
    """
    cells: dict[CellKey, tuple[Job, ...]] = {}
    all_trials: list[Run] = []
    choices: dict[str, None] = {}
    for table in tables:
        for cell in table.cells:
            method: MethodName | None = cell.method
            if cell.method.tuned is not None:
                trials = expansion.trials(cell)
                all_trials += trials
                best = _best(trials, store)
                method = None if best is None else cell.method.trials[best]
                if method is not None:
                    choices[_choice(cell, trials[0].recipe.holdout, method)] = None
            cells[cell.key] = () if method is None else expansion.jobs(cell, seeds_of(table, seeds), method)
    return cells, all_trials, tuple(choices)


def _best(trials: Sequence[Run], store: Store) -> int | None:
    """Position of the trial with the highest top-1 accuracy, the first of equals; None until all are done."""
    records = [store.read(trial) for trial in trials]
    scores = [record.metrics.last["top1"] for record in records if record and record.status == DONE]
    return scores.index(max(scores)) if len(scores) == len(trials) else None


def _choice(cell: Cell, holdout: int, chosen: MethodName) -> str:
    return (
        f"{cell.method.label} on {cell.pair} is {chosen.label}, the best of {len(cell.method.trials)} on "
        f"{holdout:,} training images held out with seed 0; the teacher had seen them. Test images played no part."
    )


def _closure(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Each job once, after its needs."""
    found: dict[str, Job] = {}

    def add(job: Job) -> None:
        if job.id not in found:
            for need in job.needs:
                add(need)
            found[job.id] = job

    for job in jobs:
        add(job)
    return tuple(found.values())


def _state(record: Record | None) -> str:
    if record is None:
        return MISSING
    return CACHED if record.status == DONE else record.status


def _again(
    tables: Sequence[Table],
    cells: Mapping[CellKey, tuple[Job, ...]],
    jobs: Sequence[Job],
    records: Mapping[str, Record],
    here: Sequence[Conditions],
    store: Store,
) -> Retraining:
    """Jobs of other machines among the students' jobs; teachers stay, because students share them."""
    wanted = [job for table in tables for cell in table.cells if cell.method != TEACHER for job in cells[cell.key]]
    teachers = {job.teacher_job for job in jobs}

    def is_teacher(job: Job) -> bool:
        return job in teachers or store.teacher_path(job).is_file()

    return retrain.find(wanted, jobs, records, here, is_teacher)


def _blocked(jobs: Sequence[Job], states: Mapping[str, str], store: Store, *, retry: bool) -> dict[Job, Job]:
    """Jobs that cannot run, each with the failed or not applicable job that blocks it."""
    ends = {NOT_APPLICABLE} if retry else {NOT_APPLICABLE, FAILED}
    blocked: dict[Job, Job] = {}
    for job in jobs:
        stops = [need for need in job.needs if need in blocked or states[need.id] in ends]
        # A job whose weights are lost may have to run again, and then has needs.
        if stops and (
            states[job.id] in (MISSING, RETRAIN) or (states[job.id] == CACHED and store.weights(job) is None)
        ):
            blocked[job] = blocked.get(stops[-1], stops[-1])
    return {job: end for job, end in blocked.items() if states[job.id] in (MISSING, RETRAIN)}


def _blocked_states(blocked: Mapping[Job, Job], states: Mapping[str, str]) -> dict[str, str]:
    """States of blocked jobs: a record stays, and a job whose need does not apply does not apply."""
    not_applicable = {job.id: NOT_APPLICABLE for job, end in blocked.items() if states[end.id] == NOT_APPLICABLE}
    return not_applicable | {job.id: CACHED for job in blocked if states[job.id] == RETRAIN}


def _with_lost_weights(wanted: Sequence[Job], states: Mapping[str, str], store: Store) -> set[Job]:
    """The wanted jobs and, recursively, needs that have a record but no weights."""
    found, waiting = set(wanted), list(wanted)
    while waiting:
        for need in waiting.pop().needs:
            if need not in found and states[need.id] == CACHED and store.weights(need) is None:
                found.add(need)
                waiting.append(need)
    return found


def _blocked_remark(job: Job) -> str:
    return f"{job} failed, so jobs that need it are blocked: --retry-failed trains it again"


def _lost_remarks(lost: Iterable[Job], jobs: Iterable[Job], store: Store) -> Iterator[str]:
    teachers = {job.teacher_job for job in jobs}
    for job in lost:
        kept = job in teachers or job.teacher_job is None
        advice = f"; to avoid that, put its weights at {store.teacher_path(job)}" if kept else ""
        yield f"{job}: its record is here, its weights are not, and missing jobs need them. It is trained again{advice}"
