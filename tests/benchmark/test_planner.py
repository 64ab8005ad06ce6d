import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from benchmark import costs, tables
from benchmark.catalog import ROOT
from benchmark.planner import make_plan
from benchmark.recipes import Book, Layer
from benchmark.store import FAILED, NOT_APPLICABLE

CPU = costs.SPEEDS["cpu"]
ONE = ["wrn-40-4:wrn-16-2"]


@pytest.fixture
def plan(book, store):
    def make(methods=None, pairs=None, seeds=(0, 1, 2), *, retry=False):
        return make_plan([tables.load("6").select(methods, pairs)], book(), seeds, store, CPU, retry=retry)

    return make


def trained(plan):
    """Teacher, student, method and seed of each run to be trained, cohort by cohort."""
    return [
        [(job.teacher.network if job.teacher else None, job.network, job.method, job.seed) for job in cohort.runs]
        for cohort in plan.cohorts
    ]


def test_table_6_is_188_runs(plan):
    made = plan()
    kinds = Counter("distilled" if job.teacher else f"alone, seed {job.seed}" for job in made.jobs)
    # 9 pairs, 6 methods, 3 seeds; 7 students' networks, 3 seeds; 5 teachers, one run each.
    assert kinds == {"distilled": 162, "alone, seed 0": 7 + 5, "alone, seed 1": 7, "alone, seed 2": 7}
    assert len(made.jobs) == len({job.id for job in made.jobs}) == made.missing == 188
    assert len(made.cells) == 90
    assert set(made.states.values()) == {"missing"}


def test_cells_know_their_runs(plan, job):
    cells = plan().cells
    assert cells["table06/wrn-40-4:wrn-16-2/kd/top1"] == tuple(job("kd", seed=seed) for seed in range(3))
    for cell in ("teacher/top1", "teacher/params_M"):
        assert cells[f"table06/wrn-40-4:wrn-16-2/{cell}"] == (job("student", student="wrn-40-4"),)
    shared = [f"table06/{pair}:wrn-16-2/student/top1" for pair in ("wrn-40-4", "resnet34-wide")]
    assert cells[shared[0]] == cells[shared[1]] == tuple(job("student", seed=seed) for seed in range(3))


def test_teachers_come_before_their_students(plan):
    made = plan()
    order = [job.id for job in made.jobs]
    assert all(order.index(job.teacher.id) < order.index(job.id) for job in made.jobs if job.teacher)
    order = [job.id for cohort in made.cohorts for job in cohort.runs]
    assert sorted(order) == sorted(job.id for job in made.jobs)
    teachers = {job.teacher.id for job in made.jobs if job.teacher}
    assert {*order[:5]} == teachers


def test_cohorts_share_stream_seed_and_teacher(plan):
    made = plan()
    shared = [{(job.recipe.stream, job.seed, job.teacher) for job in cohort.runs} for cohort in made.cohorts]
    assert all(len(each) == 1 for each in shared)
    distilled = {(cohort.teacher.network, cohort.runs[0].seed): cohort for cohort in made.cohorts if cohort.teacher}
    assert len(distilled) == 5 * 3 == sum(cohort.teacher is not None for cohort in made.cohorts)
    # Students of all networks and methods stand beside each other.
    wide = [(job.network, job.method) for job in distilled["wrn-40-4", 1].runs]
    assert len(wide) == len(set(wide)) == 3 * 6
    assert all(len({job.network for job in cohort.runs}) == 1 for cohort in made.cohorts if not cohort.teacher)
    times = [cohort.seconds for cohort in made.cohorts[5:]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(("changes", "together"), [({"batch_size": 17}, False), ({"epochs": 3, "lr": 0.2}, True)])
def test_who_needs_another_stream_trains_apart(changes, together, book, store):
    layers = (*book().profile.layers, Layer(changes, {"student": "wrn-16-4"}))
    layered = Book(replace(book().profile, layers=layers), {})
    made = make_plan([tables.load("6").select(["kd"], ["wrn-40-4:wrn*"])], layered, (0,), store, CPU)
    students = [{job.network for job in cohort.runs} for cohort in made.cohorts if cohort.teacher]
    both = [{"wrn-16-2", "wrn-16-4"}] if together else [{"wrn-16-2"}, {"wrn-16-4"}]
    assert sorted(students, key=sorted) == both


def test_what_is_cached_is_not_trained(plan, job, finish):
    finish(job().teacher)
    finish(job("kd"))
    finish(job("at"), NOT_APPLICABLE)
    made = plan(["kd", "at", "ofd"], ONE, seeds=(0,))
    assert trained(made) == [[("wrn-40-4", "wrn-16-2", "ofd", 0)]]
    assert list(made.states.values()).count("cached") == 3
    assert made.records[job("kd").id]["metrics"] == {"last": {"top1": 97.0}}
    assert made.remarks == ()


def test_failed_runs_wait_for_a_retry(plan, job, finish):
    finish(job().teacher)
    finish(job("kd"), FAILED, weights=None)
    made = plan(["kd"], ONE, seeds=(0,))
    assert (made.missing, made.states[job("kd").id]) == (0, "failed")
    made = plan(["kd"], ONE, seeds=(0,), retry=True)
    assert trained(made) == [[("wrn-40-4", "wrn-16-2", "kd", 0)]]
    assert made.states[job("kd").id] == "failed"


def test_students_of_a_failed_teacher_are_not_planned_but_remarked(plan, job, finish):
    finish(job().teacher, FAILED, weights=None)
    made = plan(["kd", "student"], ONE, seeds=(0, 1))
    assert trained(made) == [[(None, "wrn-16-2", "student", 0)], [(None, "wrn-16-2", "student", 1)]]
    [remark] = made.remarks
    assert "teacher wrn-40-4 failed" in remark
    assert "--retry-failed" in remark
    assert made.states[job("kd").id] == "missing"
    made = plan(["kd"], ONE, seeds=(0,), retry=True)
    assert trained(made) == [[(None, "wrn-40-4", "student", 0)], [("wrn-40-4", "wrn-16-2", "kd", 0)]]
    assert made.remarks == ()


def test_a_teacher_whose_weights_are_lost_is_trained_again_and_remarked(plan, job, finish, store):
    finish(job().teacher, weights=None)
    finish(job("kd"), weights=None)
    assert plan(["kd"], ONE, seeds=(0,)).missing == 0
    made = plan(["kd", "at"], ONE, seeds=(0,))
    assert trained(made) == [[(None, "wrn-40-4", "student", 0)], [("wrn-40-4", "wrn-16-2", "at", 0)]]
    [remark] = made.remarks
    assert str(store.teacher_path(job().teacher)) in remark
    assert made.states[job().teacher.id] == "missing"
    finish(job().teacher)
    assert plan(["kd", "at"], ONE, seeds=(0,)).missing == 1


def test_seeds_may_be_any(plan):
    made = plan(["kd"], ONE, seeds=(4, 2))
    assert trained(made)[1:] == [[("wrn-40-4", "wrn-16-2", "kd", 4)], [("wrn-40-4", "wrn-16-2", "kd", 2)]]
    assert trained(made)[0] == [(None, "wrn-40-4", "student", 0)]


def test_two_spellings_are_one_run(plan):
    made = plan(["srrl[sr]", "srrl[fm=0.0]", "kd", "kd[temperature=4]"], ONE, seeds=(0,))
    assert made.missing == 3


def test_estimates_follow_measured_time(plan, job, finish):
    before = plan(["at"], ONE, seeds=(0,)).cohorts[-1]
    assert before.seconds == before.counted_seconds > 0
    finish(job().teacher, cost={"cohort_seconds": 30.0, "cohort_counted_seconds": 10.0})
    [after] = plan(["at"], ONE, seeds=(0,)).cohorts
    assert after.counted_seconds == before.counted_seconds
    assert after.seconds == pytest.approx(3 * before.seconds)


def test_json_has_the_documented_shape(plan, job, finish):
    finish(job().teacher)
    made = plan(["kd"], ONE, seeds=(0, 1))
    [cohort, _] = made.cohorts
    assert made.to_json() == {
        "runs": [
            {
                "id": job().teacher.id,
                "table_cells": [f"table06/{ONE[0]}/teacher/params_M", f"table06/{ONE[0]}/teacher/top1"],
                "dataset": "digits",
                "teacher": None,
                "student": "wrn-40-4",
                "method": "student",
                "seed": 0,
                "state": "cached",
            },
            *(
                {
                    "id": job(seed=seed).id,
                    "table_cells": [f"table06/{ONE[0]}/kd/top1"],
                    "dataset": "digits",
                    "teacher": "wrn-40-4",
                    "student": "wrn-16-2",
                    "method": "kd",
                    "seed": seed,
                    "state": "missing",
                }
                for seed in (0, 1)
            ),
        ],
        "cohorts": [
            {"runs": [job(seed=seed).id], "teacher": "wrn-40-4", "estimated_seconds": round(cohort.seconds, 1)}
            for seed in (0, 1)
        ],
    }


NO_TORCH = """
import sys
from benchmark import cli
common = ["--table", "6", "--profile", "digits", "--results", sys.argv[1], "--checkpoints", sys.argv[2]]
for what in ("--plan", "--plan --json", "--render", "--status", "--list methods", "--list networks"):
    assert cli.main([*common, *what.split()]) == 0, what
    assert "torch" not in sys.modules, what
"""


def test_planning_and_rendering_do_not_import_torch(tmp_path):
    folders = [str(tmp_path / "results"), str(tmp_path / "checkpoints")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", NO_TORCH, *folders]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
