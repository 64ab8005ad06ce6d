"""How recipes resolve: the order of overrides, and what runs, stages, teachers, trials and probes are made of."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec import structs

from benchmark.config import overrides
from benchmark.config.overrides import Override
from benchmark.config.teachers import SELF_TEACHER_SEED, TeacherChoice, Weights
from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.job import Pretrained, Run
from benchmark.runs.names import parse_method, parse_pair

MEASURES = {"similarity": True, "distance": True, "clusters": False, "tsne": False}


@pytest.fixture
def with_overrides(resolver):
    """A resolver of profile digits with these overrides in the place of the profile's."""

    def make(*overrides, profile="digits", **changes):
        made = resolver(profile, **changes)
        return replace(made, profile=structs.replace(made.profile, overrides=overrides))

    return make


class TestOverrides:
    def test_apply_in_order(self, with_overrides):
        wide = Override({"lr": 0.3, "width": 2.0}, {"student": "wrn-16-*"})
        preset = overrides.Preset("mine", (Override({"flip": 0.2, "width": 4.0}, {"student": "wrn-16-4"}),))
        general = Override({"lr": 0.2, "width": 3.0, "flip": 0.1}, {})
        made = replace(with_overrides(general, wide, profile="paper", lr=0.4), preset=preset)

        def values(network):
            recipe = made.run("C100", network, parse_method("kd"), TeacherChoice("C100", "wrn-40-4"), 0).recipe
            return recipe.lr, recipe.width, recipe.flip

        assert values("resnet10-wide") == (0.4, 3.0, 0.1)
        assert values("wrn-16-2") == (0.4, 2.0, 0.1)
        assert values("wrn-16-4") == (0.4, 4.0, 0.2)

    @pytest.mark.parametrize(
        ("match", "matching", "others"),
        [
            ({"teacher": "wrn-*"}, ["kd", "at", "srrl"], ["student"]),
            ({"method": "kd"}, ["kd", "kd+srrl", "kd[temperature=2]"], ["student", "srrl"]),
            (
                {"method": "kd+srrl"},
                ["srrl+kd", "kd[temperature=2]+srrl[sr]"],
                ["student", "kd", "srrl", "at+kd+srrl"],
            ),
        ],
    )
    def test_a_pattern_chooses_the_runs(self, match, matching, others, with_overrides):
        made = with_overrides(Override({"lr": 0.3}, match))
        teacher = TeacherChoice("C100", "wrn-40-4")
        rates = {
            name: made.run("C100", "wrn-16-2", parse_method(name), teacher, 0).recipe.lr
            for name in (*matching, *others)
        }
        assert rates == dict.fromkeys(matching, 0.3) | dict.fromkeys(others, 0.1)

    @pytest.mark.parametrize(
        ("epochs", "milestones"),
        [(200, (100, 150)), (30, (15, 22)), (10, (5, 8)), (2, (1, 2)), (1, (1,)), (400, (200, 300))],
    )
    def test_a_changed_length_alone_moves_the_drops_with_it(self, epochs, milestones, job):
        assert job(profile="paper", epochs=epochs).recipe.milestones == milestones
        assert job(profile="quick", epochs=epochs).recipe.milestones == milestones
        assert job(profile="paper", epochs=epochs, milestones=(1,)).recipe.milestones == (1,)

    @pytest.mark.parametrize(("epochs", "stage"), [(240, 30), (480, 60), (24, 3), (4, 1), (1, 1)])
    def test_a_changed_length_alone_moves_first_stages_with_it(self, epochs, stage, job):
        where = {"student": "resnet8x4", "teacher": "resnet32x4", "recipe": "CRD100", "profile": "paper"}
        for method in ("ab", "fsp", "ft"):
            run = job(method, epochs=epochs, **where)
            assert [made.recipe.epochs for made in run.stages] == [stage]
            told = job(method, epochs=epochs, **{f"objectives.{method}.stage.epochs": 7}, **where)
            assert [made.recipe.epochs for made in told.stages] == [7]
            assert (told.recipe.epochs, told.objective) == (epochs, run.objective)

    def test_a_rate_of_ones_own_reaches_first_stages_that_have_none(self, job):
        where = {"recipe": "CRD100", "teacher": "vgg13", "profile": "paper", "lr": 0.3}
        assert [job("ab", student, **where).stages[0].recipe.lr for student in ("vgg8", "shufflenetv1")] == [0.3, 0.3]
        assert [job("ft", student, **where).stages[0].recipe.lr for student in ("vgg8", "resnet20")] == [0.3, 0.01]
        told = job("ft", "resnet20", **where, **{"objectives.ft.stage.lr": 0.2})
        assert told.stages[0].recipe.lr == 0.2

    def test_equal_values_are_one_run_however_they_came_about(self, job):
        assert job(profile="quick", epochs=200, evaluate_every=1) == job(profile="paper")
        assert job(profile="paper", **{"objectives.kd.weight": 0.5}) != job(profile="paper")


class TestObjectives:
    def test_a_sum_takes_the_smallest_cross_entropy_weight(self, job):
        assert (job("kd").objective.ce, job("srrl").objective.ce) == (0.1, 1.0)
        assert job("at+kd+srrl").objective.ce == 0.1

    def test_an_option_asked_for_outlives_the_recipes_own_even_where_it_is_the_default(self, job):
        assert job("at", student="resnet10-wide").objective.terms[0].options == {"last": 2}
        assert job("at[last=0]", student="resnet10-wide").objective.terms[0].options == {}


class TestTeachers:
    def test_student_alone_is_one_run_for_all_teachers(self, job):
        alone = job("student", teacher="wrn-40-4")
        assert alone == job("student", teacher="resnet34-wide")
        assert alone.teacher is None
        assert alone.spec["objective"] == {"ce": 1.0, "terms": {}}

    def test_teacher_of_every_seed_is_the_run_of_seed_0(self, job):
        assert job(seed=2).teacher == job("student", student="wrn-40-4", seed=0)
        assert job(seed=2).spec["teacher"] == {"network": "wrn-40-4", "id": job().teacher.id}

    def test_torchvisions_weights_are_evaluated_not_trained(self, job):
        teacher = job(student="resnet18-imagenet", teacher="resnet34-imagenet", recipe="IN", profile="paper").teacher
        assert isinstance(teacher, Pretrained)
        assert (teacher.weights, teacher.source) == ("b627a593", "ResNet34_Weights.IMAGENET1K_V1")
        assert (teacher.recipe.name, teacher.recipe.resize, teacher.recipe.in_size) == ("IN", 256, 224)

    def test_the_same_file_is_the_same_teacher_whoever_brings_it(self, job):
        where = {"student": "resnet18-imagenet", "teacher": "resnet34-imagenet", "recipe": "IN", "profile": "paper"}
        named = job(**where)
        path = Path("resnet34.pth")
        brought = job(**where, given={"resnet34-imagenet": Weights("b627a593" + "0" * 56, path)})
        assert brought.teacher.source == path
        assert (brought.teacher.id, brought.id) == (named.teacher.id, named.id)
        other = job(**where, given={"resnet34-imagenet": Weights("b627a594" + "0" * 56, path)})
        assert other.teacher.weights.startswith("b627a594")
        assert other.teacher.id != named.teacher.id
        assert other.id != named.id

    def test_given_weights_teach_in_every_recipe_and_train_nobody(self, job, resolver):
        given = {"wrn-40-2": Weights("ab" * 32, Path("a.pt"))}
        for recipe in ("CRD100", "C10-WRN"):
            run = job(teacher="wrn-40-2", recipe=recipe, given=given)
            assert isinstance(run.teacher, Pretrained)
            assert (run.teacher.recipe.name, run.teacher.weights) == (recipe, "ab" * 32)
            assert run.needs == (run.teacher,)
            assert run.id != job(teacher="wrn-40-2", recipe=recipe).id
        assert job(given=given) == job()  # another teacher
        alone = job("student", "wrn-40-2", given=given)
        assert alone == job("student", "wrn-40-2")
        assert isinstance(resolver(given=given).teacher(TeacherChoice("CRD100", "wrn-40-4")), Run)


class TestChains:
    PAIR = parse_pair("resnet110>resnet56[kd]>resnet32[fsp]:resnet20")

    def run(self, resolver, pair=PAIR, method="kd", seed=0, **scale):
        teacher = TeacherChoice.of(parse_pair(pair), "CRD100")
        return resolver(**scale).run("CRD100", parse_pair(pair).student, parse_method(method), teacher, seed)

    def test_each_teacher_is_the_run_that_its_own_pair_has(self, resolver):
        last = self.run(resolver, seed=2).teacher
        middle = last.teacher
        assert last == self.run(resolver, "resnet110>resnet56[kd]:resnet32", "fsp")
        assert middle == self.run(resolver, "resnet110:resnet56")
        assert middle.teacher == self.run(resolver, "resnet32:resnet110", "student")
        assert [(job.network, job.method, job.seed) for job in (middle.teacher, middle, last)] == [
            ("resnet110", "student", 0),
            ("resnet56", "kd", 0),
            ("resnet32", "fsp", 0),
        ]
        assert [stage.teacher for stage in last.stages] == [middle]
        assert last.needs == (middle, *last.stages)

    def test_a_student_refers_to_the_run_that_taught_it(self, resolver):
        runs = [self.run(resolver, f"{teacher}:resnet20") for teacher in ("resnet32", "resnet56>resnet32[kd]")]
        runs.append(self.run(resolver, "resnet56>resnet32[kd[temperature=2]]:resnet20"))
        assert [run.spec["teacher"] for run in runs] == [{"network": "resnet32", "id": run.teacher.id} for run in runs]
        assert len({run.id for run in runs}) == len({run.teacher.id for run in runs}) == 3

    def test_given_weights_stand_for_the_first_teacher_alone(self, resolver):
        given = {name: Weights("ab" * 32, Path("a.pt")) for name in ("resnet110", "resnet32")}
        last = self.run(resolver, given=given).teacher
        assert isinstance(last, Run)
        assert isinstance(last.teacher, Run)
        assert isinstance(last.teacher.teacher, Pretrained)
        assert isinstance(self.run(resolver, "resnet32:resnet20", given=given).teacher, Pretrained)

    def test_a_stage_on_a_distilled_teacher_has_the_values_that_trained_it(self, with_overrides):
        made = with_overrides(Override({"weight_decay": 0.003}, {"method": "kd"}))
        pair = parse_pair("resnet56>resnet32[kd]:resnet20")
        run = made.run("CRD100", "resnet20", parse_method("ft"), TeacherChoice.of(pair, "CRD100"), 0)
        [stage] = run.stages
        assert (stage.network, stage.teacher) == ("resnet32", run.teacher)
        assert stage.recipe.weight_decay == run.teacher.recipe.weight_decay == 0.003 != run.recipe.weight_decay


class TestStages:
    WHERE: ClassVar = {"recipe": "CRD100", "profile": "paper"}

    def test_a_students_first_stage_is_its_own(self, job):
        runs = [job("ab", "wrn-16-2", "wrn-40-2", seed=seed, **self.WHERE) for seed in range(3)]
        stages = [run.stages[0] for run in runs]
        assert len({*stages}) == 3
        assert [(stage.network, stage.seed, stage.student) for stage in stages] == [
            ("wrn-16-2", seed, True) for seed in range(3)
        ]
        assert all(run.needs == (run.teacher, *run.stages) for run in runs)
        assert all(stage.teacher == runs[0].teacher for stage in stages)

    def test_a_teachers_first_stage_is_shared_by_students_and_seeds_of_one_rate(self, job):
        def stage(student, seed=0, teacher="vgg13", **changes):
            return job("ft", student, teacher, seed=seed, **self.WHERE, **changes).stages[0]

        shared = {
            stage("mobilenetv2-half"),
            stage("mobilenetv2-half", seed=2),
            stage("shufflenetv1"),
            stage("resnet20"),
        }
        assert len(shared) == 1
        [paraphraser] = shared
        assert (paraphraser.network, paraphraser.seed, paraphraser.student) == ("vgg13", 0, False)
        assert stage("vgg8") != paraphraser
        assert stage("mobilenetv2-half", teacher="resnet50-crd") != paraphraser
        # The weight belongs to the run.
        assert stage("resnet20", **{"objectives.ft.weight": 7.0}) == paraphraser

    def test_a_pair_that_a_method_cannot_join_has_no_first_stage(self, job):
        run = job("fsp", "wrn-40-1", "wrn-40-2", **self.WHERE)
        assert (run.applies, run.stages) == (False, ())
        assert job("fsp", "wrn-16-2", "wrn-40-2", **self.WHERE).applies

    def test_stages_of_a_sum_come_before_it_and_two_cannot_train_one_student(self, job):
        run = job("ab+ft+kd", "wrn-16-2", "wrn-40-2", **self.WHERE)
        assert [(stage.term.name, stage.student) for stage in run.stages] == [("ab", True), ("ft", False)]
        with pytest.raises(UserError, match="ab and fsp cannot be summed"):
            job("ab+fsp", "wrn-16-2", "wrn-40-2", **self.WHERE)


class TestTrials:
    def test_are_tested_on_held_out_training_images(self, resolver, job):
        method = parse_method("srrl[tuned]")
        teacher = TeacherChoice("C100", "wrn-40-4")
        for profile, held in (("paper", 5000), ("quick", 5000), ("short", 5000), ("digits", 120)):
            trials = resolver(profile).trials("C100", "wrn-16-2", method, teacher)
            runs = [job(name, profile=profile) for name in ("srrl", "srrl[sr=5]", "srrl[fm=10]")]
            assert [trial.recipe.holdout for trial in trials] == [held] * 3
            assert trials == [replace(run, recipe=replace(run.recipe, holdout=held)) for run in runs]
            assert {trial.teacher for trial in trials} == {runs[0].teacher}
            assert not {*trials} & {*runs}
        [told, *_] = resolver("paper", **{"tuning.holdout": 77}).trials("C100", "wrn-16-2", method, teacher)
        assert told.recipe.holdout == 77

    def test_are_the_declared_ones_whatever_the_recipe_says(self, resolver):
        method, teacher = parse_method("srrl[tuned]"), TeacherChoice("CRD100", "resnet32x4")
        plain = resolver("paper").trials("CRD100", "shufflenetv1", method, teacher)
        assert resolver("paper", preset="authors").trials("CRD100", "shufflenetv1", method, teacher) == plain


class TestProbesAndAnalyses:
    def test_a_probe_looks_at_the_network_as_the_run_made_it(self, resolver, job):
        for profile in overrides.names("profile"):
            for student in ("wrn-16-4", "mobilenetv2-cifar"):
                run = job("srrl", student, seed=2, profile=profile)
                for recipe in ("PROBE-STL10", "PROBE-CIFAR100"):
                    probe = resolver(profile).probe(recipe, run)
                    assert (probe.base, probe.network, probe.seed, probe.recipe.name) == (run, student, 2, recipe)
                    assert (probe.recipe.in_size, probe.recipe.width) == (run.recipe.in_size, run.recipe.width)

    def test_a_measure_that_compares_has_a_teacher(self, resolver, job):
        teacher = TeacherChoice("C100", "wrn-40-4")
        made = {name: resolver("paper").analysis(name, job(profile="paper", seed=1), teacher) for name in MEASURES}
        assert {name: analysis.teacher is not None for name, analysis in made.items()} == MEASURES
        for analysis in made.values():
            assert (analysis.network, analysis.seed) == ("wrn-16-2", 1)
            assert analysis.recipe == replace(job(profile="paper").recipe, precision="fp32")

    def test_a_student_alone_is_compared_with_the_teacher_of_its_pair(self, resolver, job):
        analysis = resolver().analysis("similarity", job("student"), TeacherChoice("C100", "wrn-40-4"))
        assert analysis.subject.teacher is None
        assert analysis.teacher == job("student", "wrn-40-4")
        assert analysis.pair == "wrn-40-4:wrn-16-2"


class TestOwnTeachersAndRecipes:
    @pytest.fixture
    def run(self, resolver):
        made = resolver("paper")
        teacher = TeacherChoice("CRD100", "wrn-40-2")
        return lambda method, network="wrn-16-2", seed=0: made.run(
            "CRD100", network, parse_method(method), teacher, seed
        )

    def test_a_method_without_a_teacher_is_the_same_run_under_every_teacher(self, run, resolver):
        other = TeacherChoice("CRD100", "resnet56")
        made = resolver("paper").run("CRD100", "wrn-16-2", parse_method("label_smoothing"), other, 0)
        assert made == run("label_smoothing")
        assert made.teacher is None
        assert made.cohort_key == run("student").cohort_key

    def test_a_sum_has_the_teacher_of_the_term_that_needs_one(self, run):
        assert run("kd+label_smoothing").teacher == run("kd").teacher

    def test_a_students_own_teacher_is_one_plain_run_of_another_seed(self, run):
        assert run("tfkd").teacher == run("tfkd", seed=2).teacher == run("student", seed=SELF_TEACHER_SEED)

    def test_terms_that_ask_for_different_teachers_cannot_be_summed(self, run):
        with pytest.raises(UserError, match="kd and tfkd cannot be summed: one learns from the pair's teacher"):
            run("kd+tfkd")

    def test_a_methods_recipe_replaces_the_recipes_values_and_not_those_for_single_networks(self, run):
        plain, mlkd = run("kd").recipe, run("mlkd").recipe
        assert (mlkd.epochs, mlkd.lr, mlkd.milestones) == (480, 0.025, (150, 180, 210))
        assert (plain.epochs, plain.lr, plain.milestones) == (240, 0.05, (150, 180, 210))
        assert run("mlkd", "mobilenetv2-half").recipe.lr == 0.01

    def test_a_method_with_more_epochs_shares_the_cohort_of_the_others(self, run):
        assert run("mlkd").cohort_key == run("kd").cohort_key

    def test_the_profile_wins_over_a_methods_recipe(self, job):
        mlkd = job("mlkd", profile="digits")
        assert (mlkd.recipe.epochs, mlkd.recipe.lr) == (6, 0.05)

    def test_a_recipe_that_a_method_brings_is_checked(self, run, monkeypatch):
        wrong = structs.replace(catalog.method("mlkd"), recipe={"epoch": 480})
        monkeypatch.setattr(catalog, "method", lambda _name: wrong)
        with pytest.raises(UserError, match=r"methods/mlkd\.py: the recipe of mlkd: unknown recipe key 'epoch'"):
            run("mlkd")
