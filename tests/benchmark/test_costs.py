from dataclasses import replace

import pytest

from benchmark import catalog, costs
from benchmark.costs import COHORT_SECONDS, LOOK, LOOK_IN_TRAIN_MODE, MEMBER_SECONDS, Prices, Step
from benchmark.errors import UserError
from tests.benchmark import made_up

CPU, CUDA = costs.SPEEDS["cpu"], costs.SPEEDS["cuda"]
HERE = {"device": "cpu", "threads": 1, "processor": "this one"}
BEGIN = COHORT_SECONDS + MEMBER_SECONDS


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


def test_an_unknown_data_set_is_named(job):
    with pytest.raises(UserError, match="unknown data set 'cifar-100': did you mean 'cifar100'"):
        costs.steps(job(dataset="cifar-100"))


def named(demand):
    """Steps of a cohort by network and work."""
    return {(step.network, step.work): count for step, count in demand.items()}


class TestDemand:
    """Which steps work takes, and how many."""

    def test_of_every_kind_of_job(self, kinds):
        made = kinds(profile="paper", evaluate_every=7)
        demand = {kind: named(costs.demand([job])) for kind, job in made.items()}
        test = 10_000 / 64
        assert demand["train"] == {
            ("wrn-16-2", "fsp"): 240 * 782,
            ("wrn-16-2", LOOK): 35 * test,
            ("wrn-40-2", LOOK): 240 * 782,
        }
        assert demand["stage"] == {("wrn-16-2", "fsp@stage"): 30 * 782, ("wrn-40-2", LOOK): 30 * 782}
        assert demand["probe"] == {("wrn-16-2", "probe"): 100 * 40, ("wrn-16-2", LOOK): 15 * 8000 / 128}
        assert demand["evaluate"] == {("wrn-40-2", LOOK): test}
        assert demand["analyse"] == {("wrn-16-2", LOOK): test}

    def test_a_stage_of_the_teacher_trains_no_network(self, kinds):
        stage = kinds(method="ft")["stage"]
        assert named(costs.demand([stage])) == {
            ("", "ft@stage"): costs.steps(stage),
            ("wrn-40-2", LOOK): costs.steps(stage),
        }

    def test_the_teacher_is_shared_and_each_mode_is_one_look(self, job):
        runs = [job("kd"), job("at"), job("ofd"), job("kd", "wrn-16-4")]
        found = named(costs.demand(runs))
        steps = costs.steps(runs[0])
        assert found["wrn-40-4", LOOK] == found["wrn-40-4", LOOK_IN_TRAIN_MODE] == steps
        assert found["wrn-16-2", "kd"] == found["wrn-16-4", "kd"] == found["wrn-16-2", "ofd"] == steps
        [(teacher, look)] = [pair for pair in named(costs.demand([job("ofd")])) if pair[0] == "wrn-40-4"]
        assert (teacher, look) == ("wrn-40-4", LOOK_IN_TRAIN_MODE)

    def test_the_longest_member_keeps_the_teacher(self, job):
        short, long = job("kd"), job("at", epochs=9)
        assert named(costs.demand([short, long]))["wrn-40-4", LOOK] == costs.steps(long)

    def test_a_teacher_sees_batches_of_its_students(self, job):
        run = replace(job("kd"), recipe=replace(job("kd").recipe, batch_size=48, precision="tf32", width=0.5))
        [look] = [step for step in costs.demand([run]) if step.network == "wrn-40-4"]
        assert look == Step("wrn-40-4", 8, run.teacher.recipe.width, 48, "tf32", LOOK)

    def test_what_is_not_applicable_takes_nothing(self, job):
        run = job("fsp", "wrn-40-1", "wrn-40-2", recipe="CRD100")
        assert not run.applies
        assert not costs.demand([run])
        assert Prices(CPU).price([run]) == COHORT_SECONDS

    def test_a_run_on_held_out_images_is_tested_on_them(self, job):
        run = job("student", holdout=96)
        assert named(costs.demand([run]))["wrn-16-2", LOOK] == 2 * 96 / 32


class TestCounted:
    """Prices of which nothing is measured."""

    def training(self, network, batch_size, cpu=CPU):
        return cpu.launch + 3 * batch_size * catalog.networks()[network].macs / cpu.macs

    def test_a_training_step_is_three_forward_passes(self, job):
        price = Prices(CPU).price([job(profile="paper")])
        student, teacher = self.training("wrn-16-2", 128), self.training("wrn-40-4", 128)
        looks = 391 * teacher / 3 + 10_000 / 128 * student / 3
        assert price == pytest.approx(BEGIN + 200 * (391 * student + looks))

    def test_a_network_at_another_size_costs_what_it_computes(self, job):
        small = job("student", profile="paper", in_size=16, width=0.5)
        step = costs.step_of(small)
        assert Prices(CPU).seconds(step) == pytest.approx(self.training("wrn-16-2", 128 / 16))

    def test_cost_grows_with_what_is_computed(self, job):
        def price(speed, **changes):
            return Prices(speed).price([job(profile="paper", **changes)])

        assert price(CUDA, epochs=400) == pytest.approx(2 * price(CUDA), rel=1e-3)
        assert price(CUDA, width=2.0) > price(CUDA)
        assert price(CUDA, in_size=64) > price(CUDA)
        assert price(CPU) > price(CUDA)

    def test_an_analysis_takes_more_than_its_look(self, kinds):
        analysis = kinds()["analyse"]
        prices = Prices(CPU)
        [(look, count)] = costs.demand([analysis]).items()
        assert prices.price([analysis]) > BEGIN + 1 + count * prices.seconds(look)

    def test_members_are_paid_one_by_one_and_the_teacher_once(self, job):
        runs = [job("kd"), job("at"), job("srrl")]
        prices = Prices(CPU)
        alone = prices.price(runs[:1])
        look = costs.steps(runs[0]) * prices.seconds(*costs.taught_by(runs[0]))
        assert prices.price(runs) == pytest.approx(3 * alone - 2 * (COHORT_SECONDS + look))
        assert prices.price([runs[0]] * 2) == pytest.approx(prices.price(runs[:2]))


PLAIN = Step("wrn-16-2", 8, 0.25, 32, "fp32", "student")
KD, AT, LOOKED = (PLAIN._replace(work=work) for work in ("kd", "at", LOOK))
OTHER = PLAIN._replace(network="wrn-40-4")


class TestMeasured:
    """What is measured, and what follows from it for the rest."""

    def test_is_taken_as_it_is(self):
        prices = Prices(CPU, {PLAIN: 0.004, KD: 0.007, LOOKED: 0.002})
        assert [prices.seconds(step) for step in (PLAIN, KD, LOOKED)] == [0.004, 0.007, 0.002]
        like_a_look = [PLAIN._replace(work=work) for work in (LOOK_IN_TRAIN_MODE, "probe")]
        assert [prices.seconds(step) for step in like_a_look] == [0.002, 0.002]

    def test_a_look_is_a_third_of_a_step(self):
        assert Prices(CPU, {PLAIN: 0.006}).seconds(LOOKED) == pytest.approx(0.002)

    def test_a_method_adds_to_every_network_what_it_adds_to_one(self):
        prices = Prices(CPU, {PLAIN: 0.004, KD: 0.006, OTHER: 0.030})
        assert prices.seconds(OTHER._replace(work="kd")) == pytest.approx(0.032)
        assert prices.seconds(AT) == 0.004

    def test_no_method_is_a_bargain(self):
        prices = Prices(CPU, {PLAIN: 0.030, KD: 0.012, OTHER: 0.009})
        assert prices.seconds(OTHER._replace(work="kd")) == pytest.approx(0.003)

    def test_a_network_measured_with_methods_is_their_median(self):
        third = PLAIN._replace(work="pkt")
        prices = Prices(CPU, {KD: 0.005, AT: 0.006, third: 0.020, LOOKED: 1.0})
        assert prices.seconds(PLAIN) == prices.seconds(PLAIN._replace(work="cc")) == 0.006

    def test_what_methods_add_is_taken_off(self):
        prices = Prices(CPU, {OTHER: 0.030, OTHER._replace(work="kd"): 0.032, KD: 0.007})
        assert prices.seconds(PLAIN) == pytest.approx(0.005)

    def test_an_unmeasured_network_is_as_slow_as_its_family(self):
        vgg, kin = (Step(name, 16, 0.25, 32, "fp32", "student") for name in ("vgg8", "wrn-40-2"))
        counted = Prices(CPU).counted
        prices = Prices(CPU, {PLAIN: 2 * counted(PLAIN), vgg: 5 * counted(vgg)})
        assert prices.seconds(kin) == pytest.approx(2 * counted(kin))
        assert prices.seconds(vgg._replace(network="vgg13")) == pytest.approx(
            5 * counted(vgg._replace(network="vgg13"))
        )
        resnet = kin._replace(network="resnet20")
        assert prices.seconds(resnet) == pytest.approx(3.5 * counted(resnet))

    def test_other_batches_say_little(self):
        """What a method adds and how a family does are not the same on other batches."""
        large, kin = PLAIN._replace(batch_size=512), OTHER._replace(network="wrn-40-2")
        counted = Prices(CPU).counted
        prices = Prices(CPU, {large: 9 * counted(large), large._replace(work="kd"): 50.0, OTHER: 2 * counted(OTHER)})
        assert prices.seconds(OTHER._replace(work="kd")) == 2 * counted(OTHER)
        assert prices.seconds(kin) == pytest.approx(2 * counted(kin))
        assert prices.seconds(kin._replace(batch_size=64)) == pytest.approx(5.5 * counted(kin._replace(batch_size=64)))

    def test_what_is_known_already_stays(self):
        prices = Prices(CPU, {PLAIN: 0.004}).besides({PLAIN: 1.0, KD: 0.006})
        assert prices.measured == {PLAIN: 0.004, KD: 0.006}

    def test_known_is_what_follows_from_network_and_method(self):
        prices = Prices(CPU, {PLAIN: 0.004, KD: 0.006, LOOKED: 0.001, OTHER: 0.030})
        known = [PLAIN, KD, LOOKED, PLAIN._replace(work="probe"), OTHER._replace(work="kd")]
        unknown = [AT, OTHER._replace(work=LOOK), OTHER._replace(work="probe"), KD._replace(batch_size=64)]
        assert [prices.knows(step) for step in known + unknown] == [True] * 5 + [False] * 4


class TestRecorded:
    """What finished jobs tell."""

    SPEED = replace(CPU, machine=HERE)

    def record(self, seconds, **provenance):
        finished = {"finished": "2026-01-02T03:04:05+00:00"}
        return made_up.record(cost={"step_seconds": seconds}, provenance={**HERE, **finished, **provenance})

    def test_seconds_of_a_step(self, job, kinds):
        done = [job("kd"), kinds()["stage"], kinds()["probe"]]
        found = costs.recorded([(each, self.record(0.003 * costs.steps(each))) for each in done], self.SPEED)
        assert found == {costs.step_of(each): pytest.approx(0.003) for each in done}

    def test_several_are_their_median(self, job):
        done = [(job(seed=seed), self.record(seconds)) for seed, seconds in enumerate((5.0, 7.0, 90.0))]
        assert costs.recorded(done, self.SPEED) == {costs.step_of(job()): 7.0 / costs.steps(job())}

    @pytest.mark.parametrize(
        "other", [{"processor": "another one"}, {"threads": 2}, {"device": "NVIDIA H200"}, {"processor": ""}]
    )
    def test_other_machines_say_nothing(self, other, job):
        assert costs.recorded([(job(), self.record(5.0, **other))], self.SPEED) == {}

    def test_nor_do_records_without_the_processor_or_the_time(self, job, kinds):
        bare = made_up.record(cost={"step_seconds": 5.0}, provenance={"device": "cpu", "threads": 1})
        records = [bare, self.record(None), made_up.record(status="failed", provenance=HERE)]
        assert costs.recorded([(job(), record) for record in records], self.SPEED) == {}
        assert costs.recorded([(kinds()["analyse"], self.record(5.0))], self.SPEED) == {}
        assert costs.recorded([(job(), bare)], CPU) == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (3.5 * 3600, "3.5 h"), (9.2 * 86400, "9 days")],
)
def test_spoken(seconds, text):
    assert costs.spoken(seconds) == text
