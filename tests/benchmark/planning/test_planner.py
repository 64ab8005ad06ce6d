import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec import structs

from benchmark.config import overrides
from benchmark.config.overrides import Override
from benchmark.config.resolve import ConfigResolver
from benchmark.planning import estimates
from benchmark.planning.expansion import Expansion
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


def planned(tables, profile):
    nowhere = Store(Path(os.devnull), Path(os.devnull))
    return make_plan(tables, ConfigResolver(overrides.load_profile(profile), {}), (0, 1, 2), nowhere, ESTIMATES)


@pytest.fixture(scope="module")
def whole():
    """The plan of the whole paper."""
    return planned([*map(load, reader.numbers()), load("2", "figure")], "paper")


@pytest.fixture(scope="module")
def table6():
    return planned([load("6")], "digits")


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
    def test_is_188_runs(self, table6):
        kinds = Counter("distilled" if job.teacher else f"alone, seed {job.seed}" for job in table6.jobs)
        # 9 pairs, 6 methods, 3 seeds; 7 students' networks, 3 seeds; 5 teachers, one run each.
        assert kinds == {"distilled": 162, "alone, seed 0": 7 + 5, "alone, seed 1": 7, "alone, seed 2": 7}
        assert len(table6.jobs) == len({job.id for job in table6.jobs}) == table6.missing == 188
        assert len(table6.cells) == 90
        assert set(table6.states.values()) == {"missing"}

    def test_cells_know_their_runs(self, table6, job):
        cells = table6.cells
        assert cells["table06/wrn-40-4:wrn-16-2/kd/top1"] == tuple(job("kd", seed=seed) for seed in range(3))
        for cell in ("teacher/top1", "teacher/params_M"):
            assert cells[f"table06/wrn-40-4:wrn-16-2/{cell}"] == (job("student", student="wrn-40-4"),)
        shared = [f"table06/{pair}:wrn-16-2/student/top1" for pair in ("wrn-40-4", "resnet34-wide")]
        assert cells[shared[0]] == cells[shared[1]] == tuple(job("student", seed=seed) for seed in range(3))

    def test_cohorts_share_stream_seed_and_teacher(self, table6):
        taught = {(cohort.teacher.network, cohort.runs[0].seed): cohort for cohort in table6.cohorts if cohort.teacher}
        assert len(taught) == 5 * 3 == sum(cohort.teacher is not None for cohort in table6.cohorts)
        # Students of all networks and methods stand beside each other.
        wide = [(job.network, job.method) for job in taught["wrn-40-4", 1].runs]
        assert len(wide) == len(set(wide)) == 3 * 6
        assert all(len({job.network for job in cohort.runs}) == 1 for cohort in table6.cohorts if not cohort.teacher)


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
        measures = Counter(job.measure for job in whole.jobs if job.kind == "analyse")
        # Table 2: 6 students; Table 3: 4; the figure: those and the teacher, of one seed.
        assert measures == {"similarity": 18, "distance": 12, "clusters": 12 + 1, "tsne": 5}
        assert whole.summary()[0].startswith("588 cells, 1199 jobs (1021 runs, ")

    def test_first_stages(self, whole):
        stages = [job for job in whole.jobs if job.kind == "stage"]
        # AB in 13 pairs, FSP in the 6 that it applies to; FT once a teacher and rate, as told below.
        assert Counter(stage.term.name for stage in stages) == {"ab": 13 * 3, "fsp": 6 * 3, "ft": 8}
        rates = {(stage.network, stage.recipe.lr) for stage in stages if stage.term.name == "ft"}
        teachers = ("wrn-40-2", "resnet56", "resnet110", "resnet32x4", "vgg13", "resnet50-crd")
        assert rates == {(name, 0.01) for name in teachers} | {("vgg13", 0.05), ("resnet50-crd", 0.05)}

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

    def test_cohorts_never_mix(self, whole):
        for cohort in whole.cohorts:
            shared = {(job.kind, job.seed, job.recipe.stream, getattr(job, "teacher", None)) for job in cohort.runs}
            assert len(shared) == 1
            assert not cohort.needs.intersection(cohort.runs)
            assert cohort.seconds > 0
        members = [job for cohort in whole.cohorts for job in cohort.runs]
        assert len(members) == len({*members}) == whole.missing
        seen = set()
        for job in whole.jobs:
            assert seen.issuperset(job.needs)
            seen.add(job)

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


def role(job):
    return {"train": "run" if job.teacher_job else "teacher", "analyse": "look"}.get(job.kind, job.kind)


STATES = {"done": {}, "lost": {"weights": None}, "failed": {"status": FAILED, "weights": None}}
STATES |= {"not applicable": {"status": NOT_APPLICABLE, "weights": None}}


@pytest.mark.parametrize(
    ("question", "states", "todo", "remarks", "retried"),
    [
        (LOOK, (), "teacher run look", "", ""),
        (LOOK, ("done", "done"), "look", "", ""),
        (LOOK, ("done", "done", "lost"), "", "", ""),  # nothing needs the weights of an analysis
        (LOOK, ("lost", "lost", "done"), "", "", ""),
        (LOOK, ("done", "lost"), "run look", "lost run", ""),
        (LOOK, ("lost", "lost"), "teacher run look", "lost teacher, lost run", ""),
        (LOOK, ("lost", "done"), "teacher look", "lost teacher", ""),  # the similarity compares with the teacher
        (LOOK, ("failed",), "", "failed teacher", "teacher run look"),
        (LOOK, ("done", "failed"), "", "failed run", "run look"),
        (LOOK, ("done", "done", "failed"), "", "", "look"),
        (LOOK, ("failed", "lost"), "", "failed teacher", "teacher run look"),
        (LOOK, ("done", "not applicable"), "", "", ""),
        (PROBES, (), "teacher run probe", "", ""),
        (PROBES, ("done", "done"), "probe", "", ""),
        (PROBES, ("lost", "done"), "probe", "", ""),
        (PROBES, ("failed",), "", "failed teacher", "teacher run probe"),
        (PROBES, ("failed", "lost"), "", "failed teacher", "teacher run probe"),
        (FSP, (), "teacher stage run", "", ""),
        (FSP, ("done",), "stage run", "", ""),
        (FSP, ("done", "done"), "run", "", ""),
        (FSP, ("done", "done", "done"), "", "", ""),
        (FSP, ("done", "lost"), "stage run", "lost stage", ""),
        (FSP, ("done", "failed"), "", "failed stage", "stage run"),
    ],
)
def test_chains(question, states, todo, remarks, retried, plan, finish):
    """A teacher, a pretraining stage, a run, and what measures the run: each may have a record, or weights, or not."""
    links = plan(**question).jobs
    for link, state in zip(links, states, strict=False):
        finish(link, **STATES[state])
    for retry, expected in ((False, todo), (True, retried or todo)):
        made = plan(**question, retry=retry)
        missing = [job for cohort in made.cohorts for job in cohort.runs]
        assert [*dict.fromkeys(map(role, missing))] == expected.split()
        assert {made.states[job.id] for job in missing} <= {"missing", "failed"}
        if not retry:
            told = {f"{job}: its record is here, its weights are not": f"lost {role(job)}" for job in links}
            told |= {f"{job} failed, so jobs that need it are blocked": f"failed {role(job)}" for job in links}
            found = [told[start] for remark in made.remarks for start in told if remark.startswith(start)]
            assert ", ".join(found) == remarks
            assert len(found) == len(made.remarks)


def test_only_the_weights_of_a_teacher_can_be_put_back(plan, finish, store):
    teacher, run, _ = plan(**LOOK).jobs
    for job in (teacher, run):
        finish(job, weights=None)
    made = plan(**LOOK)
    assert str(store.teacher_path(teacher)) in made.remarks[0]
    assert "put its weights at" not in made.remarks[1]
    assert made.records[run.id].status == "done"


def test_what_measures_a_run_that_does_not_apply_does_not_apply(plan, finish):
    teacher, run, look = plan(**LOOK).jobs
    finish(teacher)
    finish(run, NOT_APPLICABLE, weights=None)
    made = plan(**LOOK)
    assert made.states[look.id] == NOT_APPLICABLE
    assert made.records_by_cell == {cell: [made.records[run.id]] for cell in made.cells}


def test_a_failure_blocks_no_other_jobs(plan, finish):
    teacher, stage, run = plan(**FSP).jobs
    finish(teacher)
    finish(stage, FAILED, weights=None)
    made = plan(**FSP | {"methods": ["fsp", "kd"]})
    assert [(job.method, made.states[run.id]) for cohort in made.cohorts for job in cohort.runs] == [("kd", "missing")]


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

    @pytest.mark.parametrize("statuses", [("done",), ("done", "done"), ("failed", "done", "done")])
    def test_nothing_is_chosen_before_all_are_done(self, statuses, plan, trials, finish):
        finish(trials()[0].teacher)
        for trial, status in zip(trials(), statuses, strict=False):
            finish(trial, status)
        made = plan(*self.QUESTION)
        assert (made.cells[self.CELL], made.choices) == ((), ())
        assert {job for cohort in made.cohorts for job in cohort.runs} == {*trials()[len(statuses) :]}

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
        [choice] = made.choices
        assert choice.startswith("SRRL[tuned] on wrn-40-4:wrn-16-2 is SRRL")
        assert ", the best of 3 on 120 training images" in choice
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


NO_TORCH = """
import sys
from benchmark.cli.main import main
common = ["--profile", "digits", "--results", sys.argv[1], "--checkpoints", sys.argv[2]]
for what in (
    "--table 3 --plan",
    "--table 3 --plan --json",
    "--table 3 --render",
    "status --table 3",
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
    assert {"table03.csv", "table03.md", "table03.tex", "figure02.md"} <= written
    assert not any(name.startswith("table01") for name in written)


class TestViews:
    """One plan over all seeds shows its tables over some of them."""

    @pytest.fixture
    def tables(self):
        pairs = ["wrn-40-4:wrn-16-4"]
        chosen = [load(number).select(["kd"], pairs) for number in ("2", "4", "6")]
        return [*chosen, load("2", "figure"), load("6").select(["srrl[tuned]"], pairs)]

    @pytest.mark.parametrize("seeds", [(0, 1, 2), (0, 2), (0,)])
    def test_are_what_a_plan_over_these_seeds_shows(self, seeds, tables, resolver, store, finish):
        expansion = Expansion(resolver())
        for number, job in enumerate(make_plan(tables, expansion, (0, 1, 2), store).jobs):
            if number % 3:
                finish(job)
        most = make_plan(tables, expansion, (0, 1, 2), store)
        for table in tables:
            found, alone = most.view(table, seeds), make_plan([table], expansion, seeds, store)
            assert (found.tables, found.cells) == (alone.tables, alone.cells)
            found = found.records_by_cell
            assert found == alone.records_by_cell
            assert {len(records) for key, records in found.items() if key.method == TEACHER} <= {1}

    def test_have_the_order_of_their_seeds(self, plan, finish, job):
        finish(job(seed=2))
        made = plan(["kd"], ONE)
        cell = f"table06/{ONE[0]}/kd/top1"
        assert made.view(made.tables[0], (2, 0)).records_by_cell[cell] == [made.records[job(seed=2).id], None]

    @pytest.mark.parametrize(("seeds", "table"), [((3,), "6"), ((0,), "1")])
    def test_of_other_seeds_and_tables_are_refused(self, seeds, table, plan):
        with pytest.raises(KeyError):
            plan(["kd"], ONE).view(load(table), seeds)


def test_plans_share_the_jobs_of_an_expansion(resolver, store):
    expansion, tables = Expansion(resolver()), [load("2").select(["kd"], None), load("6").select(["kd"], ONE)]
    first, second = (make_plan(tables, expansion, seeds, store) for seeds in ((0,), (1, 0)))
    for cell, jobs in first.cells.items():
        assert all(job is second.cells[cell][-1] for job in jobs)


def test_an_expansion_knows_trials_apart_from_runs(resolver):
    expansion, [cell] = (
        Expansion(resolver()),
        [cell for cell in load("6").select(["srrl[tuned]"], ONE).cells if cell.method.tuned],
    )
    trials = expansion.trials(cell)
    assert [trial.recipe.holdout > 0 for trial in trials] == [True] * 3
    [run] = expansion.jobs(cell, (0,), cell.method.trials[0])
    assert (run.method, run.recipe.holdout) == (trials[0].method, 0)


class TestChainsOfTeachers:
    PAIR = "resnet110>resnet56[kd]>resnet32[at]:resnet20"
    QUESTION: ClassVar = {"table": "11", "methods": ["kd", "srrl"], "pairs": [PAIR], "seeds": (0, 1)}

    def test_each_teacher_is_trained_before_those_that_it_teaches(self, plan):
        made = plan(**self.QUESTION)
        assert done(made) == [
            ["none:resnet110 student seed 0"],
            ["resnet110:resnet56 kd seed 0"],
            ["resnet110>resnet56[kd]:resnet32 at seed 0"],
            *([f"{self.PAIR} {method} seed {seed}" for method in ("kd", "srrl")] for seed in (0, 1)),
        ]
        assert [str(cohort) for cohort in made.cohorts[2:4]] == [
            "resnet110>resnet56[kd] -> resnet32, seed 0, 1 run",
            "resnet110>resnet56[kd]>resnet32[at] -> resnet20, seed 0, 2 runs",
        ]
        [teacher] = made.cells[f"table11/{self.PAIR}/teacher/top1"]
        assert teacher == made.cohorts[2].runs[0]
        assert made.to_json()["runs"][-1]["teacher"] == self.PAIR.removesuffix(":resnet20")

    def test_a_student_of_the_table_may_be_a_teacher(self, plan):
        pairs = ["resnet110:resnet32", "resnet110>resnet32[kd]:resnet20"]
        made = plan(table="11", methods=["kd"], pairs=pairs, seeds=(0, 1))
        [teacher] = made.cells[f"table11/{pairs[1]}/teacher/top1"]
        assert teacher == made.cells[f"table11/{pairs[0]}/kd/top1"][0]
        assert made.missing == 1 + 2 + 2

    def test_what_is_trained_is_not_trained_again_and_lost_weights_are(self, plan, finish, store):
        first, second, third, *students = plan(**self.QUESTION).jobs
        for job in (first, second):
            finish(job)
        finish(third, weights=None)
        made = plan(**self.QUESTION)
        assert [*made.cohorts[0].runs] == [third]
        assert {job for cohort in made.cohorts for job in cohort.runs} == {third, *students}
        [remark] = made.remarks
        assert remark.startswith(f"{third}: its record is here, its weights are not")
        assert remark.endswith(f"put its weights at {store.teacher_path(third)}")
        finish(third)
        store.keep_teacher(third)
        store.weights_path(third).unlink()
        assert {job for cohort in plan(**self.QUESTION).cohorts for job in cohort.runs} == {*students}

    def test_where_a_method_of_the_chain_does_not_apply_nothing_after_it_does(self, plan, finish):
        question = {"table": "11", "methods": ["kd"], "pairs": ["wrn-40-4>wrn-40-2[fsp]:wrn-40-1"], "seeds": (0,)}
        cells = load("11").select(question["methods"], question["pairs"]).cells
        assert [cell.applies for cell in cells] == [False] * 2
        first, second, student = plan(**question).jobs
        assert not second.applies
        finish(first)
        finish(second, NOT_APPLICABLE, weights=None)
        made = plan(**question)
        assert (made.missing, made.states[student.id]) == (0, NOT_APPLICABLE)
        assert {record.id for records in made.records_by_cell.values() for record in records} == {second.id}

    def test_a_failed_teacher_blocks_what_comes_after_it(self, plan, finish):
        first, second, *_ = plan(**self.QUESTION).jobs
        finish(first)
        finish(second, FAILED, weights=None)
        made = plan(**self.QUESTION)
        assert made.missing == 0
        assert made.remarks == (f"{second} failed, so jobs that need it are blocked: --retry-failed trains it again",)
        assert plan(**self.QUESTION, retry=True).missing == 1 + 1 + 4
