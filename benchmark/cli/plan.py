"""``--plan``: says what would be trained, and how long it would take."""

from __future__ import annotations

from benchmark.cli import Say
from benchmark.ids import short_id
from benchmark.planning.budget import Choice
from benchmark.planning.cohorts import counted
from benchmark.planning.plan import Plan


def show_plan(plan: Plan, choice: Choice | None, time: str, say: Say) -> None:
    """Print the counts of an arranged plan, its estimated time and what was chosen for a time budget."""
    for line in plan.summary():
        say(line)
    basis = f" ({plan.estimates.basis})" if plan.missing and plan.estimates else ""
    say(f"{plan.missing} to do in {counted(len(plan.cohorts), 'cohort')}, {time}{basis}")
    for line in choice.lines if choice else ():
        say(line)


def show_jobs(plan: Plan, say: Say) -> None:
    """Print every job with its state, and every cohort with its estimated time."""
    for job in plan.jobs:
        say(f"{plan.states[job.id]:8} {job}  {short_id(job.id)}")
    for number, cohort in enumerate(plan.cohorts, 1):
        say(f"cohort {number}: {cohort}, {plan.about(cohort.seconds)}")
