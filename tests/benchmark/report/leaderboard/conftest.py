import pytest

from benchmark import costs, suite
from benchmark.arguments import DEFAULT_SEEDS
from benchmark.book import Book
from benchmark.layers import load_profile
from benchmark.planner import make_plan
from benchmark.report import Context
from benchmark.report.leaderboard.board import Source
from benchmark.store import Store
from benchmark.table import TEACHER

PAIRS = ["resnet56:resnet20", "vgg13:vgg8", "wrn-40-2:wrn-40-1"]
GAINS = {"student": 0.0, "kd": 1.0, "at": 0.5, "srrl": 2.0}


@pytest.fixture(scope="session")
def table():
    """Four methods and FSP on three pairs; FSP does not apply to the last."""
    return suite.load().select([*GAINS, "fsp"], PAIRS)


@pytest.fixture(scope="session")
def plan(table, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("checkpoints"))
    return make_plan([table], Book(load_profile("digits"), {}), DEFAULT_SEEDS, store, costs.SPEEDS["cpu"])


@pytest.fixture
def source(table, plan):
    """``source(change)`` is three seeds of all; but one pair lacks FSP, and one cannot have it."""

    def made(cell, job, number):
        top1 = 70 + GAINS.get(cell.method, 5.0) + number + job.seed / 10
        last = {"epoch": 6, "top1": top1, "topk": 90.0, "loss": 2 - top1 / 100}
        return {
            "id": job.id,
            "status": "done",
            "spec": job.spec,
            "metrics": {"params": 1000, "last": last, "best": {**last, "top1": top1 + 1}},
            "curves": {"test": {"epoch": [3, 6], "top1": [50.0, top1], "topk": [80.0, 90.0], "loss": [2.5, 1.3]}},
            "cost": {"step_seconds": 2.0 + (cell.method == "kd") + job.seed / 10, "extra_parameters": 7},
            "provenance": {"processor": "P", "device": "cpu", "threads": 1, "data": {"fingerprint": "f"}},
        }

    def build(change=lambda _cell, _job, record: record):
        records = {}
        for cell in table.cells():
            if cell.method == "fsp":
                continue
            for job in plan.cells[cell.name]:
                record = made(cell, job, PAIRS.index(f"{cell.teacher}:{cell.student}") * (cell.method != TEACHER))
                records[job.id] = change(cell, job, record)
        for number, pair in enumerate(PAIRS):
            for job in plan.cells[f"leaderboard/{pair}/fsp/top1"]:
                status = {0: "done", 2: "not_applicable"}.get(number)
                if status == "done":
                    records[job.id] = made(next(c for c in table.cells() if c.method == "fsp"), job, 0)
                elif status:
                    records[job.id] = {
                        "id": job.id,
                        "status": status,
                        "spec": job.spec,
                        "metrics": {},
                        "provenance": {},
                        "failure": {"reason": "unequal channels"},
                    }
        found = {key: record for key, record in records.items() if record is not None}
        context = Context("digits", "Note.", (), DEFAULT_SEEDS, stand_in=True)
        return Source(table, plan.cells, found, context)

    return build
