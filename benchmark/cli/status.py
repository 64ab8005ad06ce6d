"""``status``: counts what is done, table by table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.cli import OK, Say, messages
from benchmark.planning.plan import CACHED, Plan
from benchmark.runs.store import FAILED, NOT_APPLICABLE, Store


def run(plans: Sequence[Plan], store: Store, say: Say) -> int:
    """Say how many jobs are done, do not apply, have failed and are to do, in plans of one table each."""
    for plan in plans:
        states = list(plan.states.values())
        done, not_applicable, failed = map(states.count, (CACHED, NOT_APPLICABLE, FAILED))
        rest = f"{not_applicable} not applicable, {failed} failed, {plan.missing} to do"
        say(f"{plan.tables[0].spoken}: {done} of {len(states)} jobs done, {rest}")
    say(messages.disk_line(store))
    return OK
