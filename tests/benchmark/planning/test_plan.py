from dataclasses import replace

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.planning.cohorts import Cohort
from benchmark.planning.plan import Plan, format_duration
from benchmark.tables import reader
from tests.benchmark import made_up


@pytest.fixture
def runs(job):
    """Two students of one teacher, and what they need."""
    where = {"recipe": "CRD100", "student": "wrn-16-2", "teacher": "wrn-40-2"}
    return [job("kd", **where), job("fsp", **where)]


@pytest.fixture
def plan():
    """Factory of plans that consist of cohorts alone."""

    def make(*cohorts, states=None, cells=None):
        jobs = tuple(job for cohort in cohorts for job in cohort.runs)
        states = {job.id: "missing" for job in jobs} | (states or {})
        return Plan((reader.load("6"),), jobs, cells or {}, {}, states, cohorts, (), ())

    return make


class TestCohort:
    def test_needs_what_its_members_need(self, runs):
        kd, fsp = runs
        assert Cohort((kd, fsp)).needs == {kd.teacher, fsp.stages[0]}
        assert Cohort((kd.teacher,)).needs == frozenset()
        assert Cohort((kd,)).teacher == kd.teacher
        assert Cohort((kd.teacher,)).teacher is None

    def test_goes_on_without_some(self, runs):
        kd, fsp = runs
        cohort = Cohort((kd, fsp), 3.0)
        assert cohort.without([kd]) == Cohort((fsp,), 3.0)
        assert cohort.without([kd]).needs == {*fsp.needs}
        assert cohort.without([kd.teacher]) == cohort
        assert cohort.without(runs).runs == ()

    def test_says_what_it_is(self, runs, kinds):
        kd, fsp = runs
        names = {kind: str(Cohort((job,))) for kind, job in kinds(seed=1).items()}
        assert names == {
            "train": "wrn-40-2 -> wrn-16-2, seed 1, 1 run",
            "stage": "wrn-40-2 -> wrn-16-2, seed 1, 1 first stage",
            "evaluate": "no teacher -> wrn-40-2, seed 0, 1 evaluation",
            "probe": "no teacher -> wrn-16-2, seed 1, 1 probe",
            "analyse": "wrn-40-2 -> wrn-16-2, seed 1, 1 analysis",
        }
        other = replace(kd, network="wrn-40-1")
        assert str(Cohort((kd, fsp, other))) == "wrn-40-2 -> wrn-16-2, wrn-40-1, seed 0, 3 runs"


class TestPlan:
    def test_knows_the_records_of_its_cells(self, runs, plan):
        kd, fsp = runs
        record = made_up.record(fsp)
        made = replace(plan(Cohort((kd, fsp)), cells={"a": (kd, fsp), "b": (fsp,), "c": ()}), records={fsp.id: record})
        assert made.records_by_cell == {"a": [None, record], "b": [record], "c": []}

    def test_a_run_whose_first_stage_does_not_apply_has_the_record_of_that(self, runs, plan):
        _, fsp = runs
        made = plan(Cohort((fsp,)), cells={"a": (fsp,)})
        for status, found in (("failed", False), ("not_applicable", True)):
            record = made_up.record(fsp.stages[0], status)
            records = {fsp.stages[0].id: record}
            assert replace(made, records=records).records_by_cell == {"a": [record if found else None]}

    def test_counts_what_is_missing_by_kind(self, runs, kinds, plan):
        made = kinds()
        looks = [replace(made["analyse"], measure=measure) for measure in ("similarity", "distance")]
        cohorts = [Cohort((job,), 2.0) for job in (*runs, made["stage"], made["probe"])]
        full = plan(*cohorts, Cohort(tuple(looks), 3.0))
        assert full.count_missing() == "2 runs, 1 first stage, 1 probe, 2 analyses"
        assert full.missing == 6
        assert plan(*cohorts[:1]).count_missing() == "1 run"
        assert plan().count_missing() == ""

    def test_a_run_between_networks_that_its_method_cannot_pair_is_none(self, job, plan):
        where = {"recipe": "CRD100", "teacher": "wrn-40-2"}
        not_applicable = [job("fsp", "wrn-40-1", seed=seed, **where) for seed in range(3)]
        made = plan(Cohort((job("kd", "wrn-40-1", **where), *not_applicable)))
        assert made.count_missing() == "1 run, 3 not applicable"
        assert made.missing == 4

    def test_is_summed_up_by_recipe(self, resolver, job, plan):
        run = job("kd", "wrn-16-4")
        probe = resolver().probe("PROBE-STL10", run)
        looks = tuple(
            resolver().analysis(measure, run, TeacherChoice("C100", "wrn-40-4")) for measure in ("clusters", "tsne")
        )
        made = plan(
            Cohort((run.teacher,)),
            Cohort((run,)),
            Cohort((probe,)),
            Cohort(looks),
            states={run.id: "cached", run.teacher.id: "cached", probe.id: "failed"},
            cells={"one": (run,), "two": (probe,)},
        )
        assert made.summary() == [
            "2 cells, 5 jobs (2 runs, 1 probe, 2 analyses): 2 cached, 1 failed, 2 missing",
            "  C100: 2 runs, 2 analyses",
            "  PROBE-STL10: 1 probe",
        ]

    def test_is_told_to_machines(self, kinds, plan):
        made = kinds(seed=1)
        run, probe, analysis = made["train"], made["probe"], made["analyse"]
        told = plan(
            Cohort((run,), 1.26),
            Cohort((probe,), 2.0),
            Cohort((analysis,), 3.0),
            states={run.id: "cached"},
            cells={"a": (run,), "b": (run, probe)},
        ).to_json()
        common = {"student": "wrn-16-2", "seed": 1}
        expected = [
            (run, ["a", "b"], "digits", "wrn-40-2", "fsp", "cached"),
            (probe, ["b"], "digits-for-stl10", None, "fsp, probe on digits-for-stl10", "missing"),
            (analysis, [], "digits", "wrn-40-2", "fsp, similarity", "missing"),
        ]
        keys = ("table_cells", "dataset", "teacher", "method", "state")
        assert told["runs"] == [
            {"id": job.id, "kind": job.kind, **dict(zip(keys, rest, strict=True)), **common} for job, *rest in expected
        ]
        assert told["cohorts"] == [
            {"runs": [run.id], "teacher": "wrn-40-2", "estimated_seconds": 1.3},
            {"runs": [probe.id], "teacher": None, "estimated_seconds": 2.0},
            {"runs": [analysis.id], "teacher": "wrn-40-2", "estimated_seconds": 3.0},
        ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (3.5 * 3600, "3.5 h"), (9.2 * 86400, "9 days")],
)
def test_format_duration(seconds, text):
    assert format_duration(seconds) == text
