from dataclasses import replace

import pytest

from benchmark import costs
from benchmark.errors import UserError

CPU, CUDA = costs.SPEEDS["cpu"], costs.SPEEDS["cuda"]


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 200 * 391),
        ({"batch_size": 64}, 200 * 782),
        ({"epochs": 1, "train_limit": 2048}, 16),
        ({"train_limit": 10**9}, 200 * 391),
    ],
)
def test_steps(changes, steps, job):
    assert costs.steps(job(profile="paper", **changes)) == steps


def test_an_unknown_data_set_is_named(job):
    with pytest.raises(UserError, match="unknown data set 'cifar': did you mean 'cifar100'"):
        costs.steps(job(dataset="cifar"))


def test_a_cohort_pays_for_its_teacher_once(job):
    runs = [job("kd"), job("at"), job("srrl")]
    alone = [costs.seconds([run], CPU) for run in runs]
    student = costs.seconds([job("student")], CPU)
    assert costs.seconds(runs, CPU) == pytest.approx(sum(alone) - 2 * (alone[0] - student))
    assert alone[0] > student


def test_cost_grows_with_what_is_computed(job):
    plain = costs.seconds([job(profile="paper")], CUDA)
    assert costs.seconds([job(profile="paper", epochs=400)], CUDA) == pytest.approx(2 * plain)
    assert costs.seconds([job(profile="paper", width=2.0)], CUDA) > plain
    assert costs.seconds([job(profile="paper", in_size=64)], CUDA) > plain
    assert costs.seconds([job(profile="paper")], CPU) > plain


def test_calibration_takes_the_median_of_this_kind_of_device(job):
    def record(seconds, device="cpu", counted=10.0):
        cost = {"cohort_seconds": seconds, "cohort_counted_seconds": counted}
        return job(), {"cost": cost, "provenance": {"device": device}}

    failed = job(), {"provenance": {"device": "cpu"}, "cost": None}
    measured = [record(20.0), record(30.0), record(500.0), record(7.0, counted=0.0), record(1.0, "NVIDIA H200"), failed]
    assert costs.calibrated(CPU, measured) == replace(CPU, correction=3.0)
    assert costs.calibrated(CUDA, measured) == replace(CUDA, correction=0.1)
    assert costs.calibrated(CPU, [failed]) == CPU


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (3.5 * 3600, "3.5 h"), (9.2 * 86400, "9 days")],
)
def test_spoken(seconds, text):
    assert costs.spoken(seconds) == text
