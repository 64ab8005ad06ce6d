"""What a reader of a table should know of runs that were not made alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from benchmark.record import Record
from benchmark.report.aggregate import DONE, Records, distinct, of_status
from benchmark.tables import Table

Key = TypeVar("Key")


def mixtures(table: Table, records: Records) -> tuple[str, ...]:
    """What a reader should know of runs that were not made alike, as sentences for notes."""
    done = [(cell, record) for cell in table.cells() for record in of_status(DONE, records.get(cell.name, ()))]
    # An analysis is always in float32: only what jobs of one kind were made by has to agree.
    conditions = (((what, rec.kind), look(rec)) for _, rec in done for what, look in _CONDITIONS.items())
    facts = [f"This table mixes {what}: {', '.join(values)}." for (what, _), values in _differing(conditions).items()]
    data = [record.provenance.data for _, record in done if record.provenance.data]
    versions = _differing((seen.name, seen.fingerprint) for seen in data)
    facts += [f"This table mixes versions of {name}: {', '.join(values)}." for name, values in versions.items()]
    if any(seen.official is False for seen in data):
        facts.append("Some runs saw other data than the official ones: their records name the fingerprint.")
    weights = (((cell.teacher, cell.teacher_recipe), record.provenance.teacher_weights) for cell, record in done)
    teachers = dict.fromkeys(name for name, _ in _differing(weights))
    if teachers:
        facts.append(f"This table mixes teachers: students learned from different weights of {', '.join(teachers)}.")
    return tuple(facts)


_CONDITIONS: Mapping[str, Callable[[Record], Any]] = MappingProxyType(
    {
        "devices": lambda record: record.provenance.device,
        "numbers of threads": lambda record: record.provenance.threads,
        "precisions": lambda record: record.spec.get("recipe", {}).get("precision"),
    }
)


def _differing(values: Iterable[tuple[Key, Any]]) -> dict[Key, list[str]]:
    """The distinct values of each key that has several."""
    groups: dict[Key, list[Any]] = {}
    for key, value in values:
        groups.setdefault(key, []).append(value)
    found = {key: distinct(group) for key, group in groups.items()}
    return {key: group for key, group in found.items() if len(group) > 1}
