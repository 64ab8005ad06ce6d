"""What one's own methods and networks must do, checked before anything is trained.

Drafts and plug-ins are new: no test has seen them. Each is built for one of its planned pairs and takes one small
batch, in a process that may import torch (`benchmark.training.plugin_check`). What passed is remembered by its code.
Methods and networks of the project that are settled need no check: the tests hold them to more than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError
from benchmark.files import write_atomically
from benchmark.ids import digest
from benchmark.planning import torch_process
from benchmark.planning.plan import CACHED, Plan
from benchmark.registry import catalog
from benchmark.runs.job import Job, Run
from benchmark.runs.objective import Term
from benchmark.text import visible

VERSION = 2
"""Raised when more is asked for: what passed before is then checked again."""


@dataclass(frozen=True)
class Subject:
    """What is to be checked.

    Attributes:
        title: what to call it.
        path: its file.
        term: the method with its options; None for a network.
        jobs: that need it, one of each pair of networks; a method is checked on the first to which it can be applied.
        key: what a check that was passed is remembered by.
    """

    title: str
    path: Path
    term: Term | None
    jobs: tuple[Job, ...]
    key: str


def check(plan: Plan, checkpoints: Path, say: Callable[[str], None]) -> None:
    """See that what a plan is about to train for the first time keeps the contract.

    Args:
        plan: its missing jobs are looked at; methods of which it has results have passed.
        checkpoints: the folder in which it is remembered what passed.
        say: told what takes time.

    Raises:
        UserError: something breaks the contract: a line each.
    """
    due = [job for cohort in plan.cohorts for job in cohort.runs]
    proven = {subject.key for subject in subjects(job for job in plan.jobs if plan.states[job.id] == CACHED)}
    found = [
        subject for subject in subjects(due) if subject.key not in proven and not _mark(subject, checkpoints).exists()
    ]
    if not found:
        return
    say(f"checking {', '.join(dict.fromkeys(subject.title for subject in found))}, once")
    answers = ask(found)
    for answer in answers.values():
        if answer.remark:
            say(answer.remark)
    for subject in found:
        if answers[subject.key].fault == "":
            with suppress(UserError):  # it can be checked where nothing can be written, too
                write_atomically(
                    _mark(subject, checkpoints), visible(f"{subject.title} of {subject.path} passed\n").encode()
                )
    if faults := [answer.fault for answer in answers.values() if answer.fault]:
        raise UserError(*faults)


def subjects(jobs: Iterable[Job]) -> list[Subject]:
    """The drafts and plug-ins that some jobs train or train with."""
    found: dict[str, Subject] = {}
    pairs: dict[str, dict[str, Job]] = {}
    for job in jobs:
        for subject in _subjects_of(job):
            found.setdefault(subject.key, subject)
            pairs.setdefault(subject.key, {}).setdefault(job.pair, job)
    return [
        Subject(subject.title, subject.path, subject.term, tuple(pairs[key].values()), key)
        for key, subject in found.items()
    ]


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


def _mark(subject: Subject, checkpoints: Path) -> Path:
    return checkpoints / "contract" / subject.key[:24]


class PluginReport(NamedTuple):
    """What came out of a check.

    Attributes:
        fault: what is wrong; empty where it passes, None where a method applies to no pair.
        remark: what is no fault, but good to know.
    """

    fault: str | None
    remark: str | None = None


def ask(found: Sequence[Subject]) -> dict[str, PluginReport]:
    """What came out of the check of each subject, by its key."""
    answers, silence = torch_process.ask("benchmark.training.plugin_check", tuple(found), PluginReport._fields)
    broken = {subject.key: PluginReport(f"{subject.title} of {subject.path}: {silence}") for subject in found}
    return broken | {key: PluginReport(**answer) for key, answer in answers.items()}
