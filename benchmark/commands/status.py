"""``--status``: counts what is done, table by table."""

from __future__ import annotations

from benchmark.commands import DONE, Say, wording
from benchmark.plan import CACHED
from benchmark.request import Request
from benchmark.store import FAILED


def run(request: Request, say: Say) -> int:
    """Say of each table how many jobs are done, failed and missing."""
    say(wording.profile_line(request))
    for table in request.tables:
        plan = request.plan([table])
        states = list(plan.states.values())
        done, failed = states.count(CACHED), states.count(FAILED)
        say(f"{table.spoken}: {done} of {len(states)} jobs done, {failed} failed, {plan.missing} to do")
    say(wording.disk_line(request))
    return DONE
