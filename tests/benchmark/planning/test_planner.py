import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from msgspec import structs

from benchmark.config import overrides
from benchmark.config.overrides import Override
from benchmark.config.resolve import ConfigResolver, TeacherChoice
from benchmark.planning import estimates
from benchmark.planning.planner import make_plan
from benchmark.registry.catalog import ROOT
from benchmark.runs.job import Pretrained, Run
from benchmark.runs.names import TEACHER
from benchmark.runs.store import FAILED, NOT_APPLICABLE, Store
from benchmark.tables import reader

ESTIMATES = estimates.Estimates(lambda _: 1e11)
load = cache(reader.load)
ONE = ["wrn-40-4:wrn-16-2"]
C100 = ["1", "2", "3", "4", "6", "9", "10"]


def everything(profile):
    chosen = [*map(load, reader.numbers()), load("2", "figure")]
    nowhere = Store(Path(os.devnull), Path(os.devnull))
    return make_plan(chosen, ConfigResolver(overrides.load_profile(profile), {}), (0, 1, 2), nowhere, ESTIMATES)


@pytest.fixture(scope="module")
def whole():
    """The plan of the whole paper."""
    return everything("paper")


@pytest.fixture
def plan(resolver, store):
    def make(methods=None, pairs=None, seeds=(0, 1, 2), *, table="6", kind="table", retry=False, **scale):
        chosen = [load(table, kind).select(methods, pairs)]
        return make_plan(chosen, resolver(**scale), seeds, store, ESTIMATES, retry=retry)

    return make


def trained(plan):
    """Teacher, student, method and seed of each run to be trained, cohort by cohort."""
    return [
        [(job.teacher.network if job.teacher else None, job.network, job.method, job.seed) for job in cohort.runs]
        for cohort in plan.cohorts
    ]


def done(plan):
    """What is to be done, cohort by cohort, as people read it."""
    return [[str(job) for job in cohort.runs] for cohort in plan.cohorts]


def students(plan, *names):
    """Runs of the students of some tables, those that probes and analyses look at among them."""
    cells = (cell for table in plan.tables if table.name in names for cell in table.cells)
    found = [job for cell in cells if cell.method != TEACHER for job in plan.cells[cell.key]]
    return {getattr(job, "base", getattr(job, "subject", job)) for job in found}


class TestTable6:
    def test_is_188_runs(self, plan):
        made = plan()
        kinds = Counter("distilled" if job.teacher else f"alone, seed {job.seed}" for job in made.jobs)
        # 9 pairs, 6 methods, 3 seeds; 7 students' networks, 3 seeds; 5 teachers, one run each.
        assert kinds == {"distilled": 162, "alone, seed 0": 7 + 5, "alone, seed 1": 7, "alone, seed 2": 7}
        assert len(made.jobs) == len({job.id for job in made.jobs}) == made.missing == 188
        assert len(made.cells) == 90
        assert set(made.states.values()) == {"missing"}

    def test_cells_know_their_runs(self, plan, job):
        cells = plan().cells
        assert cells["table06/wrn-40-4:wrn-16-2/kd/top1"] == tuple(job("kd", seed=seed) for seed in range(3))
        for cell in ("teacher/top1", "teacher/params_M"):
            assert cells[f"table06/wrn-40-4:wrn-16-2/{cell}"] == (job("student", student="wrn-40-4"),)
        shared = [f"table06/{pair}:wrn-16-2/student/top1" for pair in ("wrn-40-4", "resnet34-wide")]
        assert cells[shared[0]] == cells[shared[1]] == tuple(job("student", seed=seed) for seed in range(3))

    def test_teachers_come_before_their_students(self, plan):
        made = plan()
        order = [job.id for job in made.jobs]
        assert all(order.index(job.teacher.id) < order.index(job.id) for job in made.jobs if job.teacher)
        order = [job.id for cohort in made.cohorts for job in cohort.runs]
        assert sorted(order) == sorted(job.id for job in made.jobs)
        teachers = {job.teacher.id for job in made.jobs if job.teacher}
        assert order[0] in teachers
        assert all(order.index(job.teacher.id) < order.index(job.id) for job in made.jobs if job.teacher)

    def test_cohorts_share_stream_seed_and_teacher(self, plan):
        made = plan()
        shared = [{(job.recipe.stream, job.seed, job.teacher) for job in cohort.runs} for cohort in made.cohorts]
        assert all(len(each) == 1 for each in shared)
        distilled = {(cohort.teacher.network, cohort.runs[0].seed): cohort for cohort in made.cohorts if cohort.teacher}
        assert len(distilled) == 5 * 3 == sum(cohort.teacher is not None for cohort in made.cohorts)
        # Students of all networks and methods stand beside each other.
        wide = [(job.network, job.method) for job in distilled["wrn-40-4", 1].runs]
        assert len(wide) == len(set(wide)) == 3 * 6
        assert all(len({job.network for job in cohort.runs}) == 1 for cohort in made.cohorts if not cohort.teacher)
        teachers = {job.teacher for job in made.jobs if job.teacher}
        times = [cohort.seconds for cohort in made.cohorts if not teachers.issuperset(cohort.runs)]
        assert len(times) == len(made.cohorts) - 5
        assert times == sorted(times, reverse=True)


class TestWholePaper:
    """As many jobs as the experiments' specification counts, three seeds each."""

    @pytest.mark.parametrize(
        ("numbers", "trained", "teachers"),
        [
            (["5"], 105, 3),
            (C100, 264, 5),
            (["7"], 42, 0),
            (["8"], 42, 2),
            (["11", "12"], 291 + 234 + 27, 6),
        ],
    )
    def test_runs_of_a_block(self, numbers, trained, teachers, whole):
        names = [f"table{int(number):02d}" for number in numbers]
        found = students(whole, *names)
        assert len([run for run in found if run.applies]) == trained
        cells = [cell for table in whole.tables if table.name in names for cell in table.cells]
        taught = {whole.cells[cell.key] for cell in cells if cell.method == TEACHER}
        taught |= {(run.teacher,) for run in found if run.teacher}
        assert len({job for [job] in taught if isinstance(job, Run)} - found) == teachers

    def test_distilled_runs_of_tables_11_and_12(self, whole):
        by_table = {number: {run for run in students(whole, f"table{number}") if run.teacher} for number in (11, 12)}
        assert not by_table[11] & by_table[12]
        assert [len([run for run in runs if run.applies]) for runs in by_table.values()] == [291, 234]
        alone = {run for run in students(whole, "table11", "table12") if not run.teacher}
        assert (len(alone), len({run.network for run in alone})) == (27, 9)

    def test_all_of_it(self, whole):
        kinds = Counter(job.kind for job in whole.jobs)
        not_applicable = {job for job in whole.jobs if isinstance(job, Run) and not job.applies}
        assert {(job.method, job.teacher.network, job.network) for job in not_applicable} == {
            ("fsp", "wrn-40-2", "wrn-40-1")
        }
        assert len(not_applicable) == 3
        assert kinds["train"] - len(not_applicable) == 105 + 3 + 264 + 5 + 42 + 42 + 2 + 291 + 234 + 27 + 6
        assert (kinds["probe"], kinds["evaluate"], kinds["stage"]) == (60, 2, 65)
        assert len(whole.jobs) == len({job.id for job in whole.jobs}) == whole.missing == kinds.total()
        assert whole.summary()[0].startswith("588 cells, 1199 jobs (1021 runs, ")

    def test_first_stages(self, whole):
        stages = [job for job in whole.jobs if job.kind == "stage"]
        # AB in 13 pairs, FSP in the 6 that it applies to; FT once a teacher and rate, as told below.
        assert Counter(stage.term.name for stage in stages) == {"ab": 13 * 3, "fsp": 6 * 3, "ft": 8}
        assert {(stage.network, stage.recipe.lr) for stage in stages if stage.term.name == "ft"} == {
            ("wrn-40-2", 0.01),
            ("resnet56", 0.01),
            ("resnet110", 0.01),
            ("resnet32x4", 0.01),
            ("vgg13", 0.05),
            ("vgg13", 0.01),
            ("resnet50-crd", 0.01),
            ("resnet50-crd", 0.05),
        }

    def test_analyses(self, whole):
        measures = Counter(job.measure for job in whole.jobs if job.kind == "analyse")
        # Table 2: 6 students; Table 3: 4; the figure: those and the teacher, of one seed.
        assert measures == {"similarity": 18, "distance": 12, "clusters": 12 + 1, "tsne": 5}

    def test_torchvisions_networks_are_evaluated(self, whole):
        given = {job for job in whole.jobs if isinstance(job, Pretrained)}
        assert {(job.network, job.weights) for job in given} == {
            ("resnet34-imagenet", "b627a593"),
            ("resnet50-imagenet", "0676ba61"),
        }
        assert given == {run.teacher for run in students(whole, "table07") if run.teacher}

    def test_shared_runs_are_one(self, whole):
        cells = whole.cells
        pair = "wrn-40-4:wrn-16-4"
        shared = [
            cells[f"{table}/{pair}/srrl/top1"] for table in ("table01", "table02", "table03", "table06", "table09")
        ]
        assert all(runs == shared[0] for runs in shared)
        assert {cell.subject for cell in cells[f"table02/{pair}/srrl/kl_div_with_teacher"]} == {*shared[0]}
        assert {cell.base for cell in cells[f"table04/{pair}/srrl/PROBE-STL10/top1"]} == {*shared[0]}
        assert cells[f"figure02/{pair}/srrl/top1"] == shared[0][:1]
        [panel] = cells[f"figure02/{pair}/srrl/tsne"]
        assert panel.subject == shared[0][0]
        [panel] = cells[f"figure02/{pair}/teacher/tsne"]
        assert (panel.subject,) == cells["table06/wrn-40-4:wrn-16-4/teacher/top1"]
        baseline = cells["table05/wrn-40-2:wrn-16-2/student/top1"]
        assert cells["table05/wrn-16-2:wrn-16-1/teacher/top1"] == baseline[:1]

    def test_what_is_needed_comes_first(self, whole):
        seen = set()
        for job in whole.jobs:
            assert seen.issuperset(job.needs)
            seen.add(job)
        kinds = [[need.kind for need in job.needs] for job in whole.jobs if job.kind == "train" and job.stages]
        assert kinds
        assert all(found == ["train", "stage"] for found in kinds)

    @pytest.mark.parametrize("profile", ["paper", "digits"])
    def test_cohorts_never_mix(self, profile, whole):
        made = whole if profile == "paper" else everything(profile)
        for cohort in made.cohorts:
            shared = {(job.kind, job.seed, job.recipe.stream, getattr(job, "teacher", None)) for job in cohort.runs}
            assert len(shared) == 1
            assert not cohort.needs.intersection(cohort.runs)
        members = [job for cohort in made.cohorts for job in cohort.runs]
        assert len(members) == len({*members}) == made.missing

    def test_cohorts_come_after_what_they_need_and_long_chains_first(self, whole):
        place = {job: index for index, cohort in enumerate(whole.cohorts) for job in cohort.runs}
        lengths = [0.0] * len(whole.cohorts)
        # From the last cohort to the first: all that wait for one come after it.
        for index, cohort in reversed(list(enumerate(whole.cohorts))):
            assert all(place[need] < index for need in cohort.needs)
            lengths[index] += cohort.seconds
            for need in cohort.needs:
                before = place[need]
                lengths[before] = max(lengths[before], lengths[index])
        assert lengths == sorted(lengths, reverse=True)

    def test_every_job_costs_something(self, whole):
        assert all(cohort.seconds > 0 for cohort in whole.cohorts)


@pytest.mark.parametrize(("changes", "together"), [({"batch_size": 17}, False), ({"epochs": 3, "lr": 0.2}, True)])
def test_who_needs_another_stream_trains_apart(changes, together, resolver, store):
    profile = resolver().profile
    profile = structs.replace(profile, overrides=(*profile.overrides, Override(changes, {"student": "wrn-16-4"})))
    changed = replace(resolver(), profile=profile)
    made = make_plan([load("6").select(["kd"], ["wrn-40-4:wrn*"])], changed, (0,), store)
    found = [{job.network for job in cohort.runs} for cohort in made.cohorts if cohort.teacher]
    both = [{"wrn-16-2", "wrn-16-4"}] if together else [{"wrn-16-2"}, {"wrn-16-4"}]
    assert sorted(found, key=sorted) == both


class TestRecords:
    def test_what_is_cached_is_not_trained(self, plan, job, finish):
        finish(job().teacher)
        finish(job("kd"))
        finish(job("at"), NOT_APPLICABLE)
        made = plan(["kd", "at", "ofd"], ONE, seeds=(0,))
        assert trained(made) == [[("wrn-40-4", "wrn-16-2", "ofd", 0)]]
        assert [made.states[each.id] for each in (job().teacher, job("kd"), job("at"))] == [
            "cached",
            "cached",
            "not_applicable",
        ]
        assert made.records[job("kd").id].metrics.last["top1"] == 97.0
        assert made.remarks == ()

    def test_failed_runs_wait_for_a_retry(self, plan, job, finish):
        finish(job().teacher)
        finish(job("kd"), FAILED, weights=None)
        made = plan(["kd"], ONE, seeds=(0,))
        assert (made.missing, made.states[job("kd").id]) == (0, "failed")
        made = plan(["kd"], ONE, seeds=(0,), retry=True)
        assert trained(made) == [[("wrn-40-4", "wrn-16-2", "kd", 0)]]
        assert made.states[job("kd").id] == "failed"

    def test_students_of_a_failed_teacher_are_not_planned_but_remarked(self, plan, job, finish):
        finish(job().teacher, FAILED, weights=None)
        made = plan(["kd", "student"], ONE, seeds=(0, 1))
        assert trained(made) == [[(None, "wrn-16-2", "student", 0)], [(None, "wrn-16-2", "student", 1)]]
        [remark] = made.remarks
        assert f"{job().teacher} failed, so jobs that need it are blocked" in remark
        assert "--retry-failed" in remark
        assert made.states[job("kd").id] == "missing"
        made = plan(["kd"], ONE, seeds=(0,), retry=True)
        assert trained(made) == [[(None, "wrn-40-4", "student", 0)], [("wrn-40-4", "wrn-16-2", "kd", 0)]]
        assert made.remarks == ()

    def test_a_teacher_whose_weights_are_lost_is_trained_again_and_remarked(self, plan, job, finish, store):
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

    def test_seeds_may_be_any(self, plan):
        made = plan(["kd"], ONE, seeds=(4, 2))
        assert trained(made)[1:] == [[("wrn-40-4", "wrn-16-2", "kd", 4)], [("wrn-40-4", "wrn-16-2", "kd", 2)]]
        assert trained(made)[0] == [(None, "wrn-40-4", "student", 0)]

    def test_two_spellings_are_one_run(self, plan):
        made = plan(["srrl[sr]", "srrl[fm=0.0]", "kd", "kd[temperature=4]"], ONE, seeds=(0,))
        assert made.missing == 3

    def test_cohorts_carry_their_estimated_time(self, plan):
        made = plan(["kd", "at"], ONE, seeds=(0,))
        assert made.estimates is ESTIMATES
        assert [cohort.seconds for cohort in made.cohorts] == [
            ESTIMATES.estimated_seconds(cohort.runs) for cohort in made.cohorts
        ]
        assert made.about(200.0) == "roughly 3 min"

    def test_without_estimates_all_cohorts_are_there_and_take_no_time(self, plan, resolver, store):
        made = make_plan([load("6").select(["kd", "at"], ONE)], resolver(), (0,), store)
        assert {cohort.runs for cohort in made.cohorts} == {c.runs for c in plan(["kd", "at"], ONE, seeds=(0,)).cohorts}
        assert {cohort.seconds for cohort in made.cohorts} == {0.0}
        assert made.about(200.0) == "about 3 min"


FSP = {"table": "11", "methods": ["fsp"], "pairs": ["wrn-40-2:wrn-16-2"], "seeds": (0,)}
LOOK = {"table": "2", "methods": ["kd"], "seeds": (0,)}
PROBES = {"table": "4", "methods": ["kd"], "pairs": ["*:wrn-16-4"], "seeds": (0,)}
NAMES = {
    "teacher": "none:wrn-40-4 student seed 0",
    "run": "wrn-40-4:wrn-16-4 kd seed 0",
    "look": "wrn-40-4:wrn-16-4 kd, similarity, seed 0",
}


class TestChains:
    """A teacher, a first stage, a run, and what looks at the run."""

    @pytest.fixture
    def links(self, job):
        return job("kd", "wrn-16-4").teacher, job("kd", "wrn-16-4")

    def test_of_a_first_stage(self, plan, job, finish):
        run = job("fsp", "wrn-16-2", "wrn-40-2", recipe="CRD100")
        assert done(plan(**FSP)) == [[str(run.teacher)], [str(run.stages[0])], [str(run)]]
        finish(run.teacher)
        assert done(plan(**FSP)) == [[str(run.stages[0])], [str(run)]]
        finish(run.stages[0])
        assert done(plan(**FSP)) == [[str(run)]]
        finish(run)
        assert done(plan(**FSP)) == []

    def test_of_an_analysis(self, plan, finish, links):
        teacher, run = links
        assert done(plan(**LOOK)) == [[NAMES["teacher"]], [NAMES["run"]], [NAMES["look"]]]
        finish(teacher)
        finish(run)
        made = plan(**LOOK)
        assert done(made) == [[NAMES["look"]]]
        finish(made.cohorts[0].runs[0], weights=None)
        assert plan(**LOOK).missing == 0
        assert plan(**LOOK).remarks == ()

    def test_of_probes_of_two_data_sets(self, plan, finish, links):
        for link in links:
            finish(link)
        assert sorted(done(plan(**PROBES))) == [
            ["wrn-40-4:wrn-16-4 kd, probe on digits, seed 0"],
            ["wrn-40-4:wrn-16-4 kd, probe on digits-for-stl10, seed 0"],
        ]

    def test_lost_weights_of_a_run_are_made_again_for_an_analysis(self, plan, finish, links, store):
        teacher, run = links
        finish(teacher)
        finish(run, weights=None)
        made = plan(**LOOK)
        assert done(made) == [[NAMES["run"]], [NAMES["look"]]]
        [remark] = made.remarks
        assert remark.startswith(f"{NAMES['run']}: its record is here, its weights are not")
        assert str(store.teacher_path(run)) not in remark
        assert (made.states[run.id], made.states[teacher.id]) == ("missing", "cached")
        assert made.records[run.id].status == "done"

    def test_and_so_is_the_lost_teacher_of_that_run(self, plan, finish, links, store):
        teacher, run = links
        finish(teacher, weights=None)
        finish(run, weights=None)
        made = plan(**LOOK)
        assert done(made) == [[NAMES["teacher"]], [NAMES["run"]], [NAMES["look"]]]
        assert [remark.partition(": its")[0] for remark in made.remarks] == [NAMES["teacher"], NAMES["run"]]
        assert str(store.teacher_path(teacher)) in made.remarks[0]

    def test_a_lost_teacher_of_a_run_that_is_here_is_not_missed(self, plan, finish, links):
        teacher, run = links
        finish(teacher, weights=None)
        finish(run)
        assert done(plan(**PROBES))[0][0].startswith("wrn-40-4:wrn-16-4 kd, probe on")
        assert plan(**PROBES).missing == 2
        # The similarity compares with the teacher, so it is missed there.
        assert done(plan(**LOOK)) == [[NAMES["teacher"]], [NAMES["look"]]]

    def test_lost_weights_that_nothing_missing_needs_are_not_missed(self, plan, finish, links):
        for link in links:
            finish(link, weights=None)
        for cohort in plan(**LOOK).cohorts[-1:]:
            finish(cohort.runs[0], weights=None)
        made = plan(**LOOK)
        assert (made.missing, made.remarks) == (0, ())

    def test_a_lost_first_stage_is_trained_again(self, plan, job, finish):
        run = job("fsp", "wrn-16-2", "wrn-40-2", recipe="CRD100")
        finish(run.teacher)
        finish(run.stages[0], weights=None)
        made = plan(**FSP)
        assert done(made) == [[str(run.stages[0])], [str(run)]]
        assert len(made.remarks) == 1

    def test_a_failed_teacher_stops_all_that_follows(self, plan, finish, links):
        teacher, _ = links
        finish(teacher, FAILED, weights=None)
        for question in (LOOK, PROBES):
            made = plan(**question)
            assert done(made) == []
            assert [remark.partition(" failed")[0] for remark in made.remarks] == [NAMES["teacher"]]
        assert done(plan(**LOOK, retry=True)) == [[NAMES["teacher"]], [NAMES["run"]], [NAMES["look"]]]

    def test_a_failed_first_stage_stops_its_run_alone(self, plan, job, finish):
        run = job("fsp", "wrn-16-2", "wrn-40-2", recipe="CRD100")
        finish(run.teacher)
        finish(run.stages[0], FAILED, weights=None)
        made = plan(**FSP | {"methods": ["fsp", "kd"]})
        assert done(made) == [["wrn-40-2:wrn-16-2 kd seed 0"]]
        assert [remark.partition(" failed")[0] for remark in made.remarks] == [str(run.stages[0])]

    def test_a_failed_run_stops_who_looks_at_it(self, plan, finish, links):
        teacher, run = links
        finish(teacher)
        finish(run, FAILED, weights=None)
        made = plan(**LOOK)
        assert done(made) == []
        assert [remark.partition(" failed")[0] for remark in made.remarks] == [NAMES["run"]]
        made = plan(**LOOK, retry=True)
        assert done(made) == [[NAMES["run"]], [NAMES["look"]]]
        assert made.remarks == ()

    def test_a_failed_analysis_is_retried_alone(self, plan, finish, links):
        for link in links:
            finish(link)
        [[look]] = [cohort.runs for cohort in plan(**LOOK).cohorts]
        finish(look, FAILED, weights=None)
        assert (plan(**LOOK).missing, plan(**LOOK).remarks) == (0, ())
        assert done(plan(**LOOK, retry=True)) == [[NAMES["look"]]]

    def test_a_run_that_is_not_applicable_stops_who_looks_at_it_for_good(self, plan, finish, links):
        teacher, run = links
        finish(teacher)
        finish(run, NOT_APPLICABLE, weights=None)
        for retry in (False, True):
            made = plan(**LOOK, retry=retry)
            assert (done(made), made.remarks) == ([], ())
            look = made.jobs[-1]
            assert made.states[look.id] == NOT_APPLICABLE
            assert made.records_by_cell == {cell: [made.records[run.id]] for cell in made.cells}

    def test_a_lost_run_cannot_be_made_again_without_its_teacher(self, plan, finish, links):
        teacher, run = links
        finish(teacher, FAILED, weights=None)
        finish(run, weights=None)
        for question in (LOOK, PROBES):
            made = plan(**question)
            assert done(made) == []
            assert [remark.partition(" failed")[0] for remark in made.remarks] == [NAMES["teacher"]]
        assert done(plan(**LOOK, retry=True)) == [[NAMES["teacher"]], [NAMES["run"]], [NAMES["look"]]]


class TestTuned:
    QUESTION = (["srrl[tuned]"], ONE)
    CELL = f"table06/{ONE[0]}/srrl[tuned]/top1"

    @pytest.fixture
    def trials(self, plan):
        """The trials, after their teacher."""

        def find(**scale):
            return [job for job in plan(*self.QUESTION, **scale).jobs if job.recipe.holdout]

        return find

    def test_trials_come_first(self, plan, trials):
        for profile, held in (("digits", 120), ("paper", 5000)):
            made = plan(*self.QUESTION, profile=profile)
            assert made.cells[self.CELL] == ()
            assert trained(made) == [
                [(None, "wrn-40-4", "student", 0)],
                [
                    ("wrn-40-4", "wrn-16-2", f"srrl[{weights}]", 0)
                    for weights in ("fm=1,sr=1", "fm=1,sr=5", "fm=10,sr=1")
                ],
            ]
            assert [trial.recipe.holdout for trial in trials(profile=profile)] == [held] * 3
            assert made.choices == ()

    @pytest.mark.parametrize("finished", [1, 2])
    def test_nothing_is_chosen_before_all_are_done(self, finished, plan, trials, finish):
        finish(trials()[0].teacher)
        for trial in trials()[:finished]:
            finish(trial)
        made = plan(*self.QUESTION)
        assert (made.cells[self.CELL], made.choices) == ((), ())
        assert [job.recipe.holdout > 0 for cohort in made.cohorts for job in cohort.runs] == [True] * (3 - finished)

    def test_a_failed_trial_leaves_it_open(self, plan, trials, finish):
        first, *others = trials()
        finish(first.teacher)
        finish(first, FAILED, weights=None)
        for trial in others:
            finish(trial)
        made = plan(*self.QUESTION)
        assert (made.cells[self.CELL], made.choices, made.missing) == ((), (), 0)
        assert done(plan(*self.QUESTION, retry=True)) == [[str(first)]]

    @pytest.mark.parametrize(
        ("scores", "chosen"),
        [
            ((70.0, 80.0, 75.0), "srrl[sr=5]"),
            ((70.0, 70.0, 75.0), "srrl[fm=10]"),
            ((80.0, 80.0, 75.0), "srrl"),
            ((70.0, 80.0, 80.0), "srrl[sr=5]"),
            ((60.0, 60.0, 60.0), "srrl"),
        ],
    )
    def test_the_best_is_run_and_the_first_of_equals(self, scores, chosen, plan, trials, finish, job):
        finish(trials()[0].teacher)
        for trial, top1 in zip(trials(), scores, strict=True):
            finish(trial, top1=top1)
        made = plan(*self.QUESTION)
        runs = tuple(job(chosen, seed=seed) for seed in range(3))
        assert made.cells[self.CELL] == runs
        assert {run for cohort in made.cohorts for run in cohort.runs} == {*runs}
        assert all(run.recipe.holdout == 0 for run in runs)
        assert {*trials()} < {*made.jobs}

    def test_the_choice_is_told(self, plan, trials, finish):
        for trial, top1 in zip(trials(), (70.0, 80.0, 75.0), strict=True):
            finish(trial, top1=top1)
        made = plan(*self.QUESTION)
        [choice] = made.choices
        assert choice.startswith(
            "SRRL[tuned] on wrn-40-4:wrn-16-2 is SRRL[fm=1,sr=5], the best of 3 on 120 training images"
        )
        assert "Test images played no part" in choice

    def test_pairs_choose_apart(self, plan, finish):
        question = (["srrl[tuned]"], ["wrn-40-4:wrn*"])
        trials = [job for job in plan(*question).jobs if job.recipe.holdout]
        assert len(trials) == 6
        for index, trial in enumerate(trials):
            finish(trial, top1=[70, 60, 50, 50, 60, 70][index])
        made = plan(*question)
        chosen = {job.network: job.objective.folder for jobs in made.cells.values() for job in jobs if job.teacher}
        assert chosen == {"wrn-16-2": "srrl", "wrn-16-4": "srrl[fm=10]"}
        assert len(made.choices) == 2

    def test_a_preset_changes_no_candidate(self, resolver, store):
        [table] = [load("12").select(["srrl[tuned]"], ["resnet32x4:shufflenetv1"])]
        made = make_plan([table], resolver("paper", preset="authors"), (0,), store)
        assert len([job for job in made.jobs if job.recipe.holdout]) == 3


def test_a_figure_shows_one_run_of_each_panel(plan):
    made = plan(table="2", kind="figure", seeds=(4, 2))
    assert {len(jobs) for jobs in made.cells.values()} == {1}
    assert {(job.seed, job.network) for job in made.jobs} == {(4, "wrn-16-4"), (0, "wrn-40-4")}


def test_a_teacher_is_measured_once_whatever_the_seeds(resolver, store):
    made = make_plan([load("2", "figure")], resolver(), (0, 1), store)
    teacher = resolver().teacher(TeacherChoice("C100", "wrn-40-4"))
    assert [job.measure for job in made.jobs if job.kind == "analyse" and job.subject == teacher] == [
        "tsne",
        "clusters",
    ]


def test_json_has_the_documented_shape(plan, job, finish):
    finish(job().teacher)
    made = plan(["kd"], ONE, seeds=(0, 1))
    [cohort, _] = made.cohorts
    assert made.to_json() == {
        "runs": [
            {
                "id": job().teacher.id,
                "kind": "train",
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
                    "kind": "train",
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
from benchmark.cli.main import main
common = ["--profile", "digits", "--results", sys.argv[1], "--checkpoints", sys.argv[2]]
for what in (
    "--table 6 --plan",
    "--table 6 --plan --json",
    "--table 6 --render",
    "status --table 6",
    "--table all --plan",
    "--figure 2 --render",
    "claims",
    "why table06/wrn-40-4:wrn-16-2/kd",
    "check",
    "list methods",
    "list networks",
    "list datasets",
    "list recipes",
    "list presets",
):
    assert main([*what.split(), *([] if what.startswith("list") else common)]) == 0, what
    assert "torch" not in sys.modules, what
"""


def test_planning_and_rendering_do_not_import_torch(tmp_path):
    folders = [str(tmp_path / "results"), str(tmp_path / "checkpoints")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", NO_TORCH, *folders]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / "results" / "digits").rglob("*.*")}
    assert {"table06.csv", "table06.md", "table06.tex", "figure02.md"} <= written
    assert not any(name.startswith("table01") for name in written)
