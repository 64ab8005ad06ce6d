"""``claims``: what the paper says in words against the cells of its tables, from the records alone."""

from __future__ import annotations

from benchmark.cli import OK, Say, messages, render
from benchmark.cli.session import Session


def run(session: Session, say: Say) -> int:
    """Print the verdicts of `benchmark.cli.render.claims_page` and write the page; or compare the written page."""
    page = render.claims_page(session)
    folder = page.place(session.store.results)
    if session.options.check:
        return render.compare([(folder, page)], say)
    page.print(messages.console())
    say(f"written: {', '.join(map(messages.short, page.write(folder)))}")
    return OK
