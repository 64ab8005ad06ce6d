"""``claims``: what the paper says in words against the cells of its tables, from the records alone."""

from __future__ import annotations

from pathlib import Path

from benchmark.cli import OK, Say, messages, render
from benchmark.report.document import Document


def run(page: Document, results: Path, say: Say, *, check: bool) -> int:
    """Print a verdict on every claim and write the page.

    Args:
        page: the verdicts, see `benchmark.cli.render.claims_page`.
        results: folder of the profile's results.
        say: prints a line.
        check: compare the written page instead.
    """
    folder = page.place(results)
    if check:
        return render.compare([(folder, page)], say)
    page.print(messages.console())
    say(f"written: {', '.join(map(messages.short, page.write(folder)))}")
    return OK
