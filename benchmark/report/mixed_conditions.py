"""Remarks on runs that were made under different conditions, above all where they are compared with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from benchmark.planning.cohorts import NOUNS
from benchmark.report.aggregate import DONE, Records, distinct, of_status
from benchmark.runs.metrics import metric
from benchmark.runs.names import STUDENT, TEACHER, PairName
from benchmark.runs.record import STAGE, TRAIN, Record
from benchmark.tables.table import Cell, Table

Key = TypeVar("Key")
Known = Mapping[str, Record]
"""Records by id, including those that numbers rest on."""
Machine = Mapping[str, frozenset[Any]]
"""The known conditions under which a number was made: the values of each condition, usually one."""

NOTHING_KNOWN: Known = MappingProxyType({})
ADVICE = "--retrain trains again here what other machines left"
_MOST_NAMED = 3
"""Number of other methods that a reason names."""


class Setting(NamedTuple):
    """What methods are compared on: numbers with equal setting and seed are paired."""

    pair: PairName
    teacher_recipe: str
    recipe: str
    probe: str | None
    measure: str

    @classmethod
    def of(cls, cell: Cell) -> Setting:
        """The setting of a cell."""
        measure = metric(cell.metric).measure
        return cls(cell.pair, cell.teacher_recipe, cell.recipe, cell.probe, measure)


@dataclass(frozen=True)
class PairedNumbers:
    """Paired numbers of several methods.

    Attributes:
        setting: what they are compared on.
        seed: seed of their runs.
        machines: conditions of each method's number, in the table's order.
    """

    setting: Setting
    seed: int
    machines: Mapping[str, Machine]

    @cached_property
    def differing(self) -> dict[str, set[Any]]:
        """The conditions that differ, with all their values; an unknown condition differs from nothing."""
        found = {}
        for what in dict.fromkeys(what for machine in self.machines.values() for what in machine):
            values = {machine[what] for machine in self.machines.values() if what in machine}
            if len(values) > 1:
                found[what] = set().union(*values)
        return found

    def is_odd(self, method: str, judges: Iterable[str] = (STUDENT,)) -> bool:
        """Whether a method's number was made on another machine than most others, or than one of the ``judges``."""
        most = Counter(frozenset(machine.items()) for machine in self.machines.values()).most_common(1)[0][0]
        judged = (dict(most), *(self.machines[name] for name in judges if name in self.machines))
        return any(_unlike(self.machines[method], other) for other in judged)

    def others(self, method: str) -> list[str]:
        """The methods whose numbers were made on another machine than this one's."""
        own = self.machines[method]
        return [name for name, machine in self.machines.items() if _unlike(own, machine)]

    def contrast(self, method: str) -> str:
        """How the machines of the others differ: ``processor: Intel Xeon (6.85.7), there AMD EPYC (26.2.1)``."""
        others, facts = self.others(method), []
        for what, own in self.machines[method].items():
            theirs = frozenset().union(*(self.machines[name].get(what, frozenset()) for name in others))
            if theirs and theirs != own:
                facts.append(f"{what}: {_listed(own)}, there {_listed(theirs)}")
        return "; ".join(facts)


@dataclass(frozen=True)
class Elsewhere:
    """Runs of a cell that were made on another machine than the runs they are compared with.

    Attributes:
        seeds: number of such runs.
        reason: the machines of these runs and of the others.
    """

    seeds: int
    reason: str


def mixtures(table: Table, records: Records, known: Known = NOTHING_KNOWN) -> tuple[str, ...]:
    """Sentences for a table's notes about runs that were made under different conditions.

    Args:
        table: the table.
        records: records by cell.
        known: records of the jobs that these rest on, by id.
    """
    done = [(cell, record) for cell in table.cells for record in of_status(DONE, records.get(cell.key, ()))]
    compared = comparisons(table.cells, records, known)
    told = {what for comparison in compared for what in comparison.differing}
    # An analysis is always in float32, so only jobs of one kind have to agree.
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
    taught = ((cell, record, record.spec.get("teacher") or {}) for cell, record in done)
    weights = (
        ((c.pair.teacher, c.teacher_recipe, of.get("id")), rec.provenance.teacher_weights) for c, rec, of in taught
    )
    teachers = dict.fromkeys(name for name, *_ in _differing(weights))
    if teachers:
        facts.append(f"{mixes} teachers: students learned from different weights of {', '.join(teachers)}.")
    if any(_rests_on_earlier(record, known) for cell, record in done if cell.method != TEACHER):
        facts.append("Some numbers rest on weights of runs that were trained again since: --retrain makes them anew.")
    return tuple(facts)


def comparisons(cells: Iterable[Cell], records: Records, known: Known = NOTHING_KNOWN) -> list[PairedNumbers]:
    """The paired numbers of cells, in the cells' order, without teachers, which all their students share.

    Args:
        cells: cells of one or several tables.
        records: records by cell.
        known: records of the jobs that these rest on, by id.
    """
    found: dict[tuple[Setting, int], dict[str, Machine]] = {}
    for cell in cells:
        if cell.method != TEACHER and not metric(cell.metric).of_network:
            for record in of_status(DONE, records.get(cell.key, ())):
                numbers = found.setdefault((Setting.of(cell), record.spec["seed"]), {})
                numbers[cell.method] = _machine(record, known)
    return [PairedNumbers(setting, seed, machines) for (setting, seed), machines in found.items()]


def mixed_machines(compared: Sequence[PairedNumbers]) -> tuple[str, ...]:
    """A sentence about paired numbers that were made on different machines, if there are any."""
    mixed = [comparison for comparison in compared if comparison.differing]
    if not mixed:
        return ()
    values: dict[str, set[Any]] = {}
    for comparison in mixed:
        for what, found in comparison.differing.items():
            values.setdefault(what, set()).update(found)
    several = [comparison for comparison in compared if len(comparison.machines) > 1]
    on, pairs = (len({comparison.setting.pair for comparison in some}) for some in (mixed, several))
    where = "On the one pair" if pairs == 1 else f"On {on} of {pairs} pairs"
    facts = "; ".join(f"{what}: {_listed(found)}" for what, found in values.items())
    made = f"{where}, runs that are compared were made on different machines ({facts}), which can change their numbers"
    return (f"{made}: {ADVICE}.",)


def elsewhere(
    compared: Iterable[PairedNumbers],
    cell: Cell,
    titles: Mapping[str, str] = MappingProxyType({}),
    judges: Iterable[str] = (STUDENT,),
) -> Elsewhere | None:
    """The runs of a cell that were made on another machine than those they are compared with, or None.

    Args:
        compared: paired numbers of the cell's table.
        cell: the cell.
        titles: titles of methods, where they differ from their names.
        judges: methods that the cell's method is always compared with.
    """
    setting, judges = Setting.of(cell), tuple(judges)
    own = [one for one in compared if one.setting == setting and cell.method in one.machines]
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


def _reason(comparison: PairedNumbers, method: str, titles: Mapping[str, str]) -> str:
    others = [titles.get(name, name) for name in comparison.others(method)]
    more = [f"{len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else []
    names = ", ".join([*others[:_MOST_NAMED], *more])
    return f"made on another machine than {names} ({comparison.contrast(method)})"


def _machine(record: Record, known: Known) -> Machine:
    """The conditions of a number: those of its run and of the jobs it rests on, except the teacher."""
    values: dict[str, set[Any]] = {}
    for part in _parts(record, known):
        for what, value in part.provenance.conditions.items():
            if value is not None:
                values.setdefault(f"{what}{_of_kind(part)}", set()).add(value)
    return {what: frozenset(found) for what, found in values.items()}


def _parts(record: Record, known: Known) -> Iterator[Record]:
    """A record with those of its pretraining stages and of the run that it measures, recursively."""
    yield record
    for needed in _needed(record, known):
        yield from _parts(needed, known)


def _rests_on_earlier(record: Record, known: Known) -> bool:
    return any(part.rests_on_earlier(needed) for part in _parts(record, known) for needed in _needed(part, known))


def _needed(record: Record, known: Known) -> Iterator[Record]:
    looked_at = [named["id"] for part in ("base", "subject") if (named := record.spec.get(part))]
    yield from (known[job] for job in (*record.spec.get("stages", ()), *looked_at) if job in known)


def _of_kind(record: Record) -> str:
    """Suffix for conditions of probes and analyses, which may run on other machines than the training."""
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
"""Conditions that should be equal in a whole table."""
_PLURALS = {"device": "devices", "threads": "numbers of threads", "precision": "precisions"}


def _differing(values: Iterable[tuple[Key, Any]]) -> dict[Key, list[str]]:
    """The distinct values of each key that has several values."""
    groups: dict[Key, list[Any]] = {}
    for key, value in values:
        groups.setdefault(key, []).append(value)
    found = {key: distinct(group) for key, group in groups.items()}
    return {key: group for key, group in found.items() if len(group) > 1}
