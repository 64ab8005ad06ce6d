from dataclasses import asdict

from benchmark.config import overrides
from benchmark.registry import catalog
from benchmark.runs.job import Pretrained


def test_everything_in_the_tables_resolves_in_every_profile(resolved, questions):
    assert set(resolved) == set(overrides.names("profile"))
    for answers in resolved.values():
        assert answers.keys() == questions
        for job in answers.values():
            recipe = job.recipe
            assert len(recipe.milestones) == len(set(recipe.milestones)) > 0
            assert recipe.milestones[-1] < recipe.epochs
            assert recipe.evaluate_every <= recipe.epochs


def test_quick_is_the_paper_on_a_shorter_schedule(resolved):
    for question, quick in resolved["quick"].items():
        paper = asdict(resolved["paper"][question].recipe)
        drops = tuple(round(30 * drop / paper["epochs"]) for drop in paper["milestones"])
        assert asdict(quick.recipe) == paper | {"epochs": 30, "milestones": drops, "evaluate_every": 5}


TEACHERS = {"wrn-40-2", "resnet56", "resnet110", "resnet32x4", "vgg13", "resnet50-crd"}


def test_short_is_the_paper_in_10_epochs_with_better_teachers_for_tables_11_and_12(resolved):
    for question, short in resolved["short"].items():
        paper = asdict(resolved["paper"][question].recipe)
        epochs = 30 if short.network in TEACHERS else 10
        drops = tuple(round(epochs * drop / paper["epochs"]) for drop in paper["milestones"])
        assert asdict(short.recipe) == paper | {"epochs": epochs, "milestones": drops, "evaluate_every": 5}


def test_what_was_trained_in_profile_short_keeps_its_ids(job):
    runs = [
        job(method, "resnet20", "resnet56", recipe="CRD100", profile="short") for method in ("student", "kd", "srrl")
    ]
    assert [run.id[:12] for run in runs] == ["06c99b8efd98", "0797e6e95fd9", "a42e2080257d"]
    assert {run.teacher.id[:12] for run in runs[1:]} == {"a6f53be3ee9b"}


def test_digits_stand_in_for_all_data(resolved):
    stand_ins = overrides.load_profile("digits").datasets
    for question, job in resolved["digits"].items():
        recipe = job.recipe
        assert recipe.dataset == stand_ins[resolved["paper"][question].recipe.dataset]
        assert (recipe.precision, recipe.crop, recipe.crop_size, recipe.top_k) == ("fp32", "pad", None, 2)
        assert recipe.width < 1
        assert not isinstance(job, Pretrained)


def test_digits_maps_are_larger_than_a_pixel(resolved):
    for job in resolved["digits"].values():
        info = catalog.networks()[job.network]
        side = int(info.map.split("x")[-1])
        assert side * job.recipe.in_size / info.in_size > 1
