"""How good estimates were: what cohorts took on this machine, beside what the plan had said."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmark import devices
from benchmark.arguments import Parser
from benchmark.errors import UserError
from benchmark.record import Record
from benchmark.store import write_atomically
from benchmark.trace.archive import Archive

WITHIN = 0.3
"""An estimate is good where the truth differs by no more than this share of it."""
_HEADER = ("cohort", "jobs", "estimated_seconds", "seconds", "seconds_over_estimated")


class _Member(NamedTuple):
    """A job of a cohort: its record, and what the whole cohort took.

    Attributes:
        record: of the job.
        size: jobs in the cohort.
        estimated: seconds that the plan had said.
        seconds: from the first batch to this record.
        finished: when, in seconds.
    """

    record: Record
    size: int
    estimated: float
    seconds: float
    finished: float


@dataclass(frozen=True)
class Cohort:
    """Jobs that were done together.

    Attributes:
        title: what they were.
        jobs: how many.
        estimated: seconds that the plan had said.
        seconds: from the first batch to the last record.
    """

    title: str
    jobs: int
    estimated: float
    seconds: float

    @property
    def ratio(self) -> float:
        """The truth over the estimate."""
        return self.seconds / self.estimated


def run(arguments: Sequence[str]) -> None:
    """Print the comparison, and write it as CSV where that is asked for.

    Raises:
        UserError: there is nothing to compare.
    """
    parser = Parser(prog="python -m benchmark.bench estimate", description=__doc__, allow_abbrev=False)
    parser.add_argument("results", type=Path, help="a profile's results, as in results/digits")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the comparison there, too")
    options = parser.parse_args(arguments)
    found = cohorts(options.results)
    if not found:
        raise UserError(
            f"{options.results}: no record there tells what a cohort took on this machine: train something "
            "into a folder of its own with --results FOLDER and name FOLDER/PROFILE"
        )
    print(text(found))  # noqa: T201
    if options.csv:
        write_csv(found, options.csv)


def cohorts(results: Path) -> list[Cohort]:
    """What the records of this machine tell of cohorts that were not interrupted, the longest first."""
    groups = defaultdict(list)
    for member in _members(results):
        groups[_company(member)].append(member)
    found = []
    for members in groups.values():
        size = members[0].size
        members.sort(key=lambda member: member.finished - member.seconds)  # twins were done one after another
        found += [_cohort(members[start : start + size]) for start in range(0, len(members), size)]
    return sorted(found, key=lambda cohort: -cohort.seconds)


def text(found: Sequence[Cohort]) -> str:
    """The comparison for people: a line a cohort, and the sum."""
    lines = [
        f"{cohort.seconds:8.1f} s, estimated {cohort.estimated:8.1f} s, ratio {cohort.ratio:5.2f}: {cohort.title}"
        for cohort in found
    ]
    total = Cohort("", sum(c.jobs for c in found), sum(c.estimated for c in found), sum(c.seconds for c in found))
    good = sum(abs(cohort.ratio - 1) <= WITHIN for cohort in found)
    lines.append(
        f"{len(found)} cohorts of {total.jobs} jobs took {total.seconds:.1f} s of their processes, estimated "
        f"{total.estimated:.1f} s, ratio {total.ratio:.2f}; {good} cohorts are within {WITHIN:.0%}"
    )
    return "\n".join(lines)


def write_csv(found: Sequence[Cohort], path: Path) -> None:
    """The comparison for machines: a line a cohort."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for cohort in found:
        writer.writerow([cohort.title, cohort.jobs, cohort.estimated, cohort.seconds, round(cohort.ratio, 3)])
    write_atomically(path, text.getvalue().encode())


def _members(results: Path) -> Iterator[_Member]:
    for record in (known.record for known in Archive(results)):
        cost, seen = record.cost, record.provenance
        here = seen.processor == devices.processor() and seen.finished
        if here and cost and cost.cohort_seconds and cost.cohort_estimated_seconds:
            times = cost.cohort_estimated_seconds, cost.cohort_seconds, here.timestamp()
            yield _Member(record, cost.cohort_members, *times)


def _company(member: _Member) -> tuple[Any, ...]:
    """What the members of a cohort have in common."""
    spec = member.record.spec
    teacher = spec.get("teacher") or {"id": spec["network"]}
    return member.record.kind, teacher["id"], spec["seed"], member.size, member.estimated


def _cohort(members: Sequence[_Member]) -> Cohort:
    first = members[0].record
    teacher = (first.spec.get("teacher") or {}).get("network", "no teacher")
    students = ", ".join(dict.fromkeys(member.record.spec["network"] for member in members))
    title = f"{first.kind} {teacher} -> {students}, seed {first.spec['seed']}"
    return Cohort(title, len(members), members[0].estimated, max(member.seconds for member in members))
