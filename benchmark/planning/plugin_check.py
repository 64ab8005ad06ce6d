"""Check drafts and plug-ins before anything is trained with them.

A process (`benchmark.training.plugin_check`) builds each method or network for a planned pair and trains it for a few
steps on small batches. What passes is kept by the hash of its code. Settled methods and networks of the project are
not checked: tests hold them to more than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.ids import digest
from benchmark.planning.check_process import Question, checked
from benchmark.planning.plan import CACHED, Plan
from benchmark.registry import catalog
from benchmark.runs.job import Job, Run
from benchmark.runs.objective import Term

VERSION = 2
"""Raised when the check becomes stricter: what passed before is then checked again."""


@dataclass(frozen=True)
class Subject:
    """A method or network to check.

    Attributes:
        title: its name in messages.
        path: its file.
        term: the method with its options; None for a network.
        jobs: that need it, one for each pair of networks; a method is checked on the first to which it applies.
        key: digest of everything that decides the outcome.
    """

    title: str
    path: Path
    term: Term | None
    jobs: tuple[Job, ...]
    key: str


def check(plan: Plan, checkpoints: Path, say: Callable[[str], None]) -> None:
    """Check the drafts and plug-ins that a plan trains for the first time.

    Args:
        plan: its missing jobs are checked, unless it has results with the same code.
        checkpoints: folder of checkpoints, where it is kept what passed.
        say: called with a line before a check and for each remark.

    Raises:
        UserError: something breaks the contract: a line each.
    """
    due = [job for cohort in plan.cohorts for job in cohort.runs]
    proven = {subject.key for subject in subjects(job for job in plan.jobs if plan.states[job.id] == CACHED)}
    questions = {
        subject.key: Question(subject.title, f"{subject.title} of {subject.path}", subject)
        for subject in subjects(due)
        if subject.key not in proven
    }
    for report in checked("benchmark.training.plugin_check", questions, checkpoints / "checks", say).values():
        for remark in report.remarks:
            say(remark)


def subjects(jobs: Iterable[Job]) -> list[Subject]:
    """The drafts and plug-ins that some jobs train or train with."""
    found: dict[str, Subject] = {}
    for job in jobs:
        for subject in _subjects_of(job):
            known = found.setdefault(subject.key, subject)
            if all(job.pair != other.pair for other in known.jobs):
                found[subject.key] = replace(known, jobs=(*known.jobs, job))
    return list(found.values())


def _subjects_of(job: Job) -> Iterator[Subject]:
    network, recipe = catalog.networks().get(job.network), job.recipe
    if network is not None and network.path is not None:
        made = {"network": job.network, "code": network.code, "in_size": recipe.in_size, "width": recipe.width}
        yield Subject(f"network '{job.network}'", network.path, None, (), _key(made))
    for term in job.objective.terms if isinstance(job, Run) else ():
        if term.sha256:
            made = {"method": term.name, "code": term.sha256, "options": dict(term.options)}
            yield Subject(f"method '{term.title}'", catalog.method(term.name).path, term, (), _key(made))


def _key(made: dict[str, object]) -> str:
    return digest({"version": VERSION, **made})
