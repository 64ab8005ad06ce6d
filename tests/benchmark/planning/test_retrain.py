"""What ``--retrain`` does again, and what it leaves alone."""

import hashlib

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.planning.planner import make_plan
from benchmark.runs.names import parse_method
from benchmark.runs.store import FAILED, NOT_APPLICABLE
from benchmark.tables.reader import load
from tests.benchmark.made_up import parts

HERE = {"processor": "AMD EPYC (26.2.1)", "device": "cpu", "threads": 1, "torch": "2.9"}
INTEL = {"processor": "Intel Xeon (6.85.7)"}
PAIR = "wrn-40-4:wrn-16-4"
EARLIER, NOW = b"earlier weights", b"weights of now"


@pytest.fixture
def leave(store):
    """Leaves the record of a job and weights, made here but for what is given."""

    def make(job, status="done", weights=b"weights", rests_on=(), **other):
        made = {**HERE, **other}
        known = {name: value for name, value in made.items() if value is not None}
        torch = {"torch": known.pop("torch")} if "torch" in known else {}
        facts = known | {"versions": torch, "rests_on": dict(rests_on)}
        path = store.weights_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(weights)
        store.record_path(job).unlink(missing_ok=True)
        store.write(job, status, facts, **parts(job.kind, status))

    return make


@pytest.fixture
def plan(resolver, store):
    def make(number, methods, pair=PAIR, here=(HERE,), **options):
        [table] = [load(number).select(methods, [pair])]
        return make_plan([table], resolver(), (0,), store, here=here, **options)

    return make


def again(plan):
    """What is done again, as people read it, in the order in which it is done."""
    found = [job for cohort in plan.cohorts for job in cohort.runs]
    assert [plan.states[job.id] for job in found] == ["retrain"] * len(found)
    assert plan.replaced.keys() == {job.id for job in found}
    assert all(plan.replaced[job.id] == plan.records[job.id].provenance for job in found)
    return [str(job).removeprefix(f"{PAIR} ") for job in found]


@pytest.fixture
def runs(resolver):
    """Teacher, plain student and KD on one pair."""
    made, taught = resolver(), TeacherChoice("C100", "wrn-40-4")
    student, kd = (made.run("C100", "wrn-16-4", parse_method(name), taught, 0) for name in ("student", "kd"))
    return kd.teacher, student, kd


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (INTEL, "processor: Intel Xeon (6.85.7), here AMD EPYC (26.2.1)"),
        ({"device": "NVIDIA H200"}, "device: NVIDIA H200, here cpu"),
        ({"threads": 2}, "threads: 2, here 1"),
        ({"torch": "2.8"}, "torch: 2.8, here 2.9"),
        (INTEL | {"torch": "2.8"}, "processor: Intel Xeon (6.85.7), here AMD EPYC (26.2.1); torch: 2.8, here 2.9"),
    ],
)
def test_what_another_machine_left_is_trained_again(other, told, plan, leave, runs):
    teacher, _, kd = runs
    leave(teacher, **INTEL)
    leave(kd, **other)
    made = plan("6", ["kd"])
    assert again(made) == ["kd seed 0"]
    assert made.remarks == (f"to train again: 1 run from another machine ({told})",)
    assert made.states[teacher.id] == "cached"
    assert made.records_by_cell[f"table06/{PAIR}/kd/top1"] == [made.records[kd.id]]  # shown until it is replaced
    leave(kd)
    made = plan("6", ["kd"])
    assert (again(made), len(made.remarks)) == ([], 1)
    assert made.remarks[0] == (
        "nothing to train again: as far as is known, all selected jobs were trained here "
        "(processor: AMD EPYC (26.2.1); device: cpu; threads: 1; torch: 2.9)"
    )


def test_what_is_not_selected_or_not_asked_for_stays(plan, leave, runs):
    teacher, student, kd = runs
    leave(teacher)
    for job in (student, kd):
        leave(job, **INTEL)
    assert again(plan("6", ["kd"])) == ["kd seed 0"]
    made = plan("6", ["kd", "student"], here=())
    assert (made.cohorts, made.remarks, made.replaced) == ((), (), {})


GPUS = tuple({**HERE, "device": name} for name in ("GPU A", "GPU B"))


@pytest.mark.parametrize(
    ("left", "here", "found"),
    [
        ({"processor": None, "torch": None}, (HERE,), []),  # unknown is not another
        ({}, ({**HERE, "processor": None},), []),
        ({"device": "GPU B"}, GPUS, []),  # any device of the command counts
        ({"device": "GPU C"}, GPUS, ["kd seed 0"]),
        ({"status": FAILED, **INTEL}, (HERE,), []),  # left to --retry-failed
        ({"status": NOT_APPLICABLE, **INTEL}, (HERE,), []),
    ],
)
def test_which_records_are_of_another_machine(left, here, found, plan, leave, runs):
    teacher, _, kd = runs
    leave(teacher)
    leave(kd, **left)
    assert again(plan("6", ["kd"], here=here)) == found


def test_missing_runs_are_trained_beside(plan, leave, runs):
    teacher, _, kd = runs
    leave(teacher)
    leave(kd, **INTEL)
    made = plan("6", ["kd", "at"])
    states = {job.title: made.states[job.id] for cohort in made.cohorts for job in cohort.runs}
    assert states == {"kd": "retrain", "at": "missing"}


class TestTeachers:
    def test_one_that_is_a_student_too_stays(self, resolver, store, leave):
        """The plain student of one pair of Table 5 teaches the other one."""
        made = resolver()
        pairs = ("wrn-40-2:wrn-16-2", "wrn-16-2:wrn-16-1")
        taught = made.run("C10-WRN", "wrn-16-1", parse_method("kd"), TeacherChoice("C10-WRN", "wrn-16-2"), 0)
        teacher = made.run("C10-WRN", "wrn-16-2", parse_method("student"), TeacherChoice("C10-WRN", "wrn-40-2"), 0)
        for job in (teacher, taught):
            leave(job, **INTEL)
        assert taught.teacher == teacher

        def plan(methods, *some):
            return make_plan([load("5").select(methods, some)], made, (0,), store, here=(HERE,))

        def again(plan):
            return [job for job in plan.jobs if plan.states[job.id] == "retrain"]

        told = f"not trained again: {teacher}, because it is the teacher of students"
        both = plan(["student", "kd"], *pairs)
        assert (again(both), told in both.remarks) == ([taught], True)
        # Where no student of its is selected, the kept file tells that it has some.
        assert again(plan(["student"], pairs[0])) == [teacher]
        store.keep_teacher(teacher)
        alone = plan(["student"], pairs[0])
        assert (again(alone), alone.remarks) == ([], (told,))

    def test_one_without_weights_is_trained_as_ever(self, plan, leave, runs, store):
        teacher, _, kd = runs
        leave(teacher, **INTEL)
        leave(kd, **INTEL)
        store.weights_path(teacher).unlink()
        made = plan("6", ["kd"])
        assert [made.states[job.id] for job in (teacher, kd)] == ["missing", "retrain"]
        assert "its record is here, its weights are not" in made.remarks[1]

    def test_what_needs_one_that_failed_stays(self, plan, leave, runs):
        teacher, _, kd = runs
        leave(teacher, FAILED)
        leave(kd, **INTEL)
        made = plan("6", ["kd"])
        assert (again(made), made.states[kd.id]) == ([], "cached")
        assert any("failed, so jobs that need it are blocked" in remark for remark in made.remarks)


class TestChains:
    @pytest.fixture
    def staged(self, resolver):
        run = resolver().run("CRD100", "wrn-16-2", parse_method("fsp"), TeacherChoice("CRD100", "wrn-40-2"), 0)
        return run.teacher, run.stages[0], run

    @pytest.fixture
    def staged_plan(self, plan):
        return lambda: plan("11", ["fsp"], "wrn-40-2:wrn-16-2")

    @pytest.mark.parametrize(
        ("stage_made", "run_made", "read", "found"),
        [
            (INTEL, INTEL, None, ["stage", "train"]),
            ({}, INTEL, None, ["train"]),
            (INTEL, {}, NOW, ["stage", "train"]),
            ({}, {}, NOW, []),
            ({}, {}, None, []),  # an older record, which does not tell
            ({}, {}, EARLIER, ["train"]),  # the stage was replaced, and the command interrupted then
        ],
    )
    def test_first_stages_belong_to_their_run(self, stage_made, run_made, read, found, staged, staged_plan, leave):
        teacher, stage, run = staged
        leave(teacher)
        leave(stage, weights=NOW, **stage_made)
        leave(run, rests_on={stage.id: hashlib.sha256(read).hexdigest()} if read else {}, **run_made)
        made = staged_plan()
        assert [job.kind for cohort in made.cohorts for job in cohort.runs] == found

    def test_a_lost_first_stage_of_here_is_trained_for_its_run(self, staged, staged_plan, leave, store):
        teacher, stage, run = staged
        leave(teacher)
        leave(stage)
        leave(run, **INTEL)
        store.weights_path(stage).unlink()
        made = staged_plan()
        assert [made.states[job.id] for job in (stage, run)] == ["missing", "retrain"]

    @pytest.fixture
    def looks(self, resolver, runs):
        """A probe and an analysis of KD."""
        *_, kd = runs
        return resolver().probe("PROBE-STL10", kd), resolver().analysis(
            "similarity", kd, TeacherChoice("C100", "wrn-40-4")
        )

    @pytest.mark.parametrize(("number", "place"), [("4", 0), ("2", 1)])
    def test_what_looks_at_a_run_is_done_again_after_it(self, number, place, plan, leave, runs, looks, resolver):
        teacher, _, kd = runs
        look = looks[place]
        others = [resolver().probe("PROBE-CIFAR100", kd)] if number == "4" else []
        leave(teacher)
        for job in (kd, look, *others):
            leave(job)
        assert again(plan(number, ["kd"])) == []
        leave(look, **INTEL)
        name = str(look).removeprefix(f"{PAIR} ")
        assert again(plan(number, ["kd"])) == [name]
        leave(look)
        leave(kd, **INTEL)
        made = plan(number, ["kd"])
        assert again(made)[0] == "kd seed 0"
        assert len(again(made)) == 2 + len(others)
        noun = "2 probes" if others else "1 analysis"
        assert made.remarks[1] == f"to train again: {noun} resting on jobs that are trained again"
        # The run is replaced, and the command interrupted then.
        leave(kd, weights=NOW)
        for job in (look, *others):
            leave(job, rests_on={kd.id: hashlib.sha256(EARLIER).hexdigest()})
        made = plan(number, ["kd"])
        assert len(again(made)) == 1 + len(others)
        assert made.remarks == (f"to train again: {noun} resting on weights that were replaced since",)
        for job in (look, *others):
            leave(job, rests_on={kd.id: hashlib.sha256(NOW).hexdigest()})
        assert again(plan(number, ["kd"])) == []

    def test_trials_are_not_compared_with_anything(self, plan, leave, runs):
        leave(runs[0])
        trials = [job for job in plan("6", ["srrl[tuned]"]).jobs if job.recipe.holdout]
        for trial in trials:
            leave(trial, **INTEL)
        made = plan("6", ["srrl[tuned]"])
        assert {made.states[trial.id] for trial in trials} == {"cached"}
        assert not made.replaced
