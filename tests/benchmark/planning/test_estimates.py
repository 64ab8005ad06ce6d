import json
import math
import os
import timeit
from itertools import count

import pytest

from benchmark import devices
from benchmark.errors import UserError
from benchmark.planning import estimates
from benchmark.planning.estimates import (
    COHORT_SECONDS,
    LAUNCH_SECONDS,
    MEMBER_SECONDS,
    Estimates,
    StepCost,
    batch_counts,
    load_estimates,
    measured_rate,
    recorded_seconds,
    step_cost,
)
from benchmark.registry import catalog
from benchmark.runs.names import STUDENT
from benchmark.runs.record_file import parse
from tests.benchmark import made_up

HERE = {"processor": "this one", "device": "cpu", "threads": 1}
GPU = {**HERE, "device": "Some GPU"}
BEGIN = COHORT_SECONDS + MEMBER_SECONDS
RATE = 1e11
PLAIN = StepCost("wrn-16-2", 8, 0.25, 32, "fp32")
OTHER = StepCost("wrn-40-4", *PLAIN[1:])
ROUGH = "rough: from counted operations"


def rate(_precision):
    return RATE


def never(_precision):
    raise AssertionError("the rate is not needed where there are records")


@pytest.fixture
def raw_record(job):
    """Factory of the JSON that a finished run leaves, from a CPU unless its step took None."""

    def make(method="kd", *, step=0.01, cohort=1.0, members=1, here=HERE):
        run = job(method)
        batches = batch_counts(run)[0]
        cost = {
            "step_seconds": None if step is None else step * batches,
            "cohort_seconds": cohort,
            "cohort_members": members,
            "images": round(batches * run.recipe.batch_size),
        }
        return made_up.raw_record(run, cost=cost, provenance=here)

    return make


@pytest.fixture
def record(raw_record):
    return lambda *given, **changes: parse(json.dumps(raw_record(*given, **changes)).encode())


def test_a_step_costs_three_forward_passes_of_a_batch():
    info = catalog.networks()["wrn-16-2"]
    assert StepCost("wrn-16-2", info.in_size, 1.0, 64, "bf16").operations == 3 * 64 * info.macs
    assert StepCost("wrn-16-2", info.in_size // 2, 0.5, 64, "bf16").operations == 3 * 64 * info.macs / 16


@pytest.mark.parametrize(
    ("changes", "train", "test"),
    [
        ({}, 200 * 50_000, 200 * 10_000),
        ({"evaluate_every": 30}, 200 * 50_000, 7 * 10_000),
        ({"epochs": 1, "train_limit": 2048}, 2048, 10_000),
        ({"train_limit": 10**9}, 200 * 50_000, 200 * 10_000),
        ({"holdout": 5000}, 200 * 45_000, 200 * 5000),
        ({"holdout": 5000, "train_limit": 2048}, 200 * 2048, 200 * 5000),
    ],
)
def test_batches_of_a_run(changes, train, test, job):
    for batch_size in (128, 64):
        run = job(profile="paper", batch_size=batch_size, **changes)
        assert batch_counts(run) == (train / batch_size, test / batch_size)


def test_a_teacher_sees_its_students_batches_at_its_own_scale(job):
    run = job("kd", "vgg8", "vgg13", recipe="CRD100", batch_size=48)
    assert step_cost(run, run.teacher) == StepCost("vgg13", run.teacher.recipe.in_size, 0.25, 48, "fp32")


class TestWithoutRecords:
    """Estimates from counted operations and a rate."""

    def test_a_run_is_its_steps_its_tests_and_the_teachers_forward_passes(self, job):
        made, run = Estimates(rate), job(profile="paper")
        student, teacher = (LAUNCH_SECONDS + step_cost(run, of).operations / RATE for of in (run, run.teacher))
        steps, tests = batch_counts(run)
        expected = BEGIN + steps * (student + teacher / 3) + tests * student / 3
        assert made.estimated_seconds([run]) == pytest.approx(expected)
        assert (made.rough, made.basis) == (True, ROUGH)

    def test_the_rate_is_asked_for_once_per_precision(self, job):
        asked = []
        made = Estimates(lambda precision: asked.append(precision) or RATE)
        assert not made.rough
        made.estimated_seconds([job("kd"), job("kd", "wrn-16-4"), job("kd", precision="bf16")])
        assert asked == ["fp32", "bf16"]

    @pytest.mark.parametrize(
        ("methods", "epochs"), [(("kd", "at", "srrl"), (None, None, None)), (("kd", "at"), (None, 9))]
    )
    def test_the_teacher_is_paid_once_for_the_longest_member(self, methods, epochs, job):
        made = Estimates(rate)
        runs = [job(method, **({"epochs": own} if own else {})) for method, own in zip(methods, epochs, strict=True)]
        passes = [batch_counts(run)[0] * made.seconds(step_cost(run, run.teacher)) / 3 for run in runs]
        alone = sum(made.estimated_seconds([run]) - COHORT_SECONDS for run in runs)
        assert made.estimated_seconds(runs) == pytest.approx(COHORT_SECONDS + alone - sum(passes) + max(passes))

    def test_a_teacher_in_train_mode_is_paid_apart(self, job):
        made, runs = Estimates(rate), [job("kd"), job("ofd")]
        alone = [made.estimated_seconds([run]) for run in runs]
        assert made.estimated_seconds(runs) == pytest.approx(sum(alone) - COHORT_SECONDS)

    @pytest.mark.parametrize("method", ["fsp", "ft"])
    def test_every_kind_of_job_takes_time(self, method, kinds):
        made = Estimates(rate)
        seconds = {kind: made.estimated_seconds([job]) for kind, job in kinds(method=method).items()}
        assert all(math.isfinite(each) and each > BEGIN for each in seconds.values())
        assert seconds["train"] > seconds["stage"] > seconds["evaluate"]
        assert seconds["analyse"] > BEGIN + 1  # clusters or t-SNE, beside one pass over the test images

    def test_what_is_not_applicable_takes_none(self, job):
        run = job("fsp", "wrn-40-1", "wrn-40-2", recipe="CRD100")
        assert Estimates(never).estimated_seconds([run]) == COHORT_SECONDS

    def test_an_unknown_data_set_is_named(self, job):
        with pytest.raises(UserError, match="unknown data set 'cifar-100': did you mean 'cifar100'"):
            Estimates(rate).estimated_seconds([job(dataset="cifar-100")])


class TestWithRecords:
    """Recorded seconds, and what follows from them for other steps."""

    def test_the_lower_median_is_taken(self):
        made = Estimates(never, lambda: {PLAIN: {STUDENT: [0.005, 90.0, 0.007], "kd": [0.009, 0.02], "at": [0.004]}})
        assert [made.seconds(PLAIN, name) for name in (STUDENT, "kd", "at")] == [0.007, 0.009, 0.004]
        assert (made.rough, made.basis) == (False, "from 6 records of this machine")

    def test_a_method_costs_as_many_times_more_as_on_another_network(self):
        made = Estimates(never, lambda: {PLAIN: {STUDENT: [0.004], "kd": [0.006]}, OTHER: {STUDENT: [0.030]}})
        assert made.seconds(OTHER, "kd") == pytest.approx(0.045)
        assert made.seconds(OTHER, "at") == 0.030

    def test_a_plain_step_follows_from_steps_of_methods(self):
        recorded = {OTHER: {STUDENT: [0.030], "kd": [0.036]}, PLAIN: {"kd": [0.006], "at": [0.005], "pkt": [0.020]}}
        made = Estimates(never, lambda: recorded)
        assert made.seconds(PLAIN) == made.seconds(PLAIN, "cc") == pytest.approx(0.005)

    def test_an_unknown_network_is_as_fast_as_those_of_about_as_many_operations(self):
        near, far = StepCost("wrn-40-2", *PLAIN[1:]), StepCost(*PLAIN[:3], 1, "fp32")
        made = Estimates(never, lambda: {OTHER: {STUDENT: [0.030]}, far: {STUDENT: [5.0]}})
        assert made.seconds(near) == pytest.approx(0.030 * near.operations / OTHER.operations)
        assert made.basis == "from 1 record of this machine"

    @pytest.mark.parametrize(
        "step", [StepCost(*PLAIN[:4], "bf16"), StepCost("wrn-16-2", 8, 4.0, 32, "fp32")], ids=["precision", "size"]
    )
    def test_other_precisions_and_sizes_tell_nothing(self, step):
        made = Estimates(rate, lambda: {PLAIN: {STUDENT: [0.004]}})
        assert made.seconds(step) == LAUNCH_SECONDS + step.operations / RATE
        assert made.basis == ROUGH


class TestRecordedSeconds:
    def test_on_a_cpu_by_network_and_method(self, record):
        found = recorded_seconds([record(name, step=0.003) for name in ("student", "kd", "srrl+kd", "srrl[sr]")], HERE)
        assert found == {PLAIN: {name: [pytest.approx(0.003)] for name in (STUDENT, "kd", "kd+srrl", "srrl")}}

    def test_on_a_gpu_a_share_of_the_cohort(self, record, job):
        """The loop does not wait for a step to end there."""
        found = recorded_seconds([record(step=None, cohort=60.0, members=3, here=GPU)], GPU)
        made, tests = Estimates(never, lambda: found), batch_counts(job())[1]
        # Three alike make the teacher's forward passes once; the tests are part of the cohort's seconds.
        beside = COHORT_SECONDS + 3 * (MEMBER_SECONDS + tests * made.seconds(PLAIN) / 3)
        cohort = [job(name) for name in ("kd", "at", "sp")]
        assert made.estimated_seconds(cohort) - beside == pytest.approx(60.0, rel=0.05)
        alone = recorded_seconds([record("student", step=None, cohort=7.0, here=GPU)], GPU)
        assert alone[PLAIN][STUDENT] == [pytest.approx(7.0 / batch_counts(job())[0])]

    @pytest.mark.parametrize("other", [{"processor": "another"}, {"threads": 2}, {"device": "Some GPU"}])
    def test_other_machines_tell_nothing(self, other, record):
        assert recorded_seconds([record(here={**HERE, **other})], HERE) == {}

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"cost": {"step_seconds": 0}},
            {"cost": {"images": 0}},
            {"cost": {}, "spec": {"network": "gone"}},
            {"status": "failed", "cost": made_up.COST},
        ],
    )
    def test_what_was_not_measured_or_is_not_known_any_more_is_skipped(self, changes, record, job):
        useless, good = made_up.record(job("kd"), provenance=HERE, **changes), record()
        assert recorded_seconds([useless, good], HERE) == recorded_seconds([good], HERE) != {}


class TestFiles:
    """Records where commands leave them."""

    @pytest.fixture
    def leave(self, raw_record, tmp_path):
        numbers = count()

        def write(profile="digits", content=None, **made):
            here = {**HERE, "processor": devices.processor(), **made.pop("here", {})}
            path = tmp_path / profile / "records/C100/none--wrn-16-2/kd" / f"seed0-{next(numbers):04}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(json.dumps(raw_record(here=here, **made)).encode() if content is None else content)
            return path

        return write

    def test_of_all_profiles_are_read_when_first_needed(self, leave, tmp_path):
        made, other_threads = load_estimates(tmp_path, "cpu", 1), load_estimates(tmp_path, "cpu", 2)
        leave("digits", step=0.25)
        leave("digits+1234", step=0.25)
        assert (made.seconds(PLAIN, "kd"), made.basis) == (0.25, "from 2 records of this machine")
        assert (other_threads.seconds(PLAIN, "kd") != 0.25, other_threads.basis) == (True, ROUGH)

    @pytest.mark.parametrize("content", [b"", b"[1", b"\xff\xfe", b"[" * 100_000])
    def test_that_cannot_be_read_are_skipped(self, content, leave, tmp_path):
        leave(content=content)
        leave(step=0.25)
        os.mkfifo(leave().with_name("seed0-fifo.json"))
        leave().with_name("seed0-folder.json").mkdir()
        assert load_estimates(tmp_path, "cpu", 1).seconds(PLAIN, "kd") == 0.01

    def test_of_very_many_some_are_read(self, leave, tmp_path, monkeypatch):
        monkeypatch.setattr(estimates, "MOST_RECORDS", 3)
        for _ in range(10):
            leave(step=0.25)
        made = load_estimates(tmp_path, "cpu", 1)
        assert (made.seconds(PLAIN, "kd"), made.basis) == (0.25, "from 3 records of this machine")

    def test_of_a_gpu_are_found_by_its_name(self, leave, job, tmp_path, monkeypatch):
        monkeypatch.setattr(devices, "name", {"cuda:1": "Some GPU"}.get)
        rough = load_estimates(tmp_path / "nowhere", "cuda:1", 1)
        assert rough.seconds(PLAIN) == LAUNCH_SECONDS + PLAIN.operations / estimates.GPU_RATE
        leave(step=None, cohort=80.0, here={"device": "Some GPU"})
        made = load_estimates(tmp_path, "cuda:1", 1)
        assert 0.05 < made.seconds(PLAIN, "kd") < 80.0 / batch_counts(job())[0]
        assert made.basis == "from 1 record of this machine"


@pytest.mark.parametrize(
    ("precision", "emulated", "factor"),
    [("fp32", True, 1.0), ("tf32", False, 1.0), ("bf16", False, 2.5), ("bf16", True, 0.3)],
)
def test_the_rate_is_that_of_the_best_product_of_matrices(precision, emulated, factor, monkeypatch):
    def repeat(product, *, number, repeat):
        assert product().shape == (512, 512)
        return [3.0 * number, 0.5 * number] + [2.0 * number] * (repeat - 2)

    monkeypatch.setattr(timeit, "repeat", repeat)
    monkeypatch.setattr(devices, "emulates_bf16", lambda _: emulated)
    assert measured_rate(1, precision) == pytest.approx(factor * 512**3 / 0.5)
