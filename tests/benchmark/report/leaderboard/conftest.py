from dataclasses import replace

import pytest

from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.planning.planner import make_plan
from benchmark.report import Context
from benchmark.report.leaderboard.data import LeaderboardData
from benchmark.runs.names import TEACHER
from benchmark.runs.store import Store
from benchmark.tables import leaderboard
from tests.benchmark.report.leaderboard.made_up import broken, done

PAIRS = ["resnet56:resnet20", "vgg13:vgg8", "wrn-40-2:wrn-40-1"]
GAINS = {"student": 0.0, "kd": 1.0, "at": 0.5, "srrl": 2.0}


@pytest.fixture(scope="session")
def table():
    """Four methods and FSP on three pairs; FSP does not apply to the last."""
    return leaderboard.load().select([*GAINS, "fsp"], PAIRS)


@pytest.fixture(scope="session")
def plan_for(tmp_path_factory):
    """``plan_for(table)`` over three seeds, without any record."""
    store = Store(tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("checkpoints"))
    resolver = ConfigResolver(load_profile("digits"), {})
    return lambda table: make_plan([table], resolver, DEFAULT_SEEDS, store)


@pytest.fixture(scope="session")
def data_for(plan_for):
    """``data_for(table, record)``: the data of records that ``record(cell, job)`` returns, each or None."""

    def build(table, record, **changes):
        plan = plan_for(table)
        made = {job.id: record(cell, job) for cell in table.cells for job in plan.cells[cell.key]}
        found = {key: one for key, one in made.items() if one is not None}
        context = Context("digits", "Note.", (), DEFAULT_SEEDS, stand_in=True)
        return LeaderboardData(table, replace(plan, records=found), replace(context, **changes))

    return build


@pytest.fixture
def plan(table, plan_for):
    return plan_for(table)


@pytest.fixture
def sample(table, data_for):
    """``sample(change)``: three seeds of all methods; FSP is missing on one pair and does not apply to another."""

    def made(cell, job):
        number = PAIRS.index(cell.pair)
        if cell.method == "fsp" and number:
            return {2: broken(job, "not_applicable", "unequal channels")}.get(number)
        number = 0 if cell.method == TEACHER else number
        seconds = 2.0 + (cell.method == "kd") + job.seed / 10
        return done(job, 70 + GAINS.get(cell.method, 5.0) + number + job.seed / 10, seconds=seconds)

    def build(change=lambda _cell, _job, record: record):
        def record(cell, job):
            one = made(cell, job)
            return one if one is None or cell.method == "fsp" else change(cell, job, one)

        return data_for(table, record)

    return build
