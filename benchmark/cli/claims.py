"""``claims``: what the paper says in words against the cells of its tables, from the records alone."""

from __future__ import annotations

from pathlib import Path

from benchmark.cli import OK, Say, messages, render
from benchmark.report.document import Document


def run(page: Document, results: Path, say: Say, *, check: bool) -> int:
    """Print the verdicts of `benchmark.cli.render.claims_page` and write the page; or compare the written page."""
    folder = page.place(results)
    if check:
        return render.compare([(folder, page)], say)
    page.print(messages.console())
    say(f"written: {', '.join(map(messages.short, page.write(folder)))}")
    return OK
