"""``why``: what a number rests on, for the terminal: its runs, how they were made, and the jobs they needed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.text import Text

from benchmark.ids import short_id
from benchmark.lineage.describe import data_text, origin
from benchmark.lineage.graph import Group, Node, distinct, objective_text, values_text
from benchmark.report.layout import cell_text
from benchmark.report.mixed_conditions import ADVICE, Elsewhere
from benchmark.runs.metrics import LAST, SELECTIONS, metric
from benchmark.runs.record import Record
from benchmark.tables.table import Table
from benchmark.text import visible_line

Fact = tuple[str, str]
_STYLES: Mapping[str, str] = MappingProxyType({"done": "green", "failed": "red"})
_INDENT = 2
_KEYS = 11


@dataclass(frozen=True)
class Section:
    """A titled list of facts.

    Attributes:
        title: title of the section.
        rows: facts, each a word and its text.
        depth: depth of the indentation.
        state: state of the section's job; empty for other sections.
    """

    title: str
    rows: tuple[Fact, ...] = ()
    depth: int = 0
    state: str = ""


def of_cell(
    table: Table, cell: Mapping[Any, Any], selection: str, *, stand_in: bool, elsewhere: Elsewhere | None = None
) -> Section:
    """The section about the number itself.

    Args:
        table: table of the cell.
        cell: the cell's row of `aggregate`.
        selection: ``last`` or ``best``.
        stand_in: whether other data than the paper's were used.
        elsewhere: its runs that were made on other machines than the runs they are compared with.
    """
    texts, kind = cell_text(cell, best=False, compare=not stand_in), metric(cell["metric"])
    spread = f" ± {cell['std']:.{kind.decimals}f}" if cell["n"] > 1 else ""
    count = f"{cell['n']} of {cell['wanted']} run{'' if cell['wanted'] == 1 else 's'}"
    about = "" if kind.of_network else f", {SELECTIONS[selection]}"
    paper = f"{texts.reference}{', measured on other data' if stand_in else ''}" if texts.paper else "prints nothing"
    place = f"{table.display_name.capitalize()}, row '{cell['row']}', column '{cell['column']}'"
    printed = [("paper", paper)] if table.prints else []
    rows = [("stands in", place), ("ours", f"{texts.mean}{spread}, {count}{about}"), *printed]
    undecided = [] if cell["wanted"] else [("reason", "its objective is chosen once all trials are done")]
    reasons = [("reason", reason) for reason in cell["reasons"]]
    compared = [("machines", f"{elsewhere.reason}; {ADVICE}")] if elsewhere else []
    return Section(cell["cell"], (*rows, *undecided, *reasons, *compared))


def of_groups(groups: Sequence[Group], short: Callable[[Path], str]) -> Iterator[Section]:
    """Sections about the jobs behind a number, group by group: each job, then what the group has in common.

    Args:
        groups: groups of jobs, from `lineage.graph.chain`.
        short: shortens a path.
    """
    used = _weights_used(groups)
    for group in groups:
        names = ", ".join(distinct(node.network or None for node in group.nodes))
        yield Section(f"{group.role}: {names or 'unknown here'}")
        for node in group.nodes:
            yield _node(node, short)
        machines = (*_machines(group),)
        common = (*_common(group), *_weights(group, used), *machines)
        if common:
            alike = "how, all alike but for their machines" if machines else "how, all alike"
            yield Section("how" if len(group.nodes) == 1 else alike, common, 1)


def show(sections: Sequence[Section], console: Console) -> None:
    """Print sections; long lines wrap under their beginning, texts without spaces (such as paths) stay whole."""
    for section in sections:
        if section.depth == 0:
            console.print()
        text = Text(" " * _INDENT * section.depth).append(visible_line(section.title), "bold")
        if section.state:
            text.append("  ").append(section.state, _STYLES.get(section.state, "yellow"))
        console.print(text, soft_wrap=True)
        for key, value in section.rows:
            _show_row(key, value, _INDENT * (section.depth + 1), console)


def _show_row(key: str, value: str, indent: int, console: Console) -> None:
    width = max(console.width - indent - _KEYS, 30)
    lines = textwrap.wrap(visible_line(value), width, break_long_words=False, break_on_hyphens=False) or [""]
    for position, line in enumerate(lines):
        head = "" if position else key
        text = Text(" " * indent).append(f"{head:{_KEYS}}", "dim").append(line)
        console.print(text, soft_wrap=True)


def _node(node: Node, short: Callable[[Path], str]) -> Section:
    rows = [("id", node.id)]
    if node.record:
        facts = ((key, tell(node.record)) for key, tell in _FACTS.items())
        rows += [(key, text) for key, text in facts if text]
        rows += origin(node.record).items()
    if node.path:
        rows.append(("record" if node.record else "would be", short(node.path)))
    method = node.spec.get("method")
    name = f"seed {node.spec['seed']}" if node.spec else "job"
    title = f"{method['name']}, {name}" if method else name
    return Section(f"{title}  {short_id(node.id)}", tuple(rows), 1, node.state)


def _common(group: Group) -> Iterator[Fact]:
    for part, tell in _SPEC.items():
        for value in group.facts(part):
            yield part, tell(value)
    for data in group.provenance("data"):
        yield "data", data_text(data)


def _machines(group: Group) -> Iterator[Fact]:
    """How the machines of a group's jobs differ: each value with its seeds."""
    made: dict[str, dict[Any, list[str]]] = {}
    for node in group.nodes:
        for what, value in (node.record.provenance.conditions if node.record else {}).items():
            if value is not None:
                made.setdefault(what, {}).setdefault(value, []).append(str(node.spec["seed"]))
    for what, seeds in made.items():
        if len(seeds) > 1:
            told = (f"{value} (seed {', '.join(dict.fromkeys(found))})" for value, found in seeds.items())
            yield what, f"differs: {'; '.join(told)}"


def _weights_used(groups: Sequence[Group]) -> dict[str, list[str]]:
    """SHA-256 of the weights that students learned from, by the teacher's id."""
    used: dict[str, list[str]] = {}
    for node in (node for group in groups for node in group.nodes):
        teacher, sha = node.spec.get("teacher"), node.record.provenance.teacher_weights if node.record else None
        if teacher and sha and sha not in used.setdefault(teacher["id"], []):
            used[teacher["id"]].append(sha)
    return used


def _weights(group: Group, used: Mapping[str, list[str]]) -> Iterator[Fact]:
    for node in group.nodes:
        for sha in used.get(node.id, ()):
            yield "weights", f"SHA-256 {sha}, as its students used them"


def _metrics(record: Record, selection: str) -> str:
    values = record.metrics.of(selection)
    numbers = ", ".join(f"{key} {value:.6g}" for key, value in values.items() if key != "epoch")
    return f"epoch {values['epoch']}: {numbers}" if "epoch" in values else numbers


def _parameters(record: Record) -> str:
    own, extra = record.metrics.params, record.cost.extra_parameters if record.cost else 0
    return f"{own:,}{f', and {extra:,} in training alone' if extra else ''}" if own else ""


def _time(record: Record) -> str:
    cost = record.cost
    if cost is None:
        return ""
    own = "" if cost.step_seconds is None else f"{cost.step_seconds:.1f} s in its own steps; "
    return f"{own}its cohort of {cost.cohort_members} took {cost.cohort_seconds:.1f} s"


_FACTS: Mapping[str, Callable[[Record], str]] = MappingProxyType(
    {
        "reason": lambda record: record.reason,
        "given": lambda record: ", ".join(map(str, (record.given or {}).values())),
        "last": lambda record: _metrics(record, LAST),
        "best": lambda record: _metrics(record, "best"),
        "parameters": _parameters,
        "weights": lambda record: f"SHA-256 {record.weights}" if record.weights else "",
        "time": _time,
    }
)
"""Facts of a record about its own run."""

_SPEC: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "recipe": lambda recipe: f"{recipe['name']}: {values_text(recipe)}",
        "objective": objective_text,
        "method": lambda method: f"{method['name']}, {values_text(method)}",
        "measure": lambda measure: f"{measure['name']}, revision {measure['revision']}",
        "weights": lambda sha: f"given: SHA-256 {sha}",
        "part": lambda part: f"the {part} of that file",
        "code": values_text,
    }
)
"""Facts of a spec that all seeds share."""
