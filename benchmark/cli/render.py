"""Builds tables, figures, leaderboard and claims from the records; prints and writes them, or compares the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark import report
from benchmark.claims import reader
from benchmark.cli import FAILURE, OK, Say, messages
from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.cli.session import Session, recorded_seeds
from benchmark.planning.plan import Plan
from benchmark.report import Context, Document, claims_report
from benchmark.tables.table import Table


def render(session: Session, say: Say) -> None:
    """Print the selected tables, and write the whole ones: files do not depend on the selection."""
    plan = session.whole_plan()
    for table in session.tables:
        _document(plan.view(table, session.options.seeds), session.options.seeds, session).print(messages.console())
    for folder, document in _documents(plan, session):
        paths = document.write(folder)
        say(f"written: {', '.join(messages.short(path) for path in paths)}")
        for view in _views(document, plan, session):
            say(f"what is shown here, on the page: {paths[0].resolve().as_uri()}#{view}")


def compare(written: Sequence[tuple[Path, Document]], say: Say) -> int:
    """Say which files of documents, each with its folder, are missing or stale; return the exit status."""
    stale = [line for folder, document in written for line in document.stale(folder)]
    names = ", ".join(name for _, document in written for name in document.texts)
    for line in stale or [f"what the records say: {names}"]:
        say(line)
    return FAILURE if stale else OK


def documents(session: Session) -> Iterator[tuple[Path, Document]]:
    """The documents of whole tables, each with the folder of its files."""
    return _documents(session.whole_plan(), session)


def _documents(plan: Plan, session: Session) -> Iterator[tuple[Path, Document]]:
    for table in plan.tables:
        seeds = recorded_seeds(table, plan, session.options.seeds)
        found = [_document(plan.view(table, seeds), seeds, session)]
        if table.kind == "leaderboard":
            found.append(_page(table, session))
        for document in found:
            yield document.place(session.store.results), document


def claims_page(session: Session) -> Document:
    """The verdicts on all claims, over the wanted seeds and those of the default."""
    every = reader.load()
    seeds = sorted({*session.options.seeds, *DEFAULT_SEEDS})
    plan = session.plan(every.tables, seeds)
    return claims_report.build(every, plan.records_by_cell, _context(plan, seeds, session), plan.records)


def _document(plan: Plan, seeds: Sequence[int], session: Session) -> Document:
    """The document of a plan's one table."""
    [table] = plan.tables
    if table.kind != "leaderboard":
        return report.build(table, plan.records_by_cell, _context(plan, seeds, session), plan.records)
    from benchmark.report.leaderboard.data import LeaderboardData  # half a second, which no table needs
    from benchmark.report.leaderboard.documents import Leaderboard

    return Leaderboard(LeaderboardData(table, plan, _context(plan, seeds, session)))


def _page(table: Table, session: Session) -> Document:
    """The page over all profiles in which a method has a run; with changes of the user, over theirs alone."""
    from benchmark.report.leaderboard.data import LeaderboardData
    from benchmark.report.leaderboard.documents import Page

    changed = session.changes or session.variants
    profiles = []
    recorded = (each for each in session.at_every_profile() if each is session or each.store.has_records)
    for each in [session] if changed else recorded:
        whole = each.plan([table], DEFAULT_SEEDS)
        seeds = recorded_seeds(table, whole)
        plan = whole.view(table, seeds)
        profiles.append(LeaderboardData(table, plan, _context(plan, seeds, each)))
    shown = [data for data in profiles if data.has_methods or not table.prints]
    return Page(shown, table, profiles[0].context if changed else None)


def _views(document: Document, plan: Plan, session: Session) -> Iterator[str]:
    """The fragments of a page's address that select the wanted pairs; without one it shows all."""
    if not session.options.pairs or not any(table.kind == "leaderboard" for table in session.tables):
        return
    from benchmark.report.leaderboard.documents import Page

    if isinstance(document, Page):
        views = (document.view(table, _context(plan, session.options.seeds, session)) for table in session.tables)
        yield from filter(None, views)


def _context(plan: Plan, seeds: Sequence[int], session: Session) -> Context:
    """How the records of a plan came about, for captions."""
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
