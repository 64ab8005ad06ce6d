"""A record's provenance in words: code, versions, machine, time and data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.runs.record import Data, Provenance, Record

_CHANGED: Mapping[bool | None, str] = {
    True: "with changes that were not committed",
    False: "as committed",
    None: "whether changed is unknown",
}
_OFFICIAL: Mapping[bool | None, str] = {True: "the official data", False: "other data than the official ones"}


def origin(record: Record) -> dict[str, str]:
    """``code, versions, machine, finished`` of a record in words; unknown parts except the code are left out."""
    provenance = record.provenance
    facts = {
        "code": _code(record),
        "versions": ", ".join(f"{name} {number}" for name, number in provenance.versions.items()),
        "machine": _machine(provenance),
        "finished": provenance.finished.isoformat() if provenance.finished else "",
    }
    return {key: text for key, text in facts.items() if text}


def data_text(data: Data) -> str:
    """The data in words: name, fingerprint, and whether they are the official data."""
    fingerprint = f"fingerprint {data.fingerprint}" if data.fingerprint else None
    return ", ".join(filter(None, (data.name, fingerprint, _OFFICIAL.get(data.official))))


def own_code(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """SHA-256 of the code of drafts and plug-ins in a spec."""
    terms = (spec.get("objective") or {}).get("terms", {}).values()
    stated = (term.get("sha256") for term in (*terms, spec.get("method") or {}))
    return tuple(dict.fromkeys(sha for sha in (*stated, *spec.get("code", {}).values()) if sha))


def _code(record: Record) -> str:
    provenance, own = record.provenance, own_code(record.spec)
    state = _CHANGED[provenance.dirty]
    known = f"revision {provenance.revision}, {state}" if provenance.revision else "no revision known"
    return f"{known}, and code of drafts or plug-ins (SHA-256 {', '.join(own)})" if own else known


def _machine(provenance: Provenance) -> str:
    threads = provenance.threads
    count = f"{threads} thread{'' if threads == 1 else 's'}" if threads else None
    return ", ".join(filter(None, (provenance.device, count, provenance.processor)))
