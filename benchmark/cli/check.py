"""``check``: compares written tables, figure, leaderboard and claims with the records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.cli import Say, messages, render
from benchmark.errors import UserError
from benchmark.report.document import Document


def run(documents: Iterable[tuple[Path, Document]], results: Path, say: Say) -> int:
    """Compare the documents of a profile, each with its folder, of which at least one file is written.

    Raises:
        UserError: none is written below ``results``.
    """
    written = [(folder, found) for folder, found in documents if any((folder / name).exists() for name in found.texts)]
    if not written:
        place = messages.short(results)
        raise UserError(f"nothing is written in {place} yet: --table all --leaderboard --render writes it")
    return render.compare(written, say)
