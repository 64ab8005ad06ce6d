"""``--status``: counts what is done, table by table."""

from __future__ import annotations

from benchmark.commands import DONE, Say, wording
from benchmark.plan import CACHED
from benchmark.request import Request
from benchmark.store import FAILED, NOT_APPLICABLE


def run(request: Request, say: Say) -> int:
    """Say of each table how many jobs are done, do not apply, failed and are to do."""
    say(wording.profile_line(request))
    for table in request.tables:
        plan = request.plan([table])
        states = list(plan.states.values())
        done, vain, failed = map(states.count, (CACHED, NOT_APPLICABLE, FAILED))
        rest = f"{vain} not applicable, {failed} failed, {plan.missing} to do"
        say(f"{table.spoken}: {done} of {len(states)} jobs done, {rest}")
    say(wording.disk_line(request))
    return DONE
