"""``--plan``: says what would be done, and how long it would take."""

from __future__ import annotations

import json

from benchmark.cli import messages
from benchmark.cli.commands import DONE, Say
from benchmark.cli.session import Session
from benchmark.ids import short_id
from benchmark.planning.plan import Plan, counted


def show_plan(plan: Plan, session: Session, say: Say) -> int:
    """Print a plan for people, whole or its counts alone, or for machines."""
    options = session.options
    plan, choice = session.arranged(plan, options.time_budget)
    if options.json:
        print(json.dumps(plan.to_json(), indent=1))  # noqa: T201
        return DONE
    if not options.brief:
        for job in plan.jobs:
            say(f"{plan.states[job.id]:8} {job}  {short_id(job.id)}")
        for number, cohort in enumerate(plan.cohorts, 1):
            say(f"cohort {number}: {cohort}, {plan.about(cohort.seconds)}")
    for line in plan.summary():
        say(line)
    names, _ = session.workers
    where, basis = f"{len(names)} x {names[0]}", f" ({plan.estimates.basis})" if plan.missing and plan.estimates else ""
    say(f"{plan.missing} to do in {counted(len(plan.cohorts), 'cohort')}, {session.time(plan)} on {where}{basis}")
    for line in choice.lines if choice else ():
        say(line)
    say(messages.disk_line(session))
    return DONE
