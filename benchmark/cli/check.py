"""``check``: compares written tables, figure, leaderboard and claims with the records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.cli import Say, messages, render
from benchmark.errors import UserError
from benchmark.report.document import Document


def run(documents: Iterable[tuple[Path, Document]], results: Path, say: Say) -> int:
    """Compare the documents of which at least one file is written.

    Args:
        documents: each with the folder of its files.
        results: folder of the profile's results.
        say: prints a line.

    Raises:
        UserError: none is written.
    """
    written = [(folder, found) for folder, found in documents if any((folder / name).exists() for name in found.texts)]
    if not written:
        place = messages.short(results)
        raise UserError(f"nothing is written in {place} yet: --table all --leaderboard --render writes it")
    return render.compare(written, say)
