"""``--claims``: what the paper says in words against the cells of its tables, from the records alone."""

from __future__ import annotations

from benchmark.claims import reader
from benchmark.cli import messages, render
from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.cli.commands import DONE, Say
from benchmark.cli.session import Session
from benchmark.report import claims_report
from benchmark.report.claims_report import Ledger


def run(session: Session, say: Say) -> int:
    """Print a verdict on every claim and write the page; with ``--check`` only compare the page that is there."""
    document = _ledger(session)
    folder = document.place(session.store.results)
    say(messages.profile_line(session))
    if session.options.check:
        return render.compare([(folder, document)], say)
    document.print(messages.console())
    say(f"written: {', '.join(map(messages.short, document.write(folder)))}")
    return DONE


def _ledger(session: Session) -> Ledger:
    """The ledger of a profile, over the wanted seeds and those of the default."""
    every = reader.load()
    seeds = sorted({*session.options.seeds, *DEFAULT_SEEDS})
    plan = session.plan(every.tables, seeds)
    return claims_report.build(every, plan.records_by_cell, render.context(plan, seeds, session), plan.records)
