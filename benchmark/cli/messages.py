"""Lines that several commands print."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.cli.session import Session
from benchmark.planning.plan import Plan
from benchmark.runs.store import FAILED


def console() -> Console:
    """What tables are printed to: texts as they are, without colours of their own or ``:names:`` as emoji."""
    return Console(highlight=False, emoji=False)


def profile_line(session: Session) -> str:
    """The profile, why it is that one, and what is changed."""
    resolver = session.resolver
    changed = f"; changed: {', '.join(session.changes)}" if session.changes else ""
    return f"profile {resolver.profile.name} ({resolver.title}), {session.profile[1]}{changed}"


def disk_line(session: Session) -> str:
    """What checkpoints, weights and logs take."""
    store = session.store
    return f"{store.disk_use() / 2**20:.0f} MiB of checkpoints, weights and logs in {store.checkpoints}"


def failures(plan: Plan) -> str:
    """How many failed, as the end of a sentence; empty where none did."""
    failed = list(plan.states.values()).count(FAILED)
    return f"; {failed} failed, --retry-failed trains them again" if failed else ""


def short(path: Path) -> str:
    """A path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
