"""``status``: counts what is done, table by table."""

from __future__ import annotations

from benchmark.cli import OK, Say, messages
from benchmark.cli.session import Session
from benchmark.planning.plan import CACHED
from benchmark.runs.store import FAILED, NOT_APPLICABLE


def run(session: Session, say: Say) -> int:
    """Say for each table how many jobs are done, do not apply, have failed and are to do."""
    for table in session.tables:
        plan = session.plan([table])
        states = list(plan.states.values())
        done, not_applicable, failed = map(states.count, (CACHED, NOT_APPLICABLE, FAILED))
        rest = f"{not_applicable} not applicable, {failed} failed, {plan.missing} to do"
        say(f"{table.display_name}: {done} of {len(states)} jobs done, {rest}")
    say(messages.disk_line(session.store))
    return OK
