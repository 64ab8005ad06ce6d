"""Make a plan: expand tables into jobs, look up their records, and group the missing ones into cohorts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.config.resolve import ConfigResolver, TeacherChoice
from benchmark.planning import retrain
from benchmark.planning.estimates import Estimates
from benchmark.planning.packing import longest_chain_first
from benchmark.planning.plan import CACHED, MISSING, RETRAIN, Cohort, Plan
from benchmark.planning.retrain import Retraining
from benchmark.runs.job import Job
from benchmark.runs.metrics import metric
from benchmark.runs.names import TEACHER, CellKey, MethodName
from benchmark.runs.record import Conditions
from benchmark.runs.store import DONE, FAILED, NOT_APPLICABLE, Record, Store
from benchmark.tables.table import Cell, Table


def make_plan(
    tables: Sequence[Table],
    resolver: ConfigResolver,
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
        resolver: recipes at the scale of the profile.
        seeds: seeds of the students; a teacher is one run of seed 0.
        store: holds the records.
        estimates: estimated seconds of cohorts; None if they are not needed.
        retry: whether failed runs are trained again.
        here: conditions of this machine's processes, if records of other machines are to be replaced.
    """
    expansion = _Expansion(resolver, store)
    cells = {cell.key: expansion.jobs(cell, _seeds(table, seeds)) for table in tables for cell in table.cells}
    jobs = _closure([*(job for found in cells.values() for job in found), *expansion.trials])
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
    cohorts = _cohorts([job for job in jobs if job in wanted], estimates)
    broken = dict.fromkeys(job for job in blocked.values() if states[job.id] == FAILED)
    retrained = again.remarks([job for job in again.why if states[job.id] == RETRAIN], here) if here else ()
    remarks = (*retrained, *map(_blocked_remark, broken), *(_lost_remark(job, store) for job in lost))
    choices = tuple(dict.fromkeys(expansion.choices))
    return Plan(tuple(tables), jobs, cells, records, states, cohorts, remarks, choices, estimates)


def _seeds(table: Table, seeds: Sequence[int]) -> Sequence[int]:
    """The seeds of a table; a figure shows one run per panel."""
    return seeds[:1] if table.kind == "figure" else seeds


class _Expansion:
    """Expands cells into jobs.

    Args:
        resolver: recipes at the scale of the profile.
        store: holds the records of trials.
    """

    def __init__(self, resolver: ConfigResolver, store: Store) -> None:
        self._resolver = resolver
        self._store = store
        self.trials: list[Job] = []
        self.choices: list[str] = []

    def jobs(self, cell: Cell, seeds: Sequence[int]) -> tuple[Job, ...]:
        """The jobs whose records hold a cell's number, one per seed; empty while its tuned objective is not chosen."""
        resolver, teacher = self._resolver, TeacherChoice(cell.teacher_recipe, cell.pair.teacher)
        found: list[Job]
        if cell.method == TEACHER:
            found = [resolver.teacher(teacher)]
        elif (method := self._objective_of(cell, teacher)) is None:
            return ()
        else:
            runs = [resolver.run(cell.recipe, cell.pair.student, method, teacher, seed) for seed in seeds]
            found = [resolver.probe(cell.probe, run) for run in runs] if cell.probe else [*runs]
        measure = metric(cell.metric).measure
        return tuple(resolver.analysis(measure, job, teacher) for job in found) if measure else tuple(found)

    def _objective_of(self, cell: Cell, teacher: TeacherChoice) -> MethodName | None:
        """The objective of a cell; of a tuned one the best trial's, or None until all trials are done."""
        method = cell.method
        if method.tuned is None:
            return method
        trials = self._resolver.trials(cell.recipe, cell.pair.student, method, teacher)
        self.trials += trials
        records = [self._store.read(trial) for trial in trials]
        scores = [record.metrics.last["top1"] for record in records if record and record.status == DONE]
        if len(scores) < len(trials):
            return None
        best = max(range(len(trials)), key=lambda index: (scores[index], -index))
        self.choices.append(_choice(cell, method, trials[best].recipe.holdout, method.trials[best]))
        return method.trials[best]


def _choice(cell: Cell, method: MethodName, holdout: int, chosen: MethodName) -> str:
    return (
        f"{method.label} on {cell.pair} is {chosen.label}, the best of {len(method.trials)} on "
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
        # A job whose weights are lost may have to run again, and then has needs.
        if states[job.id] in (MISSING, RETRAIN) or (states[job.id] == CACHED and store.weights(job) is None):
            for need in job.needs:
                if need in blocked or states[need.id] in ends:
                    blocked[job] = blocked.get(need, need)
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


def _lost_remark(job: Job, store: Store) -> str:
    advice = f"; to avoid that, put its weights at {store.teacher_path(job)}" if job.teacher_job is None else ""
    return f"{job}: its record is here, its weights are not, and missing jobs need them. It is trained again{advice}"


def _cohorts(jobs: Sequence[Job], estimates: Estimates | None) -> tuple[Cohort, ...]:
    """Group jobs into cohorts; the cohort with the longest chain of followers comes first."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.cohort_key, []).append(job)
    estimated_seconds = estimates.estimated_seconds if estimates else lambda _: 0.0
    return longest_chain_first([Cohort(tuple(members), estimated_seconds(members)) for members in groups.values()])
