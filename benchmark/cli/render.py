"""Prints and writes tables, figures and the leaderboard from records; ``--check``: do the files follow from them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark import report
from benchmark.cli import messages
from benchmark.cli.commands import DONE, FAILURE, Say
from benchmark.cli.session import Session
from benchmark.planning.plan import Plan
from benchmark.report import Context, Document
from benchmark.tables.table import Table


def render(plan: Plan, session: Session, say: Say) -> None:
    """Print what was asked for, and write whole tables: their files never depend on what is shown."""
    for table in plan.tables:
        _document(table, plan, session.options.seeds, session).print(messages.console())
    for folder, document in _whole(session):
        paths = document.write(folder)
        say(f"written: {', '.join(messages.short(path) for path in paths)}")
        for view in _views(document, plan, session):
            say(f"what is shown here, on the page: {paths[0].resolve().as_uri()}#{view}")


def check(session: Session, say: Say) -> int:
    """Compare the files of whole tables that are there with what the records say."""
    return compare(list(_whole(session)), say)


def compare(documents: Sequence[tuple[Path, Document]], say: Say) -> int:
    """Say which files do not follow from the records, if any."""
    stale = [line for folder, document in documents for line in document.stale(folder)]
    names = ", ".join(name for _, document in documents for name in document.texts)
    for line in stale or [f"what the records say: {names}"]:
        say(line)
    return FAILURE if stale else DONE


def _whole(session: Session) -> Iterator[tuple[Path, Document]]:
    """All documents of whole tables, each with the folder of its files."""
    for table, plan, seeds in session.everything():
        documents = [_document(table, plan, seeds, session)]
        if table.kind == "leaderboard":
            documents.append(_page(table, session))
        for document in documents:
            yield document.place(session.store.results), document


def _document(table: Table, plan: Plan, seeds: Sequence[int], session: Session) -> Document:
    if table.kind != "leaderboard":
        return report.build(table, plan.records_by_cell, context(plan, seeds, session), plan.records)
    from benchmark.report.leaderboard.data import LeaderboardData  # takes half a second that no table needs
    from benchmark.report.leaderboard.documents import Leaderboard

    return Leaderboard(LeaderboardData(table, plan, context(plan, seeds, session)))


def _page(table: Table, session: Session) -> Document:
    """The page of all profiles in which a method has a run, or of what the user changed in one."""
    from benchmark.report.leaderboard.data import LeaderboardData
    from benchmark.report.leaderboard.documents import Page

    changed = session.changes or session.variants
    found = ((each, *each.found(table)) for each in ([session] if changed else session.at_every_profile()))
    profiles = [LeaderboardData(table, plan, context(plan, seeds, each)) for each, plan, seeds in found]
    shown = [data for data in profiles if data.has_methods or not table.prints]
    return Page(shown, table, profiles[0].context if changed else None)


def _views(document: Document, plan: Plan, session: Session) -> Iterator[str]:
    """The hashes of a page's address that show what pairs were selected; it shows all by itself."""
    if not session.options.pairs or not any(table.kind == "leaderboard" for table in plan.tables):
        return
    from benchmark.report.leaderboard.documents import Page

    if isinstance(document, Page):
        views = (document.view(table, context(plan, session.options.seeds, session)) for table in plan.tables)
        yield from filter(None, views)


def context(plan: Plan, seeds: Sequence[int], session: Session) -> Context:
    """How the records of a plan came about."""
    return Context(
        profile=session.resolver.profile.name,
        note=session.resolver.note,
        changes=session.changes,
        seeds=tuple(seeds),
        selection=session.options.selection,
        stand_in=session.resolver.stand_in,
        dataset=session.resolver.dataset,
        variants=session.variants,
        choices=plan.choices,
    )
