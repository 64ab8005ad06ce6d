"""A column's rounds, with processes that answer at once."""

import pytest

from benchmark.bench import columns, lab, rounds
from benchmark.bench.columns import COHORT, SEPARATE, SIDE_BY_SIDE
from benchmark.bench.measurements import BARE_RATE, FLOOR, FLOOR_RATE, MATRIX_RATE, RATE, baseline, rows
from benchmark.bench.rounds import ColumnRounds, Lineup
from benchmark.config.overrides import load_profile
from benchmark.runs.names import STUDENT

NAME = "11/wrn-40-2:wrn-16-2"
ANSWERS = {
    "block": lambda *_: 1.0,
    "steps": lambda _: {"kd": 0.6, "at": 0.6, STUDENT: 0.5},
    "parts": lambda *_: {"forward": 1.0, "backward": 3.0},
    "memory": lambda: {"memory": 2**30},
    "matrix_rate": lambda *_: 1e11,
}


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Measures a column, with answers like ``Separate_block``; gives values, questions, the better way."""

    def run(cores=2, **answers):
        asked = []

        class Process:
            def __init__(self, title, maker, _arguments, _threads=None):
                self.title, self._maker = title, maker.rpartition(":")[2]
                self._open = [None]

            def ask(self, method, *arguments):
                asked.append((self._maker, method, arguments))
                answer = answers.get(f"{self._maker}_{method}", ANSWERS[method])
                self._open.append(answer(*arguments))

            def answer(self):
                return self._open.pop(0)

            def call(self, method, *arguments):
                self.ask(method, *arguments)
                return self._open.pop()

            def close(self):
                pass

        monkeypatch.setattr(rounds, "Process", Process)
        monkeypatch.setattr(lab, "leave_needs", lambda *_: None)
        plan = Lineup(load_profile("paper"), {}, ["kd", "at"], "cpu", cores, columns.variants("cpu", cores), 2, 0.5)
        measured = list(ColumnRounds(NAME, plan, tmp_path, lambda _: None).measure())
        values = {(row.variant, row.quantity): row.value for row in rows(measured) if row.column == NAME}
        return values, asked, baseline(measured, NAME)

    return run


@pytest.mark.parametrize(
    ("alone", "beside", "way", "threads"),
    [(1.0, 1.5, SIDE_BY_SIDE, (1,)), (1.0, 2.5, SEPARATE, ())],
)
def test_separate_trainings_are_measured_in_both_ways_and_described_by_the_better(alone, beside, way, threads, measure):
    values, asked, better = measure(Separate_block=lambda _, threads=None: beside if threads == 1 else alone)
    assert better == way
    assert values[SEPARATE, RATE] == 1 / alone
    assert values[SIDE_BY_SIDE, RATE] == 2 / beside
    blocks = [arguments for maker, method, arguments in asked if (maker, method) == ("Separate", "block")]
    # In each of two rounds three alone, and two pairs side by side, of which the last is filled up.
    assert (blocks.count((0.5,)), blocks.count((0.5, 1))) == (2 * 3, 2 * 4)
    assert {arguments for maker, method, arguments in asked if (maker, method) == ("Separate", "parts")} == {threads}
    assert values[way, "share of backward"] == 0.75
    assert values[way, MATRIX_RATE] == (2e11 if way == SIDE_BY_SIDE else 1e11)
    assert values[way, FLOOR] == values[way, RATE] / values[way, FLOOR_RATE]


def test_no_more_train_side_by_side_than_there_are(measure):
    values, _, _ = measure(cores=16, Separate_block=lambda _, threads=None: 3.0 if threads == 1 else 1.5)
    assert values[SIDE_BY_SIDE, RATE] == 3 / 3.0
    assert values[SEPARATE, RATE] == 1 / 1.5


def test_a_disturbed_step_leaves_what_plain_steps_take(measure):
    """Without its losses a batch cannot take less than no time."""
    values, _, _ = measure(CohortBenchmark_steps=lambda _: {"kd": 9.0, "at": 0.6, STUDENT: 0.5})
    assert values[COHORT, BARE_RATE] == 2 * 2 / (2 * 0.5)
    values, _, _ = measure(CohortBenchmark_block=lambda *_: 1.5)
    assert values[COHORT, BARE_RATE] == pytest.approx(2 * 2 / (1.5 - 0.2))
