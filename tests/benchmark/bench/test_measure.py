"""A column's rounds, with processes that answer at once."""

import pytest

from benchmark.bench import columns, random_data
from benchmark.bench import measure as measuring
from benchmark.bench.columns import COHORT, SEPARATE, SIDE_BY_SIDE
from benchmark.bench.measure import BenchmarkConfig, ColumnBenchmark
from benchmark.bench.measurements import BARE_RATE, FLOOR, FLOOR_RATE, MATRIX_RATE, RATE, baseline, summarise
from benchmark.config.overrides import load_profile
from benchmark.runs.names import STUDENT

NAME = "11/wrn-40-2:wrn-16-2"
ANSWERS = {
    ("SeparateTraining", "step_seconds"): lambda *_: 1.0,
    ("CohortBenchmark", "batch_seconds"): lambda _: 1.0,
    ("CohortBenchmark", "step_seconds"): lambda _: {"kd": 0.6, "at": 0.6, STUDENT: 0.5},
    ("SeparateTraining", "memory"): lambda: {"memory": 2**30},
    ("CohortBenchmark", "memory"): lambda: {"memory": 2**30},
    ("SeparateTraining", "matrix_rate"): lambda *_: 1e11,
    ("CohortBenchmark", "matrix_rate"): lambda _: 1e11,
}


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Measures a column with other answers than `ANSWERS`; gives values, calls, the faster way."""

    def run(cores=2, answers=None):
        calls = []

        class Remote:
            def __init__(self, maker, _arguments, _threads=None):
                self._maker = maker.rpartition(":")[2]

            def start(self, method, *arguments):
                calls.append((self._maker, method, arguments))
                return lambda: (ANSWERS | (answers or {}))[self._maker, method](*arguments)

            def call(self, method, *arguments):
                return self.start(method, *arguments)()

            def ready(self):
                pass

            def close(self):
                pass

        monkeypatch.setattr(measuring, "Remote", Remote)
        monkeypatch.setattr(random_data, "save_needs", lambda *_: None)
        variants = columns.variants("cpu", cores)
        config = BenchmarkConfig(load_profile("paper"), {}, ["kd", "at"], "cpu", cores, variants, 2, 0.5)
        summary = summarise(ColumnBenchmark(NAME, config, tmp_path, lambda _: None).measure())
        values = {(key.variant, key.quantity): spread.value for key, spread in summary.items() if key.column == NAME}
        return values, calls, baseline(summary, NAME)

    return run


def separate(alone, beside):
    """Answers of a separate training."""
    return {("SeparateTraining", "step_seconds"): lambda _, threads=None: beside if threads == 1 else alone}


@pytest.mark.parametrize(
    ("alone", "beside", "way", "threads"),
    [(1.0, 1.5, SIDE_BY_SIDE, (1,)), (1.0, 2.5, SEPARATE, ())],
)
def test_separate_trainings_are_measured_in_both_ways_and_described_by_the_better(alone, beside, way, threads, measure):
    values, calls, better = measure(answers=separate(alone, beside))
    assert better == way
    assert values[SEPARATE, RATE] == 1 / alone
    assert values[SIDE_BY_SIDE, RATE] == 2 / beside
    timed = [arguments for maker, method, arguments in calls if (maker, method) == ("SeparateTraining", "step_seconds")]
    # In each of two rounds three alone, and two pairs side by side; a third one fills up the last pair.
    assert (timed.count((0.5,)), timed.count((0.5, 1))) == (2 * 3, 2 * 4)
    rates = {arguments for maker, method, arguments in calls if (maker, method) == ("SeparateTraining", "matrix_rate")}
    assert rates == {("fp32", *threads)}
    assert values[way, MATRIX_RATE] == (2e11 if way == SIDE_BY_SIDE else 1e11)
    assert values[way, FLOOR] == values[way, RATE] / values[way, FLOOR_RATE]


def test_no_more_train_side_by_side_than_there_are(measure):
    values, _, _ = measure(cores=16, answers=separate(alone=1.5, beside=3.0))
    assert values[SIDE_BY_SIDE, RATE] == 3 / 3.0
    assert values[SEPARATE, RATE] == 1 / 1.5


def test_a_disturbed_step_leaves_what_plain_steps_take(measure):
    """Without its losses a batch cannot take less than no time."""
    values, _, _ = measure(
        answers={("CohortBenchmark", "step_seconds"): lambda _: {"kd": 9.0, "at": 0.6, STUDENT: 0.5}}
    )
    assert values[COHORT, BARE_RATE] == 2 * 2 / (2 * 0.5)
    values, _, _ = measure(answers={("CohortBenchmark", "batch_seconds"): lambda _: 1.5})
    assert values[COHORT, BARE_RATE] == pytest.approx(2 * 2 / (1.5 - 0.2))
