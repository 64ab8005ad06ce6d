"""Prints and writes tables, figures and the leaderboard from records; ``--check``: do the files follow from them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark import report
from benchmark.cli import messages
from benchmark.cli.commands import DONE, FAILURE, Say
from benchmark.cli.session import Request
from benchmark.planning.plan import Plan
from benchmark.report import Context, Document
from benchmark.tables.table import Table


def render(plan: Plan, request: Request, say: Say) -> None:
    """Print what was asked for, and write whole tables: their files never depend on what is shown."""
    for table in plan.tables:
        _document(table, plan, request.options.seeds, request).print(messages.console())
    for folder, document in _whole(request):
        paths = document.write(folder)
        say(f"written: {', '.join(messages.short(path) for path in paths)}")
        for view in _views(document, plan, request):
            say(f"what is shown here, on the page: {paths[0].resolve().as_uri()}#{view}")


def check(request: Request, say: Say) -> int:
    """Compare the files of whole tables that are there with what the records say."""
    return compare(list(_whole(request)), say)


def compare(documents: Sequence[tuple[Path, Document]], say: Say) -> int:
    """Say which files do not follow from the records, if any."""
    stale = [line for folder, document in documents for line in document.stale(folder)]
    names = ", ".join(name for _, document in documents for name in document.texts)
    for line in stale or [f"what the records say: {names}"]:
        say(line)
    return FAILURE if stale else DONE


def _whole(request: Request) -> Iterator[tuple[Path, Document]]:
    """All documents of whole tables, each with the folder of its files."""
    for table, plan, seeds in request.everything():
        documents = [_document(table, plan, seeds, request)]
        if table.kind == "leaderboard":
            documents.append(_page(table, request))
        for document in documents:
            yield document.place(request.store.results), document


def _document(table: Table, plan: Plan, seeds: Sequence[int], request: Request) -> Document:
    if table.kind != "leaderboard":
        return report.build(table, plan.records_by_cell, context(plan, seeds, request), plan.records)
    from benchmark.report.leaderboard.data import Board, Source  # they take half a second that no table needs
    from benchmark.report.leaderboard.documents import Leaderboard

    return Leaderboard(Board(Source(table, plan, context(plan, seeds, request))))


def _page(table: Table, request: Request) -> Document:
    """The page of all profiles in which a method has a run, or of what the user changed in one."""
    from benchmark.report.leaderboard.data import Board, Source
    from benchmark.report.leaderboard.documents import Page

    changed = request.changes or request.variants
    found = ((each, *each.found(table)) for each in ([request] if changed else request.at_every_profile()))
    sources = [Source(table, plan, context(plan, seeds, each)) for each, plan, seeds in found]
    boards = [Board(source) for source in sources if source.has_methods or not table.prints]
    return Page(boards, table, sources[0].context if changed else None)


def _views(document: Document, plan: Plan, request: Request) -> Iterator[str]:
    """The hashes of a page's address that show what pairs were selected; it shows all by itself."""
    if not request.options.pairs or not any(table.kind == "leaderboard" for table in plan.tables):
        return
    from benchmark.report.leaderboard.documents import Page

    if isinstance(document, Page):
        views = (document.view(table, context(plan, request.options.seeds, request)) for table in plan.tables)
        yield from filter(None, views)


def context(plan: Plan, seeds: Sequence[int], request: Request) -> Context:
    """How the records of a plan came about."""
    return Context(
        profile=request.book.profile.name,
        note=request.book.note,
        changes=request.changes,
        seeds=tuple(seeds),
        selection=request.options.selection,
        stand_in=request.book.stand_in,
        dataset=request.book.dataset,
        variants=request.variants,
        choices=plan.choices,
    )
