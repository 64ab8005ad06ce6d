from types import SimpleNamespace

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.lineage.graph import Group, Node, chain, distinct, finder, objective_text, planned, recorded, values_text
from benchmark.lineage.records import Archive
from benchmark.runs.names import parse_method, parse_pair
from benchmark.runs.record import Data
from tests.benchmark import made_up


@pytest.fixture
def plan(store):
    """Stands for a plan of some jobs."""
    return lambda jobs: SimpleNamespace(
        jobs=tuple(jobs), records={job.id: record for job in jobs if (record := store.read(job))}
    )


def roles(groups):
    return [(group.role, [node.id for node in group.nodes]) for group in groups]


def test_an_analysis_rests_on_a_run_its_teacher_and_first_stages(kinds, store, plan):
    jobs = kinds()
    run, stage, analysis = jobs["train"], jobs["stage"], jobs["analyse"]
    everything = plan([run.teacher, stage, run, analysis])
    groups = chain([[planned(analysis, everything, store)]], finder(everything, store))
    assert roles(groups) == [
        ("analysis", [analysis.id]),
        ("what was analysed", [run.id]),
        ("the teacher", [run.teacher.id]),
        ("first stages", [stage.id]),
    ]


def test_seeds_go_together_and_a_job_comes_once(kinds, store, plan):
    probes, runs = zip(*((kinds(seed=seed)["probe"], kinds(seed=seed)["train"]) for seed in (0, 1)), strict=True)
    stages = [run.stages[0] for run in runs]
    everything = plan([runs[0].teacher, *stages, *runs, *probes])
    starts = [[planned(job, everything, store) for job in jobs] for jobs in (probes, runs, probes)]
    assert roles(chain(starts, finder(everything, store))) == [
        ("probe", [job.id for job in probes]),
        ("the frozen network", [job.id for job in runs]),
        ("the teacher", [runs[0].teacher.id]),
        ("first stages", [job.id for job in stages]),
    ]


def test_a_chain_names_each_teacher_by_its_place(resolver, store, finish, plan):
    teacher = TeacherChoice.of(parse_pair("resnet110>resnet56[fsp]>resnet32[kd]:resnet20"), "CRD100")
    run = resolver().run("CRD100", "resnet20", parse_method("kd"), teacher, 0)
    last, middle = run.teacher, run.teacher.teacher
    for job in (middle.teacher, *middle.stages, middle, last, run):
        finish(job)
    expected = [
        ("run", [run.id]),
        ("the teacher", [last.id]),
        ("the teacher's teacher", [middle.id]),
        ("the teacher's teacher's teacher", [middle.teacher.id]),
        ("the teacher's teacher's first stages", [middle.stages[0].id]),
    ]
    archive = Archive(store.results)
    assert roles(chain([[recorded(archive.beginning(run.id)[0])]], finder(plan([]), store))) == expected
    known = {one.id: one for one in archive}
    assert [one.id for one in archive.teachers(known[run.id])] == [last.id, middle.id, middle.teacher.id]
    store.record_path(middle).unlink()
    assert [one.id for one in Archive(store.results).teachers(known[run.id])] == [last.id]


def test_records_are_enough(kinds, store, finish, plan):
    jobs = kinds()
    run = jobs["train"]
    for job in (run.teacher, *run.stages, run):
        finish(job)
    start = recorded(Archive(store.results).beginning(run.id)[0])
    groups = chain([[start]], finder(plan([]), store))
    assert [node.state for group in groups for node in group.nodes] == ["done"] * 3
    assert groups[1].nodes[0].path == store.record_path(run.teacher)


def test_what_is_nowhere_is_missing_and_unknown(kinds, store, finish, plan):
    run = kinds()["train"]
    finish(run)
    find = finder(plan([]), store)
    groups = chain([[find(run.id)]], find)
    assert [(node.state, node.network, node.path) for node in groups[1].nodes] == [("missing", "", None)]


def test_facts_of_a_group_are_distinct():
    records = [*[made_up.record(provenance={"data": {"name": "a"}})] * 2, None]
    nodes = tuple(Node(str(i), {"seed": i % 2}, None, record) for i, record in enumerate(records))
    group = Group("run", nodes)
    assert group.facts("seed") == [0, 1]
    assert group.facts("recipe") == []
    assert group.provenance("data") == [Data(name="a")]


def test_texts(job):
    objective = job("kd+srrl[sr]").objective.spec
    assert objective_text(objective) == "0.1 * cross-entropy + 0.9 * kd (revision=1) + 1 * srrl[fm=0.0] (revision=1)"
    assert objective_text(job("student").objective.spec) == "1 * cross-entropy"
    values = {"name": "C100", "crop": "pad", "flip": 0.5, "beta2": None, "nesterov": False, "milestones": (1, 2)}
    assert values_text(values) == "crop=pad, flip=0.5, beta2=null, nesterov=false, milestones=[1, 2]"
    assert distinct([1, None, 2, 1]) == [1, 2]
