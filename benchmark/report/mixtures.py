"""What a reader should know of runs that were not made alike, above all where they are compared with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from benchmark.planning.plan import NOUNS
from benchmark.report.aggregate import DONE, Records, distinct, of_status
from benchmark.runs.metrics import metric
from benchmark.runs.names import STUDENT, TEACHER, PairName
from benchmark.runs.record import STAGE, TRAIN, Record
from benchmark.tables.table import Cell, Table

Key = TypeVar("Key")
Known = Mapping[str, Record]
"""Records by their ids, those among them that numbers rest on."""
Machine = Mapping[str, frozenset[Any]]
"""What is known of where a number was made: the values of each condition, as a rule one."""

NOTHING_KNOWN: Known = MappingProxyType({})
ADVICE = "--retrain trains again here what other machines left"
_NAMED = 3
"""So many of the others are told by name."""


class Matter(NamedTuple):
    """What methods are compared on: numbers that agree in it, and in the seed, are paired."""

    pair: PairName
    teacher_recipe: str
    recipe: str
    probe: str | None
    measure: str

    @classmethod
    def of(cls, cell: Cell) -> Matter:
        """That of a cell."""
        measure = metric(cell.metric).measure
        return cls(cell.pair, cell.teacher_recipe, cell.recipe, cell.probe, measure)


@dataclass(frozen=True)
class Comparison:
    """Numbers of several methods that are paired.

    Attributes:
        matter: what they are compared on.
        seed: of their runs.
        machines: by method, in the table's order, where its number was made.
    """

    matter: Matter
    seed: int
    machines: Mapping[str, Machine]

    @cached_property
    def differing(self) -> dict[str, set[Any]]:
        """The conditions in which the machines differ, with all their values; what is unknown differs from nothing."""
        found = {}
        for what in dict.fromkeys(what for machine in self.machines.values() for what in machine):
            values = {machine[what] for machine in self.machines.values() if what in machine}
            if len(values) > 1:
                found[what] = set().union(*values)
        return found

    def is_odd(self, method: str, judges: Iterable[str] = (STUDENT,)) -> bool:
        """Whether a method's number was made elsewhere than most of the others, or than that of any of some methods."""
        most = Counter(frozenset(machine.items()) for machine in self.machines.values()).most_common(1)[0][0]
        judged = (dict(most), *(self.machines[name] for name in judges if name in self.machines))
        return any(_unlike(self.machines[method], other) for other in judged)

    def others(self, method: str) -> list[str]:
        """The methods whose numbers were made elsewhere than this one's."""
        own = self.machines[method]
        return [name for name, machine in self.machines.items() if _unlike(own, machine)]

    def contrast(self, method: str) -> str:
        """In what those others differ: ``processor: Intel Xeon (6.85.7), there AMD EPYC (26.2.1)``."""
        others, facts = self.others(method), []
        for what, own in self.machines[method].items():
            theirs = frozenset().union(*(self.machines[name].get(what, frozenset()) for name in others))
            if theirs and theirs != own:
                facts.append(f"{what}: {_listed(own)}, there {_listed(theirs)}")
        return "; ".join(facts)


@dataclass(frozen=True)
class Elsewhere:
    """A cell with runs that were made on another machine than those they are compared with.

    Attributes:
        seeds: how many such runs it has.
        reason: where they were made, and where the others.
    """

    seeds: int
    reason: str


def mixtures(table: Table, records: Records, known: Known = NOTHING_KNOWN) -> tuple[str, ...]:
    """What a reader should know of runs that were not made alike, as sentences for notes.

    Args:
        table: that the runs stand in.
        records: by a cell's key.
        known: records of what those rest on, by their ids.
    """
    done = [(cell, record) for cell in table.cells for record in of_status(DONE, records.get(cell.key, ()))]
    compared = comparisons(table.cells, records, known)
    told = {what for comparison in compared for what in comparison.differing}
    # An analysis is always in float32: only what jobs of one kind were made by has to agree.
    conditions = (((what, _of_kind(rec)), look(rec)) for _, rec in done for what, look in _CONDITIONS.items())
    mixes, facts = f"This {table.kind} mixes", [*mixed_machines(compared)]
    for (what, kind), values in _differing(conditions).items():
        if f"{what}{kind}" not in told:
            facts.append(f"{mixes} {_PLURALS[what]}{kind}: {', '.join(values)}.")
    data = [record.provenance.data for _, record in done if record.provenance.data]
    versions = _differing((seen.name, seen.fingerprint) for seen in data)
    facts += [f"{mixes} versions of {name}: {', '.join(values)}." for name, values in versions.items()]
    if any(seen.official is False for seen in data):
        facts.append("Some runs saw other data than the official ones: their records name the fingerprint.")
    weights = (((cell.pair.teacher, cell.teacher_recipe), record.provenance.teacher_weights) for cell, record in done)
    teachers = dict.fromkeys(name for name, _ in _differing(weights))
    if teachers:
        facts.append(f"{mixes} teachers: students learned from different weights of {', '.join(teachers)}.")
    if any(_rests_on_earlier(record, known) for cell, record in done if cell.method != TEACHER):
        facts.append("Some numbers rest on weights of runs that were trained again since: --retrain makes them anew.")
    return tuple(facts)


def comparisons(cells: Iterable[Cell], records: Records, known: Known = NOTHING_KNOWN) -> list[Comparison]:
    """The numbers of cells that are paired, in the cells' order. A teacher's are not: all its students share the one.

    Args:
        cells: of one table or several.
        records: by a cell's key.
        known: records of what those rest on, by their ids.
    """
    found: dict[tuple[Matter, int], dict[str, Machine]] = {}
    for cell in cells:
        if cell.method != TEACHER and not metric(cell.metric).of_network:
            for record in of_status(DONE, records.get(cell.key, ())):
                numbers = found.setdefault((Matter.of(cell), record.spec["seed"]), {})
                numbers[cell.method] = _machine(record, known)
    return [Comparison(matter, seed, machines) for (matter, seed), machines in found.items()]


def mixed_machines(compared: Sequence[Comparison]) -> tuple[str, ...]:
    """A sentence on paired numbers that were made on different machines, if there are any."""
    mixed = [comparison for comparison in compared if comparison.differing]
    if not mixed:
        return ()
    values: dict[str, set[Any]] = {}
    for comparison in mixed:
        for what, found in comparison.differing.items():
            values.setdefault(what, set()).update(found)
    several = [comparison for comparison in compared if len(comparison.machines) > 1]
    on, pairs = (len({comparison.matter.pair for comparison in some}) for some in (mixed, several))
    where = "On the one pair" if pairs == 1 else f"On {on} of {pairs} pairs"
    facts = "; ".join(f"{what}: {_listed(found)}" for what, found in values.items())
    made = f"{where}, runs that are compared were made on different machines ({facts}), which can change their numbers"
    return (f"{made}: {ADVICE}.",)


def elsewhere(
    compared: Iterable[Comparison],
    cell: Cell,
    titles: Mapping[str, str] = MappingProxyType({}),
    judges: Iterable[str] = (STUDENT,),
) -> Elsewhere | None:
    """What is to be known of a cell whose runs were made elsewhere than those they are compared with, if any were.

    Args:
        compared: numbers of the cell's table.
        cell: one of them.
        titles: what people call methods, by name, where that is something else.
        judges: methods that the cell's own is compared with, whatever most of the others are.
    """
    matter, judges = Matter.of(cell), tuple(judges)
    own = [one for one in compared if one.matter == matter and cell.method in one.machines]
    reasons: dict[str, list[int]] = {}
    for one in own:
        if one.is_odd(cell.method, judges):
            reasons.setdefault(_reason(one, cell.method, titles), []).append(one.seed)
    if not reasons or metric(cell.metric).of_network:
        return None
    odd = sum(map(len, reasons.values()))
    if odd == len(own) and len(reasons) == 1:
        return Elsewhere(odd, *reasons)
    told = (f"seed {', '.join(map(str, seeds))}: {reason}" for reason, seeds in reasons.items())
    return Elsewhere(odd, "; ".join(told))


def _reason(comparison: Comparison, method: str, titles: Mapping[str, str]) -> str:
    others = [titles.get(name, name) for name in comparison.others(method)]
    more = [f"{len(others) - _NAMED} more"] if len(others) > _NAMED else []
    names = ", ".join([*others[:_NAMED], *more])
    return f"made on another machine than {names} ({comparison.contrast(method)})"


def _machine(record: Record, known: Known) -> Machine:
    """Where a number was made: the run itself, and what it rests on, but for the teacher."""
    values: dict[str, set[Any]] = {}
    for part in _parts(record, known):
        for what, value in part.provenance.conditions.items():
            if value is not None:
                values.setdefault(f"{what}{_of_kind(part)}", set()).add(value)
    return {what: frozenset(found) for what, found in values.items()}


def _parts(record: Record, known: Known) -> Iterator[Record]:
    """A record, those of its first stages, and that of the run that it looks at with its own."""
    yield record
    for needed in _needed(record, known):
        yield from _parts(needed, known)


def _rests_on_earlier(record: Record, known: Known) -> bool:
    return any(part.rests_on_earlier(needed) for part in _parts(record, known) for needed in _needed(part, known))


def _needed(record: Record, known: Known) -> Iterator[Record]:
    looked_at = [named["id"] for part in ("base", "subject") if (named := record.spec.get(part))]
    yield from (known[job] for job in (*record.spec.get("stages", ()), *looked_at) if job in known)


def _of_kind(record: Record) -> str:
    """How a condition is told apart that is not a training's: probes and analyses have machines of their own."""
    return "" if record.kind in (TRAIN, STAGE) else f" of the {NOUNS[record.kind]}"


def _unlike(one: Machine, other: Machine) -> bool:
    return any(one[what] != other[what] for what in one.keys() & other.keys())


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(distinct(values))


_CONDITIONS: Mapping[str, Callable[[Record], Any]] = MappingProxyType(
    {
        "device": lambda record: record.provenance.device,
        "threads": lambda record: record.provenance.threads,
        "precision": lambda record: record.spec.get("recipe", {}).get("precision"),
    }
)
"""What a whole table should have been made by, compared or not."""
_PLURALS = {"device": "devices", "threads": "numbers of threads", "precision": "precisions"}


def _differing(values: Iterable[tuple[Key, Any]]) -> dict[Key, list[str]]:
    """The distinct values of each key that has several."""
    groups: dict[Key, list[Any]] = {}
    for key, value in values:
        groups.setdefault(key, []).append(value)
    found = {key: distinct(group) for key, group in groups.items()}
    return {key: group for key, group in found.items() if len(group) > 1}
