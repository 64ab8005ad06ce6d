import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.registry import plugins
from benchmark.runs.names import parse_method, parse_pair
from benchmark.runs.store import Store
from tests.benchmark.made_up import parts

PAIR = "wrn-40-4:wrn-16-2"
CELL = f"table06/{PAIR}/kd"
DATA = {"name": "digits", "fingerprint": "ab" * 32, "official": True}


@pytest.fixture
def tell(command, monkeypatch):
    """Runs the command; gives what it printed, in words with single spaces between them."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(name, *arguments):
        shown = command("why", name, *arguments)
        assert shown.status == 0, shown.err
        return shown.words

    return run


@pytest.fixture
def leave(session_of):
    """Leaves a job's record as training does."""

    def make(job, top1=97.0, status="done", processor="some processor", **more):
        store: Store = session_of().store
        facts = {
            "revision": "c0ffee" * 6,
            "dirty": True,
            "versions": {"torch": "2.9"},
            "processor": processor,
            "device": "cpu",
            "threads": 1,
            "finished": "2026-01-02T03:04:05+00:00",
            "data": DATA,
            "teacher_weights": "cd" * 32 if job.teacher_job else None,
        }
        epoch = {"epoch": 6, "top1": top1, "topk": 99.0, "loss": 0.25}
        measured = {"metrics": {"params": 1234, "last": epoch, "best": epoch | {"epoch": 3, "top1": top1 + 1}}}
        cost = {"cohort_seconds": 20.04, "cohort_members": 5, "step_seconds": 1.5, "extra_parameters": 7}
        given = measured | {"cost": cost} if status == "done" and job.kind != "analyse" else {}
        store.write(job, status, facts, **parts(job.kind, status, **(given | more)))
        return store.record_path(job)

    return make


@pytest.fixture
def runs(resolver):
    teacher, student = PAIR.split(":")
    return lambda method="kd", **scale: [
        resolver(**scale).run("C100", student, parse_method(method), TeacherChoice("C100", teacher), seed)
        for seed in (0, 1, 2)
    ]


def test_a_cell_with_all_that_lies_behind_it(tell, leave, runs):
    first, second, third = runs()
    teacher_path = leave(first.teacher, top1=98.5)
    paths = [leave(first, top1=96.0), leave(second, top1=97.0)]
    leave(third, status="failed", failure={"reason": "diverged in epoch 2"})
    words = tell(CELL)
    assert words.startswith("profile digits (")
    assert "table06/wrn-40-4:wrn-16-2/kd/top1 stands in Table 6, row 'WRN-40-4 (8.97M) -> WRN-16-2 (0.70M)'" in words
    assert "ours 96.50 ± 0.71, 2 of 3 runs, last epoch" in words
    assert "paper 74.52, measured on other data" in words
    assert "reason diverged in epoch 2" in words
    for job, state, path in ((first, "done", paths[0]), (second, "done", paths[1]), (third, "failed", "")):
        assert f"seed {job.seed} {job.id[:12]} {state} id {job.id}" in words
        assert str(path) in words
    assert "last epoch 6: top1 96, topk 99, loss 0.25 best epoch 3: top1 97, topk 99, loss 0.25" in words
    assert "parameters 1,234, and 7 in training alone" in words
    assert "time 1.5 s in its own steps; its cohort of 5 took 20.0 s" in words
    assert f"code revision {'c0ffee' * 6}, with changes that were not committed" in words
    assert "versions torch 2.9 machine cpu, 1 thread, some processor finished 2026-01-02T03:04:05+00:00" in words
    assert words.count("recipe C100: dataset=digits, epochs=6, ") == 1
    assert words.count("objective 0.1 * cross-entropy + 0.9 * kd (revision=1)") == 1
    assert f"data digits, fingerprint {'ab' * 32}, the official data" in words
    teacher = words.partition("the teacher: wrn-40-4 ")[2]
    assert teacher.startswith(f"seed 0 {first.teacher.id[:12]} done")
    assert "last epoch 6: top1 98.5" in teacher
    assert str(teacher_path) in teacher
    assert f"weights SHA-256 {'cd' * 32}, as its students used them" in teacher


def test_machines_that_differ_are_told(tell, leave, runs):
    first, second, third = runs()
    leave(first)
    assert "all alike" not in tell(CELL, "--seeds", "1")
    for job in (second, third):
        leave(job)
    assert "how, all alike recipe" in tell(CELL)
    leave(third, processor="another one")
    words = tell(CELL)
    assert "how, all alike but for their machines recipe" in words
    assert "processor differs: some processor (seed 0, 1); another one (seed 2)" in words
    assert "--retrain" not in words  # alone, a run is not compared with any
    for job in runs("student"):
        leave(job)
    words = tell(CELL)
    assert (
        "machines seed 2: made on another machine than student (processor: another one, there some processor); "
        "--retrain trains again here what other machines left"
    ) in words
    leave(third)
    words = tell(CELL)
    assert "differs" not in words
    assert "--retrain" not in words


def test_what_is_missing_says_where_it_would_be(tell, runs, session_of):
    words = tell(CELL, "--seeds", "1")
    (first, *_), store = runs(), session_of().store
    assert "ours –, 0 of 1 run, last epoch" in words
    assert f"seed 0 {first.id[:12]} missing id {first.id} would be {store.record_path(first)}" in words
    assert "seed 1 " not in words


def test_seeds_that_are_there_are_told_beside_the_wanted_ones(tell, leave, runs):
    first, second, _ = runs()
    leave(first)
    leave(second)
    words = tell(CELL, "--seeds", "1")
    assert "2 of 2 runs" in words
    assert ("seed 1 " in words, "seed 2 " in words) == (True, False)


def test_best_epoch(tell, leave, runs):
    leave(runs()[0])
    assert "ours 98.00, 1 of 1 run, best epoch, chosen on the test data" in tell(
        CELL, "--seeds", "1", "--selection", "best"
    )


def test_a_run_by_its_id_and_where_it_stands(tell, leave, runs):
    run = runs()[0]
    leave(run)
    for name in (run.id, run.id[:6]):
        words = tell(name)
        assert f"{run.id} stands in table02/{PAIR}" in words or f"{run.id} stands in table06/{PAIR}/kd/top1" in words
        assert f"run: wrn-16-2 seed 0 {run.id[:12]} done" in words
        assert f"seed 0 {run.teacher.id[:12]} missing" in words


def test_a_run_of_a_network_of_ones_own_without_its_file(tell, leave, resolver, own_network, monkeypatch):
    own_network()
    run = resolver().run("C100", "of-mine", parse_method("kd"), TeacherChoice("C100", "wrn-40-4"), 0)
    code = run.spec["code"]["network"]
    leave(run)
    monkeypatch.delenv(plugins.VARIABLE)
    words = tell(run.id[:12])
    assert f"stands in no table run: of-mine seed 0 {run.id[:12]} done" in words
    assert f"code network={code}" in words


def test_a_planned_run_of_an_added_method_where_the_arguments_select_it(tell, command, runs):
    run = runs("kd+sp")[0]
    assert f"stands in table06/{PAIR}/kd+sp/top1" in tell(run.id[:12], "--table", "6", "--methods", "kd+sp")
    advice = "name its profile or its cell, or give --methods, --table and the like as you gave them to --plan"
    assert advice in command("why", run.id[:12]).err


def test_an_analysis_with_the_chain_of_jobs(tell, leave, resolver):
    made, teacher = resolver(), TeacherChoice("C100", "wrn-40-4")
    run = made.run("C100", "wrn-16-4", parse_method("kd"), teacher, 0)
    analysis = made.analysis("similarity", run, teacher)
    for job in (run.teacher, run):
        leave(job)
    leave(analysis, metrics={"last": {"kl_teacher": 0.125}})
    words = tell("table02/wrn-40-4:wrn-16-4/kd", "--seeds", "1")
    assert "kl_div_with_teacher stands in Table 2, row 'KD', column 'KL div. with teacher' ours 0.1250, 1 of 1" in words
    assert f"analysis: wrn-16-4 seed 0 {analysis.id[:12]} done id {analysis.id} last kl_teacher 0.125" in words
    assert "measure similarity, revision 1" in words
    assert f"what was analysed: wrn-16-4 seed 0 {run.id[:12]} done" in words
    assert "the teacher: wrn-40-4" in words
    assert words.count(f"seed 0 {run.id[:12]}") == 1


def test_a_number_that_does_not_apply_says_why(tell, leave, resolver):
    made, teacher = resolver(), TeacherChoice("C100", "wrn-40-4")
    run = made.run("C100", "wrn-16-4", parse_method("student"), teacher, 0)
    leave(made.analysis("distance", run, teacher), metrics={"last": {"l2": 1.5, "l2_normalised": 0.5}})
    words = tell("table03/wrn-40-4:wrn-16-4/student/l2_connected", "--seeds", "1")
    assert "ours n/a, 0 of 1 run, last epoch" in words
    assert "reason the student was trained without a connector" in words
    assert "ours 1.50, 1 of 1 run" in tell("table03/wrn-40-4:wrn-16-4/student/l2_distance", "--seeds", "1")


def test_a_chain_with_each_of_its_teachers(tell, leave, resolver):
    pair = "wrn-40-4>wrn-16-4[kd]:wrn-16-2"
    run = resolver().run("C100", "wrn-16-2", parse_method("srrl"), TeacherChoice.of(parse_pair(pair), "C100"), 0)
    jobs = (run, run.teacher, run.teacher.teacher)
    for job in jobs:
        leave(job)
    words = tell(f"table06/{pair}/srrl", "--seeds", "1")
    assert f"table06/{pair}/srrl/top1 stands in Table 6, row 'wrn-40-4 > wrn-16-4[kd] -> wrn-16-2'" in words
    roles = ("run: wrn-16-2", "the teacher: wrn-16-4", "the teacher's teacher: wrn-40-4")
    for role, job in zip(roles, jobs, strict=True):
        assert f"{role} seed 0 {job.id[:12]} done" in words
    assert f"stands in table06/{pair}/srrl/top1 run: " in tell(run.id[:12], "--table", "6", "--pairs", pair)


def test_given_weights(tell, leave, kinds):
    given = kinds()["evaluate"]
    leave(given, given={"file": "ckpt.pth"})
    words = tell(given.id[:12])
    assert f"evaluation: wrn-40-2 seed 0 {given.id[:12]} done" in words
    assert "given ckpt.pth" in words
    assert f"weights given: SHA-256 {'ab' * 32}" in words


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table06/wrn-40-4:wrn-16-2/kdd", "did you mean 'kd'?"),
        ("table", "neither a cell"),
        ("0123456789", "no run of profile digits has an id that begins with '0123456789'"),
    ],
)
def test_names_that_mean_nothing(name, message, command):
    shown = command("why", name)
    assert (shown.status, shown.err.count("\n")) == (2, 1)
    assert message in shown.err


def test_several_ids_with_one_beginning_are_named(command, leave, runs):
    made = [job for method in ("kd", "student", "at", "sp", "srrl", "rkd") for job in runs(method)]
    first = next(job.id[0] for job in made if sum(other.id[0] == job.id[0] for other in made) > 1)
    ids = sorted(job.id for job in made if job.id[0] == first)
    for job in made:
        leave(job)
    error = command("why", first, "--table", "6").err
    assert error.startswith(f"error: several ids begin with '{first}': give more of it. They are ")
    assert all(each in error for each in ids)
