"""``--claims``: what the paper says in words against the cells of its tables, from the records alone."""

from __future__ import annotations

from benchmark import claims
from benchmark.arguments import DEFAULT_SEEDS
from benchmark.commands import DONE, Say, rendering, wording
from benchmark.report import ledger
from benchmark.report.ledger import Ledger
from benchmark.request import Request


def run(request: Request, say: Say) -> int:
    """Print a verdict on every claim and write the page; with ``--check`` only compare the page that is there."""
    document = _ledger(request)
    folder = document.place(request.store.results)
    say(wording.profile_line(request))
    if request.options.check:
        return rendering.compare([(folder, document)], say)
    document.print(wording.console())
    say(f"written: {', '.join(map(wording.short, document.write(folder)))}")
    return DONE


def _ledger(request: Request) -> Ledger:
    """The ledger of a profile, over the wanted seeds and those of the default."""
    every = claims.load()
    seeds = sorted({*request.options.seeds, *DEFAULT_SEEDS})
    plan = request.plan(every.tables, seeds)
    return ledger.build(every, plan.records_by_cell, rendering.context(plan, seeds, request), plan.records)
