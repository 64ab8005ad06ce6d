from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from benchmark.report import Context
from benchmark.runs.names import MethodName, PairName
from benchmark.runs.record import Record
from benchmark.tables.reader import Axis, Table, load
from tests.benchmark import made_up

Records = dict[str, list[Record | None]]


@pytest.fixture
def record() -> Callable[..., Record]:
    def make(
        top1: float | None = 97.0, status: str = "done", reason: str = "diverged", *, seed: int = 0, **provenance: Any
    ) -> Record:
        facts = made_up.PROVENANCE | {"teacher_weights": "ab12"} | provenance
        given: dict[str, Any] = {"spec": {"seed": seed}, "provenance": facts}
        if status != "done":
            return made_up.record(status=status, failure={"reason": reason}, **given)
        last, best = {"top1": top1}, {"top1": top1 + 1, "epoch": 12}
        return made_up.record(metrics={"params": 703_284, "last": last, "best": best}, **given)

    return make


@pytest.fixture
def small_table() -> Callable[..., Table]:
    """One row, pair ``big:small``; by default Student, KD, AT, Teacher with the paper's values 70, 71, 72, 73."""

    def make(
        columns: Sequence[str] = ("student", "kd", "at", "teacher"), label: str = "Big -> Small", **changes: Any
    ) -> Table:
        axes = tuple(
            Axis(label=name.upper(), role="teacher")
            if name == "teacher"
            else Axis(label=name.upper(), method=MethodName(role=name))
            for name in columns
        )
        row = Axis(label=label, pair=PairName("big", "small"))
        parts = {
            "name": "table06",
            "kind": "table",
            "number": "6",
            "title": "Accuracy",
            "recipe": "C100",
            "heads": ("Student", "Teacher"),
            "rows": (row,),
            "columns": axes,
            "notes": (),
            "defaults": Axis(label="", metric="top1"),
        }
        parts["paper"] = (tuple(70.0 + i for i in range(len(columns))),)
        return Table(**(parts | changes))

    return make


@pytest.fixture
def named() -> Callable[[Mapping[str, list[Record | None]]], Records]:
    """Records by method as records by cell of the small table."""
    return lambda by_method: {f"table06/big:small/{method}/top1": found for method, found in by_method.items()}


@pytest.fixture
def table6() -> Table:
    return load("6")


@pytest.fixture
def full_records(table6: Table, record: Callable[..., Record]) -> Records:
    """Table 6 with every state: mostly done, cells of the first row partial, failed, missing, not applicable."""

    def found(position: int, method: str) -> list[Record | None]:
        return [record(95 + position % 7 / 10 + seed / 100) for seed in range(1 if method == "teacher" else 3)]

    records: Records = {cell.key: found(i, cell.method) for i, cell in enumerate(table6.cells)}
    failed, refused = record(None, "failed", "diverged in epoch 3"), record(None, "not_applicable", "unequal channels")
    start = "table06/wrn-40-4:wrn-16-2"
    return records | {
        f"{start}/kd/top1": [record(96.0), None, record(96.5)],
        f"{start}/at/top1": [failed, failed, failed],
        f"{start}/ofd/top1": [None, None, None],
        f"{start}/rkd/top1": [refused, refused, refused],
        f"{start}/crd/top1": [record(96.0), failed, record(96.5)],
    }


MEASURES = {"kl_teacher": 0.5, "cross_entropy": 0.9, "l2": 1.2, "nmi": 77.0}


@pytest.fixture
def records_of(record: Callable[..., Record]) -> Callable[[Table], Records]:
    """Three done records for every student's cell of a table, one for a teacher's, all a little different."""

    def found(position: int, method: str) -> list[Record | None]:
        made = [record(70 + position % 37 / 10 + seed / 100) for seed in range(1 if method == "teacher" else 3)]
        for seed, one in enumerate(made):
            one.metrics.last.update({key: value + position / 100 + seed / 50 for key, value in MEASURES.items()})
        return [*made]

    return lambda table: {cell.key: found(i, cell.method) for i, cell in enumerate(table.cells)}


@pytest.fixture
def context() -> Context:
    return Context(
        profile="digits", note="Stand-in data", changes=("epochs=1", "lr=0.1"), seeds=(0, 1, 2), stand_in=True
    )
