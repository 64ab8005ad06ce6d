"""``--plan``: says what would be done, and how long it would take."""

from __future__ import annotations

import json

from benchmark.cli import messages
from benchmark.cli.commands import DONE, Say
from benchmark.cli.session import Request
from benchmark.ids import short_id
from benchmark.planning.plan import Plan, counted


def show_plan(plan: Plan, request: Request, say: Say) -> int:
    """Print a plan for people, whole or its counts alone, or for machines."""
    options = request.options
    plan, choice = request.arranged(plan, options.time_budget)
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
    names, _ = request.workers
    where, basis = f"{len(names)} x {names[0]}", f" ({plan.estimates.basis})" if plan.missing and plan.estimates else ""
    say(f"{plan.missing} to do in {counted(len(plan.cohorts), 'cohort')}, {request.time(plan)} on {where}{basis}")
    for line in choice.lines if choice else ():
        say(line)
    say(messages.disk_line(request))
    return DONE
