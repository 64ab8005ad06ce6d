"""``check``: compares written tables, figure, leaderboard and claims with the records."""

from __future__ import annotations

from benchmark.cli import Say, messages, render
from benchmark.cli.session import Session
from benchmark.errors import UserError


def run(session: Session, say: Say) -> int:
    """Compare the documents of the profile, where at least one file of the document is written.

    Raises:
        UserError: none is written.
    """
    claims, results = render.claims_page(session), session.store.results
    documents = [*render.documents(session), (claims.place(results), claims)]
    written = [(folder, found) for folder, found in documents if any((folder / name).exists() for name in found.texts)]
    if not written:
        place = messages.short(results)
        raise UserError(f"nothing is written in {place} yet: --table all --leaderboard --render writes it")
    return render.compare(written, say)
