import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from benchmark import costs
from benchmark.book import Book
from benchmark.calibration import Order, Task
from benchmark.catalog import ROOT
from benchmark.costs import LOOK, Step
from benchmark.layers import load_profile
from benchmark.objectives import STUDENT
from benchmark.training import speeds, trainees
from benchmark.training.member import Member
from benchmark.training.views import Teacher

CPU = torch.device("cpu")


@pytest.fixture
def book():
    """Recipes of profile digits, as planning has them."""

    def make(given=None, **changes):
        return Book(load_profile("digits"), changes, None, given or {})

    return make


@pytest.fixture
def steps(monkeypatch):
    """The images of every step that members take, and of every look of a teacher with its mode."""
    seen = {"step": [], True: [], False: []}
    step, look = Member.step, Teacher.look

    def count_step(self, batch, view):
        seen["step"].append(len(batch.images))
        step(self, batch, view)

    def count_look(self, images, *, train_mode):
        seen[train_mode].append(len(images))
        return look(self, images, train_mode=train_mode)

    monkeypatch.setattr(Member, "step", count_step)
    monkeypatch.setattr(Teacher, "look", count_look)
    return seen


@pytest.fixture
def ticking(monkeypatch):
    """A clock that shows given times, one at each look at it, while another stands still."""

    def show(name, *times):
        left = iter(times)
        for clock in ("perf_counter", "process_time"):
            monkeypatch.setattr(speeds.time, clock, (lambda: next(left)) if clock == name else lambda: 0.0)

    return show


def test_a_network_alone_is_trained_and_looked_at(job, steps):
    student = job("student")
    found = speeds.measured(Task(student, 1.0), CPU)
    own = costs.step_of(student)
    assert set(found) == {own, own._replace(work=LOOK)}
    assert all(0 < seconds < 5 for seconds in found.values())
    assert steps == {
        "step": [32] * (speeds.WARM_UP + speeds.TIMED),
        True: [],
        False: [32] * (speeds.WARM_UP + speeds.TIMED),
    }


def test_a_method_is_measured_on_its_pair(job, steps):
    run = job("ofd")
    assert set(speeds.measured(Task(run, 1.0), CPU)) == {costs.step_of(run)}
    assert steps[True] == steps["step"] == [32] * (speeds.WARM_UP + speeds.TIMED)
    assert steps[False] == []


@pytest.mark.parametrize("method", ["ab", "fsp", "ft"])
def test_first_stages_and_the_runs_after_them(method, kinds):
    made = kinds(method=method)
    for job in (made["stage"], made["train"]):
        [(step, seconds)] = speeds.measured(Task(job, 1.0), CPU).items()
        assert step == costs.step_of(job)
        assert seconds > 0


def test_the_networks_are_those_of_the_job(job, monkeypatch):
    made = []
    member = trainees.member
    monkeypatch.setattr(trainees, "member", lambda *arguments: made.append(member(*arguments)) or made[-1])
    run = job("student")
    speeds.measured(Task(replace(run, recipe=replace(run.recipe, in_size=16, width=0.5)), 1.0), CPU)
    assert (made[0].network.in_size, made[0].network.shapes().taps[-1]) == (16, (64, 4, 4))


def test_a_part_of_a_batch_stands_for_it(job, steps, ticking):
    ticking("process_time", *range(99))
    student = job("student")
    found = speeds.measured(Task(student, 0.25), CPU)
    assert set(steps["step"]) == {8}
    assert found == {costs.step_of(student): 4, costs.step_of(student)._replace(work=LOOK): 4}


def test_slow_steps_are_few(job, steps, ticking):
    ticking("perf_counter", *range(99))
    speeds.measured(Task(job("kd"), 1.0), CPU)
    assert len(steps["step"]) == 2


def test_of_several_the_least_counts_and_none_of_the_first(ticking):
    seconds = [0.1, 0.2, *[0.9] * (speeds.TIMED - 2), 0.3, 0.7]
    ticking("process_time", *(time for each in seconds for time in (0.0, each)))
    assert speeds._seconds(lambda _: None, lambda: None, [], CPU) == 0.3


def test_several_threads_are_timed_by_the_clock(ticking, monkeypatch):
    monkeypatch.setattr(speeds.torch, "get_num_threads", lambda: 2)
    ticking("perf_counter", *(number / 1000 for number in range(99)))
    assert speeds._seconds(lambda _: None, lambda: None, [], CPU) == pytest.approx(0.001)


def test_a_fault_is_told_and_the_rest_measured(job, monkeypatch):
    monkeypatch.setattr(trainees, "member", _failing(trainees.member))
    order = Order([Task(job("kd"), 1.0), Task(job("student"), 1.0)], "cpu", 1, 60.0)
    [fault, *found] = speeds.carry_out(order)
    assert fault == {"fault": "RuntimeError: broken"}
    assert [Step(**row["step"]).work for row in found] == [STUDENT, LOOK]


def _failing(member):
    def make(job, *arguments):
        if job.objective.terms:
            raise RuntimeError("broken\nin the second line")
        return member(job, *arguments)

    return make


def test_when_time_is_up_nothing_is_begun(job):
    assert list(speeds.carry_out(Order([Task(job("student"), 1.0)], "cpu", 1, -1.0))) == []


def test_the_process_writes_a_line_a_result(job):
    order = Order([Task(job("student"), 1.0)], "cpu", 1, 60.0)
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.training.speeds"],
        input=pickle.dumps(order),
        capture_output=True,
        cwd=ROOT,
        env=os.environ,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Step(**row["step"]).work for row in rows} == {STUDENT, LOOK}
