import json
import math
import os
from itertools import count

import pytest

from benchmark import devices
from benchmark.errors import UserError
from benchmark.planning import estimates
from benchmark.planning.estimates import (
    COHORT_SECONDS,
    MEMBER_SECONDS,
    Estimates,
    StepCost,
    load_estimates,
    measured_rate,
    recorded_seconds,
)
from benchmark.registry import catalog
from benchmark.runs.names import STUDENT
from benchmark.runs.record_file import parse
from tests.benchmark import made_up

HERE = {"processor": "this one", "device": "cpu", "threads": 1}
BEGIN = COHORT_SECONDS + MEMBER_SECONDS
RATE = 1e11
PLAIN = StepCost("wrn-16-2", 8, 0.25, 32, "fp32")
OTHER = PLAIN._replace(network="wrn-40-4")


def rate(_precision):
    return RATE


def never(_precision):
    raise AssertionError("the machine is measured where records tell")


@pytest.fixture
def record(job):
    """Factory of the record that a finished run leaves, on a CPU unless its step took None; ``raw`` is its JSON."""

    def raw(method="kd", *, step=0.01, cohort=1.0, members=1, here=HERE, run=None, **scale):
        made = run or job(method, **scale)
        batches = estimates._batches(made)[0]
        cost = {
            "step_seconds": None if step is None else step * batches,
            "cohort_seconds": cohort,
            "cohort_members": members,
            "images": round(batches * made.recipe.batch_size),
        }
        return made_up.raw_record(made, cost=cost, provenance=here)

    def make(*given, **changes):
        return parse(json.dumps(raw(*given, **changes)).encode())

    make.raw = raw
    return make


def step_of(job):
    return estimates._step(job, job)


class TestOperations:
    def test_of_a_step_are_three_forward_passes_of_a_batch(self):
        info = catalog.networks()["wrn-16-2"]
        assert StepCost("wrn-16-2", info.in_size, 1.0, 64, "bf16").operations == 3 * 64 * info.macs
        assert StepCost("wrn-16-2", info.in_size // 2, 0.5, 64, "bf16").operations == 3 * 64 * info.macs / 16

    @pytest.mark.parametrize(
        ("changes", "batches"),
        [
            ({}, 200 * 50_000 / 128),
            ({"batch_size": 64}, 200 * 50_000 / 64),
            ({"epochs": 1, "train_limit": 2048}, 16),
            ({"train_limit": 10**9}, 200 * 50_000 / 128),
            ({"holdout": 5000}, 200 * 45_000 / 128),
            ({"holdout": 5000, "train_limit": 2048}, 200 * 16),
        ],
    )
    def test_batches_of_a_run(self, changes, batches, job):
        assert estimates._batches(job(profile="paper", **changes))[0] == batches

    def test_an_unknown_data_set_is_named(self, job):
        with pytest.raises(UserError, match="unknown data set 'cifar-100': did you mean 'cifar100'"):
            Estimates(rate).estimated_seconds([job(dataset="cifar-100")])


class TestWithoutRecords:
    """Counted operations, divided by a rate, are called rough."""

    def training(self, network, batch_size):
        return estimates.LAUNCH_SECONDS + 3 * batch_size * catalog.networks()[network].macs / RATE

    def test_a_run_is_its_steps_its_tests_and_the_teachers_forward_passes(self, job):
        made = Estimates(rate)
        student, teacher = self.training("wrn-16-2", 128), self.training("wrn-40-4", 128)
        steps, tests = 200 * 50_000 / 128, 200 * 10_000 / 128
        assert made.estimated_seconds([job(profile="paper")]) == pytest.approx(
            BEGIN + steps * (student + teacher / 3) + tests * student / 3
        )
        assert (made.rough, made.basis) == (True, "rough: from counted operations")

    def test_the_rate_is_asked_for_by_precision_and_once(self, job):
        asked = []
        made = Estimates(lambda precision: asked.append(precision) or RATE)
        assert not made.rough
        made.estimated_seconds([job("kd"), job("kd", "wrn-16-4"), job("kd", precision="bf16")])
        assert asked == ["fp32", "bf16"]

    def test_cost_grows_with_what_is_computed(self, job):
        def estimated_seconds(**changes):
            return Estimates(rate).estimated_seconds([job(profile="paper", **changes)])

        assert estimated_seconds(epochs=400) == pytest.approx(2 * estimated_seconds(), rel=1e-3)
        assert estimated_seconds(width=2.0) > estimated_seconds()
        assert estimated_seconds(in_size=64) > estimated_seconds()
        assert estimated_seconds(evaluate_every=50) < estimated_seconds()

    def test_members_are_paid_one_by_one_and_the_teacher_once(self, job):
        runs = [job("kd"), job("at"), job("srrl")]
        made = Estimates(rate)
        alone = made.estimated_seconds(runs[:1])
        look = estimates._batches(runs[0])[0] * made.seconds(estimates._step(runs[0], runs[0].teacher)) / 3
        assert made.estimated_seconds(runs) == pytest.approx(3 * alone - 2 * (COHORT_SECONDS + look))
        # OFD looks at the teacher in train mode, which is a pass of its own.
        assert made.estimated_seconds([job("kd"), job("ofd")]) == pytest.approx(2 * alone - COHORT_SECONDS)

    def test_the_longest_member_keeps_the_teacher(self, job):
        made, short, long = Estimates(rate), job("kd"), job("at", epochs=9)
        look = estimates._batches(short)[0] * made.seconds(estimates._step(short, short.teacher)) / 3
        assert made.estimated_seconds([short, long]) == pytest.approx(
            made.estimated_seconds([short]) + made.estimated_seconds([long]) - COHORT_SECONDS - look
        )

    def test_a_teacher_sees_batches_of_its_students_at_its_own_scale(self, job):
        run = job("kd", "vgg8", "vgg13", recipe="CRD100", batch_size=48)
        assert estimates._step(run, run.teacher) == StepCost("vgg13", run.teacher.recipe.in_size, 0.25, 48, "fp32")

    @pytest.mark.parametrize("method", ["fsp", "ft"])
    def test_every_kind_of_job_has_a_price(self, method, kinds):
        made, found = Estimates(rate), kinds(method=method)
        estimated_seconds = {kind: made.estimated_seconds([job]) for kind, job in found.items()}
        assert all(math.isfinite(seconds) and seconds > BEGIN for seconds in estimated_seconds.values())
        assert estimated_seconds["train"] > estimated_seconds["stage"] > estimated_seconds["evaluate"]
        # To one pass over the test images comes the analysis itself.
        assert estimated_seconds["analyse"] > BEGIN + 1

    def test_what_is_not_applicable_takes_nothing(self, job):
        run = job("fsp", "wrn-40-1", "wrn-40-2", recipe="CRD100")
        assert not run.applies
        assert Estimates(never).estimated_seconds([run]) == COHORT_SECONDS


class TestWithRecords:
    """What records tell, and what follows from it for the rest."""

    def test_is_taken_as_it_is(self):
        made = Estimates(never, lambda: {PLAIN: {STUDENT: [0.004], "kd": [0.007]}})
        assert (made.seconds(PLAIN), made.seconds(PLAIN, "kd")) == (0.004, 0.007)
        assert (made.rough, made.basis) == (False, "from 2 records of this machine")

    def test_is_the_median_of_several_and_of_two_the_lower_one(self):
        made = Estimates(never, lambda: {PLAIN: {STUDENT: [0.005, 90.0, 0.007], "kd": [0.009, 0.02]}})
        assert (made.seconds(PLAIN), made.seconds(PLAIN, "kd")) == (0.007, 0.009)

    def test_a_method_costs_as_many_times_more_as_on_another_network(self):
        made = Estimates(never, lambda: {PLAIN: {STUDENT: [0.004], "kd": [0.006]}, OTHER: {STUDENT: [0.030]}})
        assert made.seconds(OTHER, "kd") == pytest.approx(0.045)
        assert made.seconds(OTHER, "at") == 0.030

    def test_what_methods_cost_is_taken_off(self):
        known = {OTHER: {STUDENT: [0.030], "kd": [0.036]}, PLAIN: {"kd": [0.006], "at": [0.005], "pkt": [0.020]}}
        made = Estimates(never, lambda: known)
        assert made.seconds(PLAIN) == made.seconds(PLAIN, "cc") == pytest.approx(0.005)

    def test_an_unknown_network_is_as_fast_as_those_of_about_as_many_operations(self):
        kin = OTHER._replace(network="wrn-40-2")
        far = PLAIN._replace(batch_size=1)
        made = Estimates(never, lambda: {OTHER: {STUDENT: [0.030]}, far: {STUDENT: [5.0]}})
        assert made.seconds(kin) == pytest.approx(0.030 * kin.operations / OTHER.operations)
        assert made.basis == "from 1 record of this machine"

    @pytest.mark.parametrize("change", [{"precision": "bf16"}, {"width": 4.0}])
    def test_other_precisions_and_sizes_tell_nothing(self, change):
        made = Estimates(rate, lambda: {PLAIN: {STUDENT: [0.004]}})
        step = PLAIN._replace(**change)
        assert made.seconds(step) == estimates.LAUNCH_SECONDS + step.operations / RATE
        assert made.basis == "rough: from counted operations"


class TestTold:
    """Which records tell what."""

    def test_a_cpu_tells_seconds_of_a_step_by_network_and_method(self, record, job):
        runs = [job("student"), job("kd"), job("srrl+kd"), job("srrl[sr]")]
        found = recorded_seconds([record(run=run, step=0.003) for run in runs], HERE)
        assert set(found) == {PLAIN}
        assert found[PLAIN] == {name: [pytest.approx(0.003)] for name in (STUDENT, "kd", "kd+srrl", "srrl")}

    def test_a_gpu_tells_a_part_of_the_seconds_of_its_cohort(self, record, job):
        """There a step's end is not waited for."""
        run, gpu = job("kd"), {**HERE, "device": "Some GPU"}
        made = Estimates(
            never, lambda: recorded_seconds([record(run=run, step=None, cohort=60.0, members=3, here=gpu)], gpu)
        )
        assert made.basis == "from 0 records of this machine"
        # Three alike make the teacher's forward passes once; testing is part of what their cohort took.
        tests = 3 * estimates._batches(run)[1] * made.seconds(PLAIN) / 3
        steps = (
            made.estimated_seconds([job(name) for name in ("kd", "at", "sp")])
            - COHORT_SECONDS
            - 3 * MEMBER_SECONDS
            - tests
        )
        assert steps == pytest.approx(60.0, rel=0.05)
        alone = record(run=job("student"), step=None, cohort=7.0, here=gpu)
        [[seconds]] = recorded_seconds([alone], gpu)[PLAIN].values()
        assert seconds * estimates._batches(run)[0] == pytest.approx(7.0)

    @pytest.mark.parametrize("other", [{"processor": "another"}, {"threads": 2}, {"device": "Some GPU"}])
    def test_other_machines_tell_nothing(self, other, record):
        assert recorded_seconds([record(here={**HERE, **other})], HERE) == {}

    @pytest.mark.parametrize(
        "changes",
        [
            {"cost": {"step_seconds": 0}},
            {"cost": {"images": 0}},
            {"spec": {"network": "gone"}},
            {"status": "failed", "cost": made_up.COST},
        ],
    )
    def test_nor_does_what_was_not_measured_or_is_not_known_any_more(self, changes, record, job):
        useless, good = made_up.record(job("kd"), provenance=HERE, **{"cost": {}, **changes}), record()
        assert recorded_seconds([useless, good], HERE) == recorded_seconds([good], HERE)

    def test_nor_does_a_record_without_costs(self, job):
        assert recorded_seconds([made_up.record(job("kd"), provenance=HERE)], HERE) == {}


class TestFiles:
    """Records where commands leave them."""

    @pytest.fixture
    def leave(self, record, tmp_path):
        numbers = count()

        def write(profile="digits", content=None, **made):
            here = {**HERE, "processor": devices.processor()}
            path = tmp_path / profile / "records/C100/none--wrn-16-2/kd" / f"seed0-{next(numbers):04}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(json.dumps(record.raw(here=here, **made)).encode() if content is None else content)
            return path

        return write

    def test_of_all_profiles_are_read_when_a_price_is_asked_for(self, leave, tmp_path):
        made = load_estimates(tmp_path, "cpu", 1)
        leave("digits", step=0.25)
        leave("digits+1234", step=0.25)
        assert made.seconds(PLAIN, "kd") == 0.25
        assert made.basis == "from 2 records of this machine"

    def test_of_processes_with_other_threads_tell_nothing(self, leave, tmp_path):
        leave(step=0.25)
        made = load_estimates(tmp_path, "cpu", 2)
        assert made.seconds(PLAIN, "kd") != 0.25
        assert made.rough

    @pytest.mark.parametrize("content", [b"", b"[1", b"\xff\xfe", b"[" * 100_000])
    def test_that_cannot_be_read_are_passed_over(self, content, leave, tmp_path):
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
        assert made.seconds(PLAIN, "kd") == 0.25
        assert made.basis == "from 3 records of this machine"

    def test_of_a_gpu_bear_its_name(self, leave, job, tmp_path, monkeypatch):
        monkeypatch.setattr(devices, "name", lambda device: {"cuda:1": "Some GPU"}[device])
        assert (
            load_estimates(tmp_path, "cuda:1", 1).seconds(PLAIN)
            == estimates.LAUNCH_SECONDS + PLAIN.operations / estimates.GPU_RATE
        )
        path = leave(step=None, cohort=80.0)
        path.write_text(path.read_text().replace('"cpu"', '"Some GPU"'))
        made = load_estimates(tmp_path, "cuda:1", 1)
        assert 0.05 < made.seconds(PLAIN, "kd") < 80.0 / estimates._batches(job())[0]
        assert made.basis == "from 1 record of this machine"

    def test_are_not_needed(self, tmp_path):
        assert load_estimates(tmp_path / "nowhere", "cpu", 1).seconds(PLAIN) > 0


@pytest.mark.parametrize(
    ("precision", "emulated", "factor"),
    [("fp32", True, 1.0), ("tf32", False, 1.0), ("bf16", False, 2.5), ("bf16", True, 0.3)],
)
def test_the_rate_is_that_of_the_best_product_of_matrices(precision, emulated, factor, monkeypatch):
    times = iter([0.0, 3.0, 3.0, 4.0, *(9.0 + 2 * n for n in range(36))])
    monkeypatch.setattr(estimates.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(devices, "emulates_bf16", lambda _: emulated)
    assert measured_rate(1, precision) == pytest.approx(factor * 512**3 / 1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (3.5 * 3600, "3.5 h"), (9.2 * 86400, "9 days")],
)
def test_format_duration(seconds, text):
    assert estimates.format_duration(seconds) == text
