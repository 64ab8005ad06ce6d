from dataclasses import replace

import pytest

from benchmark import catalog, costs
from benchmark.errors import UserError

CPU, CUDA = costs.SPEEDS["cpu"], costs.SPEEDS["cuda"]


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 200 * 391),
        ({"batch_size": 64}, 200 * 782),
        ({"epochs": 1, "train_limit": 2048}, 16),
        ({"train_limit": 10**9}, 200 * 391),
        ({"holdout": 5000}, 200 * 352),
        ({"holdout": 5000, "train_limit": 2048}, 200 * 16),
    ],
)
def test_steps(changes, steps, job):
    assert costs.steps(job(profile="paper", **changes)) == steps


def test_steps_of_first_stages_and_probes(kinds):
    made = kinds(profile="paper")
    assert costs.steps(made["stage"]) == 30 * 782
    assert costs.steps(made["probe"]) == 100 * 40


@pytest.fixture
def forward():
    """Seconds that a CPU needs for a batch through a network, from its line in networks.csv."""

    def count(network, batch_size):
        return 0.020 / 3 + batch_size * catalog.networks()[network].macs / 2e11

    return count


def test_what_every_kind_of_job_takes(kinds, forward):
    """A training step is three forward passes, a frozen network's one; 8,000 or 10,000 test images at a time."""
    made = kinds(profile="paper", evaluate_every=7)
    student, teacher = forward("wrn-16-2", 64), forward("wrn-40-2", 64)
    counted = {kind: costs.seconds([job], CPU) for kind, job in made.items()}
    images = 10_000 / 64
    assert counted["train"] == pytest.approx(240 * 782 * (3 * student + teacher) + 35 * images * student)
    assert counted["stage"] == pytest.approx(30 * 782 * (3 * student + teacher))
    assert counted["probe"] == pytest.approx((100 * 40 + 15 * 8000 / 128) * forward("wrn-16-2", 128))
    assert counted["evaluate"] == pytest.approx(images * teacher)
    assert counted["analyse"] > images * student


def test_a_network_at_another_size_costs_what_it_computes(job, forward):
    plain, small = (job("student", profile="paper", **changes) for changes in ({}, {"in_size": 16, "width": 0.5}))
    count = 200 * (391 * 3 + 10_000 / 128)
    assert costs.seconds([plain], CPU) == pytest.approx(count * forward("wrn-16-2", 128))
    assert costs.seconds([small], CPU) == pytest.approx(count * forward("wrn-16-2", 128 / 16))


def test_an_unknown_data_set_is_named(job):
    with pytest.raises(UserError, match="unknown data set 'cifar-100': did you mean 'cifar100'"):
        costs.steps(job(dataset="cifar-100"))


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
