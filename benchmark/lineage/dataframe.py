"""All records of a profile as one flat, tidy DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from benchmark.errors import UserError, unknown
from benchmark.lineage.describe import own_code
from benchmark.lineage.graph import objective_text
from benchmark.lineage.records import Archive, StoredRecord
from benchmark.registry.catalog import ROOT
from benchmark.runs.metrics import METRICS

_TEXT, _COUNT, _NUMBER, _YES_OR_NO, _TIME = "string", "Int64", "float64", "boolean", "datetime64[us, UTC]"


def read(profile: str, results: Path | str | None = None) -> pd.DataFrame:
    """All records of a profile, one row each, ordered by recipe, teacher, network, method, kind, seed and id.

    A record that cannot be trusted is left out with an ``UnfitRecordWarning``. What a record does not tell is missing.
    There are failed runs among them, and drafts as they were before an edit: numbers are those of
    ``frame[frame["status"] == "done"]``, and drafts are told apart by ``code``. Columns:

    * ``id, kind`` (``train``, ``stage``, ``evaluate``, ``probe``, ``analyse``), ``status`` (``done``, ``failed``,
      ``not_applicable``), ``reason`` (why it is not done);
    * ``recipe, dataset, teacher, network, method, seed``, where ``method`` is the objective's name, ``student`` for
      cross-entropy alone, and ``objective`` the same with weights and options; ``code``: SHA-256 of the code of
      drafts and plug-ins (several joined by ``+``), empty if all code is settled;
    * of the recipe ``epochs, batch_size, optimizer, lr, weight_decay, precision, in_size, width, holdout``; with a
      ``holdout`` above 0 the accuracy is that on held-out training images;
    * ``last_epoch, last_top1, last_topk, last_loss``, and the same with ``best_``: accuracies in percent of runs and of
      given weights; ``params``;
    * ``probe_last_top1 ...``: the same of a linear probe; ``stage_last_epoch, stage_last_loss``: of a first stage;
    * ``MEASURE_KEY``, such as ``similarity_kl_teacher``: what an analysis measured;
    * ``seconds`` of its own steps (on a CPU), ``cohort_seconds, cohort_members, extra_parameters`` (trained beside the
      network and dropped);
    * ``revision, dirty, torch, device, processor, threads, finished, data_fingerprint, data_official, teacher_id,
      teacher_weights`` (SHA-256);
    * ``path`` of the record below the profile's folder, for curves, points and the whole spec.

    Args:
        profile: name of the profile, or of a folder beside it.
        results: the folder of all results; None for the project's own.

    Raises:
        UserError: there is no such folder, or a newer revision of the project wrote a record in it.
    """
    root = ROOT / "results" if results is None else Path(results)
    profiles = sorted(path.parent.name for path in root.glob("*/records"))
    if not profiles:
        raise UserError(f"there are no records in {root}: run_all.py writes some there, or name another folder")
    if profile not in profiles:
        raise unknown(f"profile with records in {root}", profile, profiles)
    folder = root / profile
    rows = [
        {name: look(known) for name, (look, _) in _COLUMNS.items()}
        | {**_measures(known), "path": known.path.relative_to(folder).as_posix()}
        for known in Archive(folder)
    ]
    others = sorted({name for row in rows for name in row} - {*_COLUMNS, *_MEASURED, "path"})
    columns = [*_COLUMNS, *_MEASURED, *others, "path"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["finished"] = pd.to_datetime(frame["finished"], utc=True)
    frame = frame.astype({name: _type(name) for name in columns})
    return frame.sort_values(_ORDER, na_position="first", ignore_index=True)


def _type(column: str) -> str:
    if column in _COLUMNS:
        return _COLUMNS[column][1]
    return _TEXT if column == "path" else _COUNT if column.endswith("_epoch") else _NUMBER


def _measures(known: StoredRecord) -> dict[str, float]:
    """What was measured, each kind of job in columns of its own: a probe's accuracy is none of a run's."""
    record = known.record
    prefixes = _PREFIXES.get(record.kind) or {"last": f"{record.spec['measure']['name']}_"}
    return {
        f"{prefix}{key}": value
        for selection, prefix in prefixes.items()
        for key, value in record.metrics.of(selection).items()
    }


_ORDER = ["recipe", "teacher", "network", "method", "kind", "seed", "id"]
_EPOCH = ("epoch", "top1", "topk", "loss")
_PREFIXES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "train": {"last": "last_", "best": "best_"},
        "evaluate": {"last": "last_", "best": "best_"},
        "probe": {"last": "probe_last_", "best": "probe_best_"},
        "stage": {"last": "stage_last_"},
    }
)
_MEASURED = (
    *(f"{prefix}{key}" for prefix in _PREFIXES["train"].values() for key in _EPOCH),
    *(f"{prefix}{key}" for prefix in _PREFIXES["probe"].values() for key in _EPOCH),
    *(f"{prefix}{key}" for prefix in _PREFIXES["stage"].values() for key in ("epoch", "loss")),
    *(f"{metric.measure}_{metric.key}" for metric in METRICS.values() if metric.measure),
)
"""Columns that are there even where nothing has been measured yet."""


def _objective(known: StoredRecord) -> str | None:
    objective = known.record.spec.get("objective")
    return objective_text(objective) if objective else None


def _at(*path: str) -> Callable[[StoredRecord], Any]:
    """Looks up a value in the record, by the parts on the way to it; None where one of them is left out."""

    def look(known: StoredRecord) -> Any:
        value: Any = known.record
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
        return value

    return look


_RECIPE = MappingProxyType(
    {
        "epochs": _COUNT,
        "batch_size": _COUNT,
        "optimizer": _TEXT,
        "lr": _NUMBER,
        "weight_decay": _NUMBER,
        "precision": _TEXT,
        "in_size": _COUNT,
        "width": _NUMBER,
        "holdout": _COUNT,
    }
)
_COLUMNS: Mapping[str, tuple[Callable[[StoredRecord], Any], str]] = MappingProxyType(
    {
        "id": (_at("id"), _TEXT),
        "kind": (_at("kind"), _TEXT),
        "status": (_at("status"), _TEXT),
        "reason": (lambda known: known.record.reason or None, _TEXT),
        "recipe": (lambda known: known.recipe, _TEXT),
        "dataset": (_at("provenance", "data", "name"), _TEXT),
        "teacher": (lambda known: known.teacher, _TEXT),
        "network": (lambda known: known.student, _TEXT),
        "method": (lambda known: known.method, _TEXT),
        "seed": (_at("spec", "seed"), _COUNT),
        "objective": (_objective, _TEXT),
        "code": (lambda known: "+".join(own_code(known.record.spec)), _TEXT),
        **{key: (_at("spec", "recipe", key), kind) for key, kind in _RECIPE.items()},
        "params": (_at("metrics", "params"), _COUNT),
        "seconds": (_at("cost", "step_seconds"), _NUMBER),
        "cohort_seconds": (_at("cost", "cohort_seconds"), _NUMBER),
        "cohort_members": (_at("cost", "cohort_members"), _COUNT),
        "extra_parameters": (_at("cost", "extra_parameters"), _COUNT),
        "revision": (_at("provenance", "revision"), _TEXT),
        "dirty": (_at("provenance", "dirty"), _YES_OR_NO),
        "torch": (_at("provenance", "versions", "torch"), _TEXT),
        "device": (_at("provenance", "device"), _TEXT),
        "processor": (_at("provenance", "processor"), _TEXT),
        "threads": (_at("provenance", "threads"), _COUNT),
        "finished": (_at("provenance", "finished"), _TIME),
        "data_fingerprint": (_at("provenance", "data", "fingerprint"), _TEXT),
        "data_official": (_at("provenance", "data", "official"), _YES_OR_NO),
        "teacher_id": (_at("spec", "teacher", "id"), _TEXT),
        "teacher_weights": (_at("provenance", "teacher_weights"), _TEXT),
    }
)
"""How a column is read, and of what type it is."""
