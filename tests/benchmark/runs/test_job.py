import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.ids import digest
from benchmark.registry import catalog
from benchmark.registry.catalog import ROOT
from benchmark.runs import job as job_module
from benchmark.runs.names import parse_method, parse_pair
from benchmark.runs.objective import Objective
from benchmark.runs.recipe import RECIPE_KEYS

# What the test images are, and what the network is: all that matters where nothing is trained.
SEEN = {"name", "dataset", "crop", "crop_size", "resize", "mean", "std", "holdout", "precision"}
SEEN |= {"in_size", "width", "top_k"}
PINNED = {
    ("digits", "train"): "99f37082589fb843b06998e7922cfe606569968bc3e5ff8649580ab73b7a8d89",
    ("digits", "stage"): "674b2a5e4b202ba1833e66669aea8e91760fff3333cb33e006d0d83b2391306c",
    ("digits", "evaluate"): "5ea0cc1ad7351e6dbc82863534c4e56da34e5ff943438f8f146ee3cabcda2fed",
    ("digits", "probe"): "a555c9b7c8623e78a85a1dbabe975ff4d5dea26df264b212c2d5b21531b06d73",
    ("digits", "analyse"): "d8c24a393777e2b0f5c30a18e875c37923da93f91e2effeb3217ba9515783a2d",
    ("paper", "train"): "65cb95321c29dc5cf622c1e3bcee10ba1cffe3c9133d662bc70612ec57acc66c",
    ("paper", "stage"): "fe74f22136615237406021b3dd7546adb2f21181aa85c6649058d5457870efec",
    ("paper", "evaluate"): "47e05f3ca28930dfb286f6e9e4316608a5356362a4f1c66b5530baa6532458af",
    ("paper", "probe"): "3d7b41c74e2a7c26b65b42e196e7d2ad5f14bd81cba2b119ad33e733db6ced40",
    ("paper", "analyse"): "feaad0bb87ddbb3ec1bec1cc58416477820d8e8315fa549951a0b1cc82115ed7",
    ("digits", "srrl of Table 6"): "6e03004fe69eba8e179a39681ad4f7e4d494082a7b3bc34ae8ed635b01fe12d7",
    ("paper", "srrl of Table 6"): "522dc92a476201e728445b97fc9d78b8198421014268df27f521a945554f0dd5",
}
MOVED = (
    "the id of a job of the paper changed, so its records are no longer found. Where a recipe's values changed on "
    "purpose, pin the new id here. Where results of the same values change, raise NUMERICS in benchmark/runs/job.py "
    "(the engine) or the revision of the method or measure, then pin the new id. "
    "Otherwise the way ids are made broke: mend that."
)


def term(**changes):
    return lambda job: replace(job, objective=Objective(0.1, (replace(job.objective.terms[0], **changes),)))


def of_stage(**changes):
    return lambda job: replace(job, term=replace(job.term, **changes))


def other_seed(name):
    return lambda job: replace(job, **{name: replace(getattr(job, name), seed=1)})


CHANGES = [
    ("train", term(weight=0.8)),
    ("train", term(options={"temperature": 2.0})),
    ("train", term(revision=99)),
    ("train", term(sha256="ab")),
    ("train", term(name="kd")),
    ("train", lambda job: replace(job, objective=replace(job.objective, ce=0.2))),
    ("train", lambda job: replace(job, network="wrn-16-4")),
    ("train", other_seed("teacher")),
    ("train", lambda job: replace(job, teacher=None)),
    ("train", lambda job: replace(job, stages=())),
    ("train", lambda job: replace(job, stages=(replace(job.stages[0], seed=1),))),
    ("train", lambda job: replace(job, stages=(of_stage(revision=99)(job.stages[0]),))),
    ("stage", of_stage(options={"margin": 2.0})),
    ("stage", of_stage(revision=99)),
    ("stage", of_stage(sha256="ab")),
    ("stage", of_stage(name="ab")),
    ("stage", lambda job: replace(job, network="wrn-16-4")),
    ("stage", other_seed("teacher")),
    ("evaluate", lambda job: replace(job, weights="cd" * 32)),
    ("evaluate", lambda job: replace(job, network="wrn-16-4")),
    ("probe", other_seed("base")),
    ("probe", lambda job: replace(job, base=term(weight=0.8)(job.base))),
    ("analyse", lambda job: replace(job, measure="distance")),
    ("analyse", lambda job: replace(job, revision=99)),
    ("analyse", other_seed("subject")),
    ("analyse", other_seed("teacher")),
    ("analyse", lambda job: replace(job, teacher=None)),
    *((kind, lambda job: replace(job, seed=1)) for kind in ("train", "stage", "evaluate", "probe", "analyse")),
]
IDLE = [
    ("train", lambda job: replace(job, method="another name")),
    ("train", lambda job: replace(job, stages=(of_stage(weight=7.0)(job.stages[0]),))),
    ("stage", of_stage(weight=7.0)),
    ("evaluate", lambda job: replace(job, source="elsewhere")),
    ("probe", lambda job: replace(job, base=replace(job.base, method="another name"))),
    ("analyse", lambda job: replace(job, subject=replace(job.subject, method="another name"))),
]


class TestId:
    @pytest.mark.parametrize(("profile", "kind"), PINNED)
    def test_stays(self, profile, kind, kinds, job):
        known = kinds(profile=profile) | {"srrl of Table 6": job("srrl", profile=profile)}
        assert known[kind].id == PINNED[profile, kind], MOVED

    def test_is_the_digest_of_the_spec(self, kinds):
        for kind, job in kinds().items():
            assert job.id == digest(job.spec)
            assert job != job.id
            assert job.spec == {
                "kind": kind,
                "numerics": job_module.NUMERICS,
                "network": job.network,
                "seed": job.seed,
                **job.inputs,
            }

    def test_is_alike_in_all_processes(self, job):
        code = (
            "from benchmark.runs.names import parse_method;"
            "from benchmark.config.resolve import ConfigResolver;"
            "from benchmark.config.teachers import TeacherChoice;"
            "from benchmark.config.overrides import load_profile;"
            "resolver = ConfigResolver(load_profile('digits'), {});"
            "teacher = TeacherChoice('C100', 'wrn-40-4');"
            "print(resolver.run('C100', 'wrn-16-2', parse_method('at+ft+srrl'), teacher, 0).id)"
        )
        environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == job("at+ft+srrl").id

    @pytest.mark.parametrize("key", RECIPE_KEYS)
    def test_holds_every_value_of_the_recipe_that_trains(self, key, kinds, other):
        matters = {"train": True, "stage": True, "probe": True, "evaluate": key in SEEN, "analyse": False}
        for kind, job in kinds(profile="paper").items():
            changed = replace(job, recipe=other(job.recipe, key))
            assert (changed.id != job.id) == (changed != job) == matters[kind]

    @pytest.mark.parametrize(("kind", "change"), CHANGES)
    def test_holds_everything_else_that_changes_results(self, kind, change, kinds):
        job = kinds()[kind]
        assert change(job).id != job.id
        assert change(job).path != job.path

    @pytest.mark.parametrize(("kind", "change"), IDLE)
    def test_holds_nothing_else(self, kind, change, kinds):
        job = kinds()[kind]
        changed = change(job)
        assert asdict(changed) != asdict(job)
        assert (changed.id, changed.path) == (job.id, job.path)
        assert changed == job
        assert len({changed, job}) == 1

    def test_holds_the_engines_version(self, kinds, monkeypatch):
        before = {job.id for job in kinds().values()}
        monkeypatch.setattr(job_module, "NUMERICS", job_module.NUMERICS + 1)
        assert not before & {job.id for job in kinds().values()}

    def test_a_change_of_the_teacher_reaches_all_that_follows(self, kinds):
        run, stage, _, probe, analysis = kinds().values()
        teacher = replace(run.teacher, seed=1)
        other = replace(run, stages=(replace(stage, teacher=teacher),))
        assert other.teacher == run.teacher
        assert other != run
        assert replace(probe, base=other) != probe
        assert replace(analysis, subject=other) != analysis

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("srrl[fm=0]", "srrl[sr]"),
            ("srrl[sr=0.0]", "srrl[fm]"),
            ("srrl+kd", "kd+srrl"),
            ("kd[temperature=4]", "kd"),
            ("kd[temperature=8]", "kd[temperature=8.0]"),
            ("srrl[form=kl,sr=2]", " srrl[ sr=2.0, form = kl ]"),
            ("kd[]", "kd"),
            ("ab[margin=1]+kd", "kd+ab"),
        ],
    )
    def test_does_not_depend_on_spelling(self, one, other, job):
        assert job(one).id == job(other).id
        assert job(one).path == job(other).path
        assert job(one).stages == job(other).stages


class TestSpec:
    def test_holds_the_ids_of_needed_jobs(self, kinds):
        run, stage, given, probe, analysis = kinds(profile="paper", seed=2).values()
        teacher, student = ({"network": job.network, "id": job.id} for job in (run.teacher, run))
        assert stage.spec["teacher"] == analysis.spec["teacher"] == teacher
        assert stage.spec["method"] == {"name": "fsp", "options": {}, "revision": 1}
        assert probe.spec["base"] == analysis.spec["subject"] == student
        assert analysis.spec["measure"] == {"name": "similarity", "revision": analysis.revision}
        assert replace(analysis, measure="clusters", teacher=None).spec["teacher"] is None
        assert (given.spec["weights"], given.spec["recipe"].keys()) == ("ab" * 32, SEEN)


def test_what_jobs_need(kinds):
    made = kinds()
    run, stage, given, probe, analysis = made.values()
    teacher = run.teacher
    assert {kind: job.needs for kind, job in made.items()} == {
        "train": (teacher, stage),
        "stage": (teacher,),
        "evaluate": (),
        "probe": (run,),
        "analyse": (run, teacher),
    }
    assert [job.teacher_job for job in (run, stage, given, probe, analysis)] == [teacher, teacher, None, None, teacher]
    assert replace(analysis, teacher=None).needs == (run,)
    # A measure that does not compare still looks at a student of that teacher.
    assert replace(analysis, teacher=None).teacher_job == teacher
    assert teacher.needs == ()


@pytest.mark.parametrize(
    ("method", "student", "folder"),
    [
        ("student", "wrn-16-2", "none--wrn-16-2/student"),
        ("at+srrl[fm=0]", "wrn-16-2", "wrn-40-4--wrn-16-2/at+srrl[sr]"),
        ("at", "resnet10-wide", "wrn-40-4--resnet10-wide/at[last=2]"),
        ("srrl[form=kl,temperature=2]", "wrn-16-2", "wrn-40-4--wrn-16-2/srrl[form=kl,temperature=2]"),
    ],
)
def test_path_follows_from_the_spec(method, student, folder, job):
    made = job(method, student=student, seed=2)
    assert made.path == f"C100/{folder}/seed2-{made.id[:12]}"


def test_paths_and_names_of_every_kind(kinds):
    made = kinds(seed=1)
    paths = {kind: job.path.removesuffix(job.id[:12]) for kind, job in made.items()}
    assert paths == {
        "train": "CRD100/wrn-40-2--wrn-16-2/fsp/seed1-",
        "stage": "CRD100/wrn-40-2--wrn-16-2/fsp@stage/seed1-",
        "evaluate": "CRD100/none--wrn-40-2/given/seed0-",
        "probe": "PROBE-STL10/wrn-40-2--wrn-16-2/fsp/seed1-",
        "analyse": "CRD100/wrn-40-2--wrn-16-2/fsp@similarity/seed1-",
    }
    assert {kind: str(job) for kind, job in made.items()} == {
        "train": "wrn-40-2:wrn-16-2 fsp seed 1",
        "stage": "wrn-40-2:wrn-16-2 fsp, first stage, seed 1",
        "evaluate": "none:wrn-40-2 given seed 0",
        "probe": "wrn-40-2:wrn-16-2 fsp, probe on digits-for-stl10, seed 1",
        "analyse": "wrn-40-2:wrn-16-2 fsp, similarity, seed 1",
    }


def test_records_of_one_network_under_two_teachers_lie_apart(resolver, job):
    """A plain student has one run, but an analysis of it for every teacher."""
    paths = {
        resolver().analysis("similarity", job("student"), TeacherChoice("C100", name)).path.rpartition("/")[0]
        for name in ("wrn-40-4", "resnet34-wide")
    }
    assert len(paths) == 2


class TestCohortKey:
    @pytest.mark.parametrize("kind", ["train", "stage", "probe", "analyse"])
    def test_is_of_one_kind_seed_and_stream(self, kind, kinds, other):
        job = kinds()[kind]
        assert job.cohort_key[0] == kind
        assert kinds(seed=1)[kind].cohort_key != job.cohort_key
        for key, together in (("batch_size", False), ("flip", False), ("lr", True), ("epochs", True)):
            changed = replace(job, recipe=other(job.recipe, key))
            assert (changed.cohort_key == job.cohort_key) == (together or kind == "analyse")

    def test_of_runs_shares_a_teacher_or_has_one_network(self, job):
        assert job("kd").cohort_key == job("srrl", "wrn-16-4").cohort_key == job("at", "mobilenetv2-cifar").cohort_key
        assert job("kd").cohort_key != job("kd", teacher="resnet34-wide").cohort_key
        assert job("student").cohort_key != job("student", "wrn-16-4").cohort_key
        assert job("student").cohort_key != job("kd").cohort_key

    def test_of_first_stages_is_the_teachers(self, job):
        where = {"recipe": "CRD100", "teacher": "resnet32x4"}
        stages = [job(method, "resnet8x4", **where).stages[0] for method in ("ab", "ft", "fsp")]
        assert len({stage.cohort_key for stage in stages}) == 1
        assert stages[0].cohort_key != job("ab", "resnet8x4", "vgg13", recipe="CRD100").stages[0].cohort_key

    def test_of_looks_is_the_networks_or_the_teachers(self, resolver, job):
        made = resolver()
        runs = [job(method) for method in ("student", "kd", "srrl")]
        probes = [made.probe("PROBE-STL10", run) for run in runs]
        assert len({probe.cohort_key for probe in probes}) == 1
        assert made.probe("PROBE-CIFAR100", runs[0]).cohort_key != probes[0].cohort_key
        assert made.probe("PROBE-STL10", job("kd", "wrn-16-4")).cohort_key != probes[0].cohort_key
        teacher = TeacherChoice("C100", "wrn-40-4")
        for measure in ("similarity", "clusters"):
            assert len({made.analysis(measure, run, teacher).cohort_key for run in runs}) == 1
        measures = {made.analysis(measure, runs[1], teacher).cohort_key for measure in ("similarity", "distance")}
        assert len(measures) == 2

    def test_of_given_weights_is_nobodys(self, kinds):
        given = kinds()["evaluate"]
        assert replace(given, weights="cd" * 32).cohort_key != given.cohort_key


def test_a_sum_applies_where_all_its_terms_do(job):
    where = {"recipe": "CRD100", "teacher": "wrn-40-2"}
    assert job("fsp+kd", "wrn-16-2", **where).applies
    assert not job("fsp+kd", "wrn-40-1", **where).applies
    assert job("kd", "wrn-40-1", **where).applies
    assert job("student", "wrn-40-1", **where).applies


def test_a_networks_revision_is_part_of_ids_from_the_second_on(job, monkeypatch):
    first = job()
    known = catalog.networks()
    for revision in (1, 2):
        changed = {**known, first.network: replace(known[first.network], revision=revision)}
        monkeypatch.setattr(catalog, "networks", lambda changed=changed: changed)
        again = job()
        assert (again.id == first.id) == (revision == 1)
        assert again.spec.get("network_revision") == (2 if revision == 2 else None)


class TestChain:
    @pytest.fixture
    def taught(self, resolver):
        """Factory of the run of a pair's student."""

        def make(pair, method="kd", **scale):
            teacher = TeacherChoice.of(parse_pair(pair), "CRD100")
            return resolver(**scale).run("CRD100", parse_pair(pair).student, parse_method(method), teacher, 0)

        return make

    def test_messages_name_all_teachers(self, taught, resolver):
        pair = "resnet110>resnet56[kd]>resnet32[fsp]:resnet20"
        run = taught(pair, "ft")
        assert (run.pair, str(run)) == (pair, f"{pair} ft seed 0")
        assert run.teacher.pair == "resnet110>resnet56[kd]:resnet32"
        assert run.teacher.teacher.pair == "resnet110:resnet56"
        assert run.teacher.teacher.teacher.pair == "none:resnet110"
        assert [stage.pair for stage in run.stages] == ["resnet110>resnet56[kd]>resnet32[fsp]:resnet32"]
        probe = resolver().probe("PROBE-STL10", run)
        analysis = resolver().analysis("similarity", run, TeacherChoice.of(parse_pair(pair), "CRD100"))
        assert probe.pair == analysis.pair == pair

    def test_chains_that_end_alike_have_one_folder_and_files_of_their_own(self, taught, store):
        pairs = ("resnet32:resnet20", "resnet56>resnet32[kd]:resnet20", "resnet110>resnet32[kd]:resnet20")
        runs = [taught(pair) for pair in pairs]
        assert {store.record_path(run).parent.relative_to(store.results).as_posix() for run in runs} == {
            "records/CRD100/resnet32--resnet20/kd"
        }
        for path in (store.record_path, store.weights_path, store.checkpoint_path, store.log_path):
            assert len({path(run) for run in runs}) == 3
        assert len({store.teacher_path(run.teacher) for run in runs}) == 3
        assert all(run.teacher.keeps_weights for run in runs)

    def test_students_of_other_teachers_are_of_other_cohorts(self, taught):
        runs = [taught("resnet56>resnet32[kd]:resnet20", method) for method in ("kd", "srrl")]
        other = taught("resnet110>resnet32[kd]:resnet20")
        assert runs[0].cohort_key == runs[1].cohort_key != other.cohort_key
        assert runs[0].cohort_key not in {runs[0].teacher.cohort_key, runs[0].teacher.teacher.cohort_key}

    def test_none_of_the_teachers_is_left_out_of_an_id(self, taught):
        plain, changed = (taught("resnet56>resnet32[kd]:resnet20", **{"objectives.kd.weight": w}) for w in (0.9, 0.5))
        assert changed.teacher.id != plain.teacher.id
        assert changed.teacher.teacher.id == plain.teacher.teacher.id
        assert changed.id != plain.id
