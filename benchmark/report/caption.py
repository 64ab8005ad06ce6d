"""Captions and notes of tables: how to read the numbers, what they rest on, what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from benchmark.report.aggregate import DONE, FAILED, MISSING, NOT_APPLICABLE, PARTIAL
from benchmark.report.layout import WORDS, best_cells
from benchmark.runs.metrics import LAST, SELECTIONS
from benchmark.runs.names import TEACHER
from benchmark.tables.table import file_stem

_LISTED = 5
_LEGENDS: Mapping[str, str] = MappingProxyType(
    {
        PARTIAL: "(n/m): mean of n seeds where m are wanted.",
        MISSING: f"{WORDS[MISSING]}: no number yet.",
        FAILED: f"{WORDS[FAILED]}: every run that was tried broke off.",
        NOT_APPLICABLE: f"{WORDS[NOT_APPLICABLE]}: the method or the number does not apply.",
    }
)


@dataclass(frozen=True)
class Context:
    """How the records of a table were made, as far as its caption states it.

    Attributes:
        profile: name of the profile.
        note: a note on all records, such as the profile's on stand-in data and narrowed networks.
        changes: the user's changes of recipes, as in ``epochs=1``.
        seeds: the wanted seeds of students.
        selection: ``last`` or ``best``, the epoch of the numbers.
        stand_in: whether other data than the paper's are used.
        variants: suffixes of the names of the table's files, if a preset or other teachers are used.
        choices: what tuned methods chose, as sentences.
        dataset: the data set that replaces the table's own and that the note describes; empty for none.
    """

    profile: str
    note: str
    changes: tuple[str, ...]
    seeds: tuple[int, ...]
    selection: str = LAST
    stand_in: bool = False
    variants: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    dataset: str = ""

    def titled(self, title: str) -> str:
        """The title of a table or figure with the profile."""
        return f"{title} (profile {self.profile})"

    def stem(self, name: str) -> str:
        """File name without suffix: tables of best epochs, presets and other teachers have files of their own."""
        full = "+".join((name, *self.variants))
        return file_stem(full if self.selection == LAST else f"{full}-{self.selection}")


def caption(frame: pd.DataFrame, context: Context) -> tuple[str, ...]:
    """Sentences on how to read a table.

    Args:
        frame: the cells, from `aggregate`.
        context: how the records were made.
    """
    return tuple(_sentences(frame[~frame["hidden"]], context))


def notes(frame: pd.DataFrame) -> tuple[str, ...]:
    """Why cells failed or do not apply, at most five reasons of each."""
    visible = frame[~frame["hidden"]]
    failed = visible[(visible["failed"] > 0) & (visible["state"] != NOT_APPLICABLE)]
    return (
        *_reasons("Failed", failed),
        *_reasons("Not applicable", visible[visible["state"] == NOT_APPLICABLE]),
    )


def _sentences(visible: pd.DataFrame, context: Context) -> Iterator[str]:
    if context.dataset:
        yield _sentence(context.note)
    yield _spread(context, teachers=bool((visible["method"] == TEACHER).any()))
    if best_cells(visible):
        yield "{best}: best student of a pair."
    if visible["paper"].notna().any():
        yield _reference(context)
    states = set(visible["state"])
    yield from (text for state, text in _LEGENDS.items() if state in states)
    if states & {PARTIAL, MISSING}:
        yield f"Complete so far: {(visible['state'] == DONE).sum()} of {len(visible)} cells."
    if context.note and not context.dataset:
        yield _sentence(context.note)
    if context.changes:
        yield f"Changed: {', '.join(context.changes)}."


def _spread(context: Context, *, teachers: bool) -> str:
    several = len(context.seeds) > 1
    seeds = ", ".join(str(seed) for seed in context.seeds)
    what = f"Mean ± sample standard deviation over {len(context.seeds)} seeds" if several else "One run, seed"
    single = "; teachers are one run" if several and teachers else ""
    return f"{what} {f'({seeds})' if several else seeds}, {SELECTIONS[context.selection]}{single}."


def _reference(context: Context) -> str:
    if context.stand_in:
        return "Paper: the printed value, measured on the real data and so not to be compared with ours."
    return "Paper: the printed value, and ours minus it."


def _reasons(title: str, cells: pd.DataFrame) -> Iterator[str]:
    for cell in cells.head(_LISTED).to_dict("records"):
        share = f" ({cell['failed']} of {cell['wanted']} seeds)" if cell["failed"] and cell["wanted"] > 1 else ""
        reason = "; ".join(cell["reasons"]) or "no reason given"
        yield _sentence(f"{title}{share}: {cell['column']}, {cell['row']}: {reason}")
    if len(cells) > _LISTED:
        yield f"{title}: {len(cells) - _LISTED} more cells."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
