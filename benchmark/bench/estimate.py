"""How good estimates were: what cohorts took on this machine, beside what the plan had said."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark import devices
from benchmark.arguments import Parser
from benchmark.errors import UserError
from benchmark.store import write_atomically

WITHIN = 0.3
"""An estimate is good where the truth differs by no more than this share of it."""
ESTIMATE, TRUTH = "cohort_estimated_seconds", "cohort_seconds"
_HEADER = ("cohort", "jobs", "estimated_seconds", "seconds", "seconds_over_estimated")


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
    for record in _records(results):
        groups[_company(record)].append(record)
    found = []
    for members in groups.values():
        size = members[0]["cost"]["cohort_members"]
        members.sort(key=_begun)  # twins were done one after another
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


def _records(results: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted((results / "records").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        cost, here = record.get("cost") or {}, record["provenance"].get("processor") == devices.processor()
        if here and cost.get(TRUTH) and cost.get(ESTIMATE):
            yield record


def _company(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the members of a cohort have in common."""
    spec, cost = record["spec"], record["cost"]
    teacher = spec.get("teacher") or {"id": spec["network"]}
    return record["kind"], teacher["id"], spec["seed"], cost["cohort_members"], cost[ESTIMATE]


def _begun(record: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(record["provenance"]["finished"]).timestamp() - float(record["cost"][TRUTH])


def _cohort(members: Sequence[Mapping[str, Any]]) -> Cohort:
    first = members[0]
    teacher = (first["spec"].get("teacher") or {}).get("network", "no teacher")
    students = ", ".join(dict.fromkeys(record["spec"]["network"] for record in members))
    seconds = max(record["cost"][TRUTH] for record in members)
    title = f"{first['kind']} {teacher} -> {students}, seed {first['spec']['seed']}"
    return Cohort(title, len(members), first["cost"][ESTIMATE], seconds)
