"""The claims report: each claim of the paper judged by the printed numbers and by our runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.claims import verdicts
from benchmark.claims.comparison import Comparison
from benchmark.claims.reader import Claim, Claims
from benchmark.claims.verdicts import Finding, Judgement, PairsTest, Readings, judge
from benchmark.report.aggregate import DONE, Records, inapplicable
from benchmark.report.caption import Context
from benchmark.report.document import Document
from benchmark.report.layout import signed
from benchmark.report.markdown import escape
from benchmark.report.mixed_conditions import NOTHING_KNOWN, Known, comparisons, mixed_machines
from benchmark.report.terminal import shown
from benchmark.runs.metrics import SELECTIONS, metric
from benchmark.runs.names import TEACHER
from benchmark.runs.record import Record
from benchmark.tables.table import Cell
from benchmark.text import visible

_Text = TypeVar("_Text")
YES, NO, UNKNOWN = "yes", "no", "–"
_DIGITS = 6
LEAST_P = 1e-6
_STYLES: Mapping[str, str] = MappingProxyType(
    {verdicts.REPRODUCED: "green", verdicts.FAILED: "red", verdicts.FEW: "dim", UNKNOWN: "dim", YES: "green", NO: "red"}
)
_RULE = """\
A claim is a set of comparisons, each a difference of two students (or of means over pairs) that has to be positive, or
about as large as the paper says. Each comparison is tested by a paired t test on the seeds that both sides have, and
holds where the 95 % interval of the differences lies on the right side.

**Reproduced**: all comparisons hold. **Not reproduced**: at least one of them is on the wrong side, or the mean over
the pairs on which the same two methods are compared is, at 5 % after Holm's correction for all tests of the claim.
**Within noise**: neither; the seeds are too few, or the difference is too small, to tell. **Not enough runs**: nothing
is on the wrong side, but some comparison has fewer than two seeds.

The tests are two-sided, so either of the first two verdicts is wrong in about 2.5 % of cases, and in at most 5 % where
pairs share what their seeds do. A teacher is one run: comparisons with it count the student's spread alone. What does
not apply (n/a) is left out.

{of_paper}Where means agree with a claim only in part, its cells are counted. SRRL is the method that the paper
proposes.\
"""
_OF_PAPER = """\
The paper prints means without a spread, so they are compared as they are, and ours likewise beside them.\
"""
_STAND_IN = """\
The data are {others}, so the sizes that the paper gives (about 1 point) do not apply here: only the sign of such a
difference is checked.\
"""


@dataclass(frozen=True)
class JudgedClaim:
    """One claim with its verdicts.

    Attributes:
        claim: the claim.
        paper: whether the printed means agree with it: ``yes``, ``no`` or ``in 8 of 9 cells``.
        exception: the printed comparison that contradicts it most; empty where all hold.
        judgement: the verdict of our runs.
    """

    claim: Claim
    paper: str
    exception: str
    judgement: Judgement

    @property
    def means(self) -> str:
        """Whether our means agree with the claim, counted like the printed ones."""
        return _tally((finding.comparison, finding.mean) for finding in self.judgement.findings)

    @property
    def counts(self) -> str:
        """``41 hold, 13 within noise, 0 against``."""
        outcomes = {
            "hold": verdicts.HOLDS,
            "within noise": verdicts.UNDECIDED,
            "against": verdicts.AGAINST,
            "missing": verdicts.MISSING,
        }
        numbers = {word: self.judgement.count(outcome) for word, outcome in outcomes.items()}
        return ", ".join(f"{number} {word}" for word, number in numbers.items() if number) or "nothing that applies"

    @property
    def evidence(self) -> str:
        """One line with the counts, the tests over pairs that contradict the claim, and the worst comparison."""
        known = [finding for finding in self.judgement.findings if math.isfinite(finding.interval[0])]
        worst = [f"least: {_finding_text(min(known, key=lambda finding: finding.slack))}"] if known else []
        return "; ".join([self.counts, *_test_texts(self.judgement.against), *worst])


@dataclass(frozen=True)
class ClaimsReport(Document):
    """All claims with their verdicts.

    Attributes:
        stem: name of its file without suffix.
        context: profile, seeds and selection of the runs.
        judged: the claims in the order of the paper.
        remarks: sentences on the runs.
    """

    folder: ClassVar[str] = ""

    stem: str
    context: Context
    judged: tuple[JudgedClaim, ...]
    remarks: tuple[str, ...] = ()

    def forms(self) -> Mapping[str, str]:
        """The report in Markdown, by the name of its file."""
        return {f"{self.stem}.md": "\n".join(self._page()) + "\n"}

    def print(self, console: Console) -> None:
        """Print one line for each claim, and the counts of verdicts."""
        sheet = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        for title in self._compared("claim", "paper's means", "our means", "our runs"):
            sheet.add_column(title, overflow="fold")
        for one in self.judged:
            texts = map(_styled, (one.paper, one.means, one.judgement.verdict))
            sheet.add_row(*self._compared(shown(one.claim.says), *texts))
        console.print(Text.assemble(("Claims of the paper", "bold"), visible(f" ({self._made})")))
        console.print()
        console.print(sheet, highlight=False)
        console.print()
        for line in (*self.summary, *self.remarks):
            console.print(shown(line, "dim"), highlight=False)

    @property
    def summary(self) -> tuple[str, str]:
        """The counts of claims by the printed means, and by the verdicts of our runs."""
        papers = Counter(one.paper if one.paper in (YES, NO) else "in part" for one in self.judged)
        ours = Counter(one.judgement.verdict for one in self.judged)
        of_paper = "" if self.context.dataset else f" By the paper's means: {_counted(papers, (YES, 'in part', NO))}."
        return (
            f"{len(self.judged)} claims.{of_paper}",
            f"By our runs ({self._made}): {_counted(ours, verdicts.VERDICTS)}.",
        )

    @property
    def _made(self) -> str:
        """The data set, if the user named one, and the profile."""
        context = self.context
        return f"{f'on {context.dataset}, ' if context.dataset else ''}profile {context.profile}"

    def _compared(self, claim: _Text, paper: _Text, *ours: _Text) -> tuple[_Text, ...]:
        """The cells of a line; without the paper's where the user put other data in the place of the paper's."""
        return (claim, *ours) if self.context.dataset else (claim, paper, *ours)

    def _page(self) -> Iterator[str]:
        yield f"# Claims of the paper ({escape(self._made)})"
        rule = _RULE.format(of_paper="" if self.context.dataset else f"{_OF_PAPER} ")
        for paragraph in (escape(" ".join(self.summary)), *self._setting(), *rule.split("\n\n")):
            yield ""
            yield " ".join(paragraph.split())
        heads = self._compared("Claim", "The paper's means", "Our runs", "Our means", "Evidence")
        yield ""
        yield f"| | {' | '.join(heads)} |"
        yield f"| --: |{' :-- |' * len(heads)}"
        for number, one in enumerate(self.judged, 1):
            yield f"| {' | '.join((str(number), *self._compared(*_cells(one))))} |"

    def _setting(self) -> Iterator[str]:
        context = self.context
        note = [context.note if context.note.endswith(".") else f"{context.note}."] if context.note else []
        if note or context.stand_in:
            others = "others than the paper's" if context.dataset else "stand-ins"
            data = [_STAND_IN.format(others=others)] if context.stand_in else []
            yield " ".join([*map(escape, note), *data])
        changed = f" Changed: {', '.join(context.changes)}." if context.changes else ""
        yield escape(f"Numbers of the {SELECTIONS[context.selection]}.{changed}")
        yield from map(escape, (*context.choices, *self.remarks))


def build(claims: Claims, records: Records, context: Context, known: Known = NOTHING_KNOWN) -> ClaimsReport:
    """Judge all claims.

    Args:
        claims: the claims, with the tables of their cells.
        records: one record or None for each seed, by the name of the cell; teachers have one run.
        context: profile, seeds and selection of the runs.
        known: the records that those depend on, by id.
    """
    cells = [cell for table in claims.tables for cell in table.cells]
    seeds = len(context.seeds)
    found = ((cell.key, _reading(cell, records.get(cell.key, ()), context.selection, seeds)) for cell in cells)
    readings: dict[str, Sequence[float | None]] = {name: values for name, values in found if values is not None}
    judged = (_judged(claim, claims.printed, readings, sign_only=context.stand_in) for claim in claims.claims)
    remarks = mixed_machines(comparisons(cells, records, known))
    return ClaimsReport(context.stem("claims"), context, tuple(judged), remarks)


def _judged(claim: Claim, printed: Mapping[str, float], readings: Readings, *, sign_only: bool) -> JudgedClaim:
    paper = _tally((one, one.total(printed)) for one in claim.comparisons)
    comparisons = [one.sign_only for one in claim.comparisons] if sign_only else claim.comparisons
    return JudgedClaim(claim, paper, _exception(claim.comparisons, printed), judge(comparisons, readings))


def _reading(cell: Cell, records: Sequence[Record | None], selection: str, seeds: int) -> list[float | None] | None:
    """The number of a cell for each seed; None for the whole cell where it does not apply."""
    kind = metric(cell.metric)
    if any(inapplicable(record, kind, selection) for record in records):
        return None
    done = (record if record is not None and record.status == DONE else None for record in records)
    values = [kind.read(record, selection) if record else None for record in done]
    if cell.method == TEACHER:
        values = values[:1] * seeds
    return [*values, *[None] * (seeds - len(values))]


def _tally(totals: Iterable[tuple[Comparison, float]]) -> str:
    """Whether totals of comparisons are within bounds, counted by cell; cells with an unknown total are left out."""
    slacks: dict[str, list[float]] = {}
    for comparison, total in totals:
        slacks.setdefault(comparison.subject, []).append(comparison.slack(round(total, _DIGITS)))
    known = [min(values) > 0 for values in slacks.values() if not any(map(math.isnan, values))]
    if not known:
        return UNKNOWN
    return YES if all(known) else NO if not any(known) else f"in {sum(known)} of {len(known)} cells"


def _exception(comparisons: Sequence[Comparison], printed: Mapping[str, float]) -> str:
    """The printed comparison that contradicts the claim most; empty where all hold."""
    totals = ((round(one.total(printed), _DIGITS), one) for one in comparisons)
    slacks = [(one.slack(total), f"{one.text}: {_number(total)}{_wanted(one)}") for total, one in totals]
    slack, text = min(slacks)
    return text if slack <= 0 else ""


def _cells(judged: JudgedClaim) -> Iterator[str]:
    claim = judged.claim
    where = ". ".join(filter(None, (claim.where, claim.reading.rstrip("."))))
    yield f"**{escape(claim.says)}.** “{escape(claim.quote)}”<br><sub>{escape(where)}.</sub>"
    yield _with_small(judged.paper, judged.exception)
    yield f"**{judged.judgement.verdict}**"
    yield judged.means
    yield escape(judged.evidence)


def _with_small(text: str, small: str) -> str:
    return f"{text}<br><sub>{escape(small)}</sub>" if small else text


def _finding_text(finding: Finding) -> str:
    low, high = map(_number, finding.interval)
    comparison = finding.comparison
    mean = _number(finding.mean)
    return f"{comparison.text}: {mean} ({low} to {high}), {finding.seeds} seeds{_wanted(comparison)}"


def _test_texts(tests: Sequence[PairsTest]) -> Iterator[str]:
    """The test over several pairs that contradicts the claim most clearly."""
    if tests:
        one = min(tests, key=lambda test: test.p)
        p = f"p = {one.p:.1g}" if one.p >= LEAST_P else f"p < {LEAST_P:g}"
        others = f" (and {len(tests) - 1} more)" if len(tests) > 1 else ""
        yield f"against: {one.contest}, {one.pairs} pairs together, {one.outside} on the wrong side, {p}{others}"


def _wanted(comparison: Comparison) -> str:
    low, high = comparison.bounds
    return f", where {low:g} to {high:g} is claimed" if math.isfinite(high) else ""


def _number(value: float) -> str:
    return signed(value, 2 if abs(value) >= 0.1 else 4)


def _styled(text: str) -> Text:
    return Text(text, style=_STYLES.get(text, "yellow"))


def _counted(counts: Mapping[str, int], order: Sequence[str]) -> str:
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])
