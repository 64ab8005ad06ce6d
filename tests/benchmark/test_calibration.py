import json
from dataclasses import replace

import pytest

from benchmark import calibration, costs
from benchmark.calibration import Calibration, Order, Task
from benchmark.costs import LOOK, Prices, Step
from benchmark.jobs import Run
from benchmark.objectives import STUDENT

CPU = costs.SPEEDS["cpu"]


@pytest.fixture
def machine(monkeypatch):
    """Measures at once: every step that is asked for takes 7 ms, or nothing can be measured; keeps the orders."""

    class Machine:
        def __init__(self):
            self.orders = []
            self.fault = None
            self.fails = set()

        def measure(self, orders):
            self.orders += orders
            if self.fault:
                return {}, self.fault
            found = {}
            for task in (task for order in orders for task in order.tasks):
                step = costs.step_of(task.job)
                if step.work not in self.fails:
                    found[step] = 0.007
                    if task.job.teacher_job is None:
                        found[step._replace(work=LOOK)] = 0.002
            return found, "a fault"

        @property
        def asked(self):
            return [(step.network, step.work) for step in self.steps]

        @property
        def steps(self):
            return [costs.step_of(task.job) for task in self.tasks]

        @property
        def tasks(self):
            """In the order in which the processes begin them."""
            longest = max((len(order.tasks) for order in self.orders), default=0)
            return [order.tasks[n] for n in range(longest) for order in self.orders if n < len(order.tasks)]

    made = Machine()
    monkeypatch.setattr(calibration, "measure", made.measure)
    monkeypatch.setattr(calibration, "WORTH_SECONDS", 1.0)
    return made


@pytest.fixture
def said():
    return []


@pytest.fixture
def calibrate(tmp_path, said):
    return Calibration(tmp_path / "new" / "speeds.json", ["cpu", "cpu"], 1, said.append)


def test_networks_come_before_methods_and_the_heaviest_first(machine, calibrate, job, said):
    jobs = [job("student", "wrn-16-4", epochs=9), job("kd"), job("at"), job("kd", "wrn-16-4", epochs=9)]
    prices = calibrate(jobs, Prices(CPU))
    assert machine.asked == [
        ("wrn-16-4", STUDENT),
        ("wrn-16-2", STUDENT),
        ("wrn-40-4", STUDENT),
        ("wrn-16-4", "kd"),
        ("wrn-16-2", "at"),
    ]
    assert [prices.seconds(step) for step in machine.steps] == [0.007] * 5
    assert all(prices.knows(step) for step in costs.demand(jobs))
    assert [text.partition(": about")[0] for text in said] == ["measuring how fast this machine is, once"]


def test_every_process_that_will_train_measures_a_part(machine, calibrate, job):
    calibrate([job("kd")], Prices(CPU))
    assert [(order.device, order.threads, len(order.tasks)) for order in machine.orders] == [
        ("cpu", 1, 2),
        ("cpu", 1, 1),
    ]


def test_networks_are_measured_alone_at_the_size_at_which_they_are_used(machine, calibrate, kinds):
    made = kinds(method="ft")
    calibrate([made["train"], made["stage"], made["probe"], made["evaluate"]], Prices(CPU))
    alone = {task.job.network: task.job for task in machine.tasks if task.job.teacher_job is None}
    assert all(isinstance(job, Run) and costs.step_of(job).work == STUDENT for job in alone.values())
    assert alone["wrn-16-2"].recipe == made["train"].recipe
    assert alone["wrn-40-2"].recipe.width == made["train"].teacher.recipe.width
    assert {task.job for task in machine.tasks} > {made["train"], made["stage"]}


def test_a_second_plan_is_instant(machine, calibrate, job, said):
    first = calibrate([job("kd"), job("at")], Prices(CPU))
    count = len(machine.orders)
    again = calibrate([job("kd"), job("at"), job("kd", seed=1)], Prices(CPU))
    assert again.measured == first.measured
    assert (len(machine.orders), len(said)) == (count, 1)


def test_later_plans_measure_what_is_new_in_them(machine, calibrate, job):
    calibrate([job("kd")], Prices(CPU))
    machine.orders.clear()
    calibrate([job("kd"), job("kd", "wrn-16-4"), job("pkt")], Prices(CPU))
    assert machine.asked == [("wrn-16-4", STUDENT), ("wrn-16-2", "pkt")]


def test_a_method_is_measured_anew_on_other_batches(machine, calibrate, job):
    calibrate([job("kd")], Prices(CPU))
    machine.orders.clear()
    calibrate([job("kd"), job("kd", batch_size=4)], Prices(CPU))
    assert machine.asked == [("wrn-16-2", STUDENT), ("wrn-40-4", STUDENT), ("wrn-16-2", "kd")]
    assert {step.batch_size for step in machine.steps} == {4}


def test_what_could_not_be_measured_is_not_tried_again(machine, calibrate, job):
    machine.fails = {"kd"}
    prices = calibrate([job("kd")], Prices(CPU))
    assert costs.step_of(job("kd")) not in prices.measured
    machine.orders.clear()
    calibrate([job("kd")], Prices(CPU))
    assert machine.orders == []


def test_where_nothing_could_be_measured_the_constants_stay_and_the_next_plan_tries(machine, calibrate, job, said):
    machine.fault = "RuntimeError: no such device"
    assert calibrate([job("kd")], Prices(CPU)).measured == {}
    assert said[1:] == [
        "it could not be measured (RuntimeError: no such device): times are guesses from counted operations"
    ]
    machine.fault = None
    assert calibrate([job("kd")], Prices(CPU)).measured


def test_what_records_tell_is_not_measured(machine, calibrate, job):
    jobs = [job("kd")]
    known = dict.fromkeys(costs.demand(jobs), 0.5)
    assert calibrate(jobs, Prices(CPU, known)).measured == known
    assert machine.orders == []
    student = costs.step_of(job("kd"))
    prices = calibrate(jobs, Prices(CPU, {student: 0.5}))
    assert machine.asked == [("wrn-40-4", STUDENT), ("wrn-16-2", STUDENT)]
    assert prices.seconds(student) == 0.5


def test_little_work_is_not_worth_it(machine, calibrate, job, monkeypatch, said):
    jobs = [job("kd")]
    total = sum(count * Prices(CPU).seconds(step) for step, count in costs.demand(jobs).items())
    monkeypatch.setattr(calibration, "WORTH_SECONDS", 1.01 * total)
    assert calibrate(jobs, Prices(CPU)).measured == {}
    assert said == machine.orders == []
    assert not calibrate.path.exists()
    monkeypatch.setattr(calibration, "WORTH_SECONDS", 0.99 * total)
    assert calibrate(jobs, Prices(CPU)).measured


def test_what_is_not_applicable_is_not_measured(machine, calibrate, job):
    calibrate([job("fsp", "wrn-40-1", "wrn-40-2", recipe="CRD100")], Prices(CPU))
    assert machine.orders == []


def test_of_a_long_step_a_part_of_the_batch_is_measured(machine, calibrate, job):
    calibrate([job("kd", profile="paper", batch_size=512)], Prices(CPU))
    shares = {task.job.network: task.share for task in machine.tasks}
    assert 0 < shares["wrn-40-4"] < shares["wrn-16-2"] < 1
    machine.orders.clear()
    replace(calibrate, path=calibrate.path.with_name("other.json"))([job("kd")], Prices(CPU))
    assert {task.share for task in machine.tasks} == {1.0}


@pytest.mark.parametrize("change", [{"workers": ["cpu"]}, {"threads": 2}, {"workers": ["cuda:0"] * 2}])
def test_the_file_holds_for_one_machine_and_keeps_the_others(change, machine, calibrate, job):
    calibrate([job("kd")], Prices(CPU))
    machine.orders.clear()
    replace(calibrate, **change)([job("kd")], Prices(CPU))
    assert len(machine.tasks) == 3
    machine.orders.clear()
    calibrate([job("kd")], Prices(CPU))
    assert machine.orders == []
    assert len(json.loads(calibrate.path.read_text())) == 2


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"this": [1]}', '{"this": [{"seconds": 1, "step": {}}]}', "\udc80"]
)
def test_a_damaged_file_is_made_anew(content, calibrate, job):
    calibrate([job("kd")], Prices(CPU))
    good = calibrate.path.read_text()
    calibrate.path.write_text(content, errors="surrogateescape")
    assert calibrate([job("kd")], Prices(CPU)).measured
    assert calibrate.path.read_text() == good


@pytest.mark.usefixtures("machine")
def test_a_folder_that_cannot_be_written_is_no_obstacle(calibrate, job):
    calibrate.path.parent.write_text("a file")
    assert calibrate([job("kd")], Prices(CPU)).measured


def test_speed_names_the_machine(monkeypatch):
    monkeypatch.setattr(calibration.devices, "processor", lambda: "this one")
    made = calibration.speed("cpu", 3)
    assert made.machine == {"processor": "this one", "device": "cpu", "threads": 3}
    assert replace(made, machine={}) == CPU


class TestMeasure:
    """The real processes."""

    def test_two_measure_side_by_side(self, job):
        students = [job("student"), job("kd", "wrn-16-4")]
        orders = [Order([Task(student, 1.0)], "cpu", 1, 60.0) for student in students]
        found, _ = calibration.measure([*orders, Order([], "cpu", 1, 60.0)])
        plain, kd = map(costs.step_of, students)
        assert set(found) == {plain, plain._replace(work=LOOK), kd}
        assert all(0 < seconds < 5 for seconds in found.values())

    def test_a_fault_is_told(self, job):
        found, fault = calibration.measure([Order([Task(job(), 1.0)], "cuda:77", 1, 60.0)])
        assert found == {}
        assert fault

    def test_a_process_that_hangs_is_ended(self, job, monkeypatch):
        monkeypatch.setattr(calibration, "LIMIT_SECONDS", 0.0)
        monkeypatch.setattr(calibration, "_PATIENCE", 0.01)
        assert calibration.measure([Order([Task(job(), 1.0)], "cpu", 1, 60.0)]) == ({}, "no answer in time")


@pytest.mark.usefixtures("machine")
def test_steps_of_the_file_are_those_of_prices(calibrate, job):
    calibrate([job("kd")], Prices(CPU))
    [rows] = json.loads(calibrate.path.read_text()).values()
    assert {Step(**row["step"]): row["seconds"] for row in rows} == calibrate([job("kd")], Prices(CPU)).measured
