"""The jobs that a number rests on, and the jobs that these needed, from specs and records alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmark.lineage.records import Archive, StoredRecord
from benchmark.planning.cohorts import NOUNS
from benchmark.planning.plan import Plan
from benchmark.runs.job import Job
from benchmark.runs.record import Record
from benchmark.runs.store import Store

_TEACHER = "the teacher"
_ROLES: Mapping[str, str] = MappingProxyType(
    {"subject": "what was analysed", "base": "the frozen network", "teacher": _TEACHER, "stages": "first stages"}
)
"""The parts of a spec that name needed jobs, and the role of these jobs."""


@dataclass(frozen=True)
class Node:
    """A job, finished or not.

    Attributes:
        id: id of the job.
        spec: the job's spec; empty if neither plan nor record has it.
        path: path of its record, existing or not; None if unknown.
        record: its record, or None.
    """

    id: str
    spec: Mapping[str, Any]
    path: Path | None
    record: Record | None

    @property
    def state(self) -> str:
        """The record's status, or ``missing``."""
        return self.record.status if self.record else "missing"

    @property
    def kind(self) -> str:
        """``train``, ``stage``, ``evaluate``, ``probe`` or ``analyse``; empty if the spec is unknown."""
        return str(self.spec.get("kind", ""))

    @property
    def network(self) -> str:
        """Registry name of its network."""
        return str(self.spec.get("network", ""))


@dataclass(frozen=True)
class Group:
    """Jobs with the same role.

    Attributes:
        role: what they are to the jobs that need them.
        nodes: one job per seed, or several pretraining stages.
    """

    role: str
    nodes: tuple[Node, ...]

    def facts(self, part: str) -> list[Any]:
        """The distinct values of a part of the specs."""
        return distinct(node.spec.get(part) for node in self.nodes)

    def provenance(self, part: str) -> list[Any]:
        """The distinct values of a part of the records' provenance."""
        return distinct(getattr(node.record.provenance, part) for node in self.nodes if node.record)


Find = Callable[[str], Node]


def finder(plan: Plan, store: Store) -> Find:
    """A function that finds a job by its id in a plan or, failing that, among the records."""
    jobs, archive = {job.id: job for job in plan.jobs}, Archive(store.results)

    def find(job_id: str) -> Node:
        if job_id in jobs:
            return planned(jobs[job_id], plan, store)
        known = archive.beginning(job_id)
        return recorded(known[0]) if known else Node(job_id, {}, None, None)

    return find


def planned(job: Job, plan: Plan, store: Store) -> Node:
    """The node of a job in a plan."""
    return Node(job.id, job.spec, store.record_path(job), plan.records.get(job.id))


def recorded(known: StoredRecord) -> Node:
    """The node of a stored record."""
    return Node(known.id, known.record.spec, known.path, known.record)


def chain(starts: Iterable[Sequence[Node]], find: Find) -> list[Group]:
    """Groups of jobs and, recursively, the groups that they need; each job once.

    Args:
        starts: groups of jobs of one kind, one per seed.
        find: finds a job by its id.
    """
    groups: list[Group] = []
    seen: set[str] = set()
    for start in starts:
        waiting = [Group(NOUNS.get(start[0].kind, "job"), tuple(start))]
        for group in waiting:  # grows during the loop
            fresh = tuple(node for node in group.nodes if node.id not in seen)
            seen.update(node.id for node in fresh)
            if fresh:
                groups.append(Group(group.role, fresh))
                needed = ((_role(group.role, role), distinct(_needed(fresh, part))) for part, role in _ROLES.items())
                waiting += [Group(role, tuple(map(find, ids))) for role, ids in needed]
    return groups


def objective_text(objective: Mapping[str, Any]) -> str:
    """A spec's objective in words: ``0.1 * cross-entropy + 0.9 * kd[temperature=2] (revision=1)``."""
    return " + ".join([f"{objective['ce']:g} * cross-entropy", *_terms(objective["terms"])])


def values_text(values: Mapping[str, Any]) -> str:
    """Keys and values as typed after ``--set``, without the name."""
    return ", ".join(f"{key}={_value(value)}" for key, value in values.items() if key != "name")


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order of appearance, without None."""
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return found


def _role(of: str, role: str) -> str:
    """The role of jobs that others of a role needed: in a chain, ``the teacher's teacher``."""
    return f"{of}'s {role.removeprefix('the ')}" if of.startswith(_TEACHER) else role


def _needed(nodes: Iterable[Node], part: str) -> Iterator[str]:
    for node in nodes:
        named = node.spec.get(part) or ()
        yield from [named["id"]] if isinstance(named, Mapping) else named


def _terms(terms: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, term in terms.items():
        options = f"[{values_text(term['options'])}]" if term["options"] else ""
        code = values_text({key: value for key, value in term.items() if key not in ("weight", "options")})
        yield f"{term['weight']:g} * {name}{options} ({code})"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
