"""Profile paper as a table of expectations: the values that the paper states, or the code that it cites."""

from dataclasses import asdict

import pytest

from benchmark.config import overrides
from benchmark.registry import catalog
from benchmark.runs.job import Run
from benchmark.runs.names import TEACHER, parse_method

ATTENTION = {
    "mean": pytest.approx((125.3 / 255, 123.0 / 255, 113.9 / 255)),
    "std": pytest.approx((63.0 / 255, 62.1 / 255, 66.7 / 255)),
}
CIFAR = {
    "optimizer": "sgd",
    "lr": 0.1,
    "lr_decay": 0.1,
    "momentum": 0.9,
    "beta2": None,
    "delta": None,
    "nesterov": False,
    "weight_decay": 5e-4,
    "batch_size": 128,
    "crop": "pad",
    "crop_padding": 4,
    "pad_mode": "reflect",
    "crop_size": None,
    "crop_scale": None,
    "resize": None,
    "flip": 0.5,
    **ATTENTION,
    "train_limit": None,
    "holdout": 0,
    "precision": "bf16",
    "evaluate_every": 1,
    "in_size": 32,
    "width": 1.0,
    "top_k": 5,
}
ADAM = {"optimizer": "adam", "lr": 0.002, "beta2": 0.999, "weight_decay": 0, "nesterov": False}
IMAGENET = {
    "dataset": "imagenet",
    "epochs": 100,
    "milestones": (30, 60, 90),
    "batch_size": 512,
    "crop": "resized",
    "crop_padding": 0,
    "pad_mode": "zero",
    "crop_size": 224,
    "crop_scale": (0.08, 1.0),
    "resize": 256,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "in_size": 224,
}
PROBE = {"epochs": 100, "milestones": (60, 80), "weight_decay": 0, "precision": "fp32", "evaluate_every": 10}
RECIPES = {
    "C10-WRN": {"dataset": "cifar10", "epochs": 200, "milestones": (60, 120, 160), "lr_decay": 0.2},
    "C10-RES": {"dataset": "cifar10", "epochs": 350, "milestones": (150, 250, 320)},
    "C100": {"dataset": "cifar100", "epochs": 200, "milestones": (100, 150)},
    "CRD100": {
        "dataset": "cifar100",
        "epochs": 240,
        "milestones": (150, 180, 210),
        "lr": 0.05,
        "batch_size": 64,
        "pad_mode": "zero",
        "mean": (0.5071, 0.4867, 0.4408),
        "std": (0.2675, 0.2565, 0.2761),
    },
    "IN": {**IMAGENET, "lr": 0.2, "weight_decay": 1e-4, "nesterov": True},
    "IN-BIN": {**IMAGENET, **ADAM},
    "C100-BIN": {"dataset": "cifar100", "epochs": 100, "milestones": (30, 60, 90), **ADAM},
    "PROBE-STL10": {"dataset": "stl10", "resize": 32, **PROBE},
    "PROBE-CIFAR100": {"dataset": "cifar100", **PROBE},
}
SLOW = {"mobilenetv2-half", "shufflenetv1", "shufflenetv2"}
ALONE = (1, 1000)
KD, RKD, CRD, SRRL = (0.1, 0.9), (1, 1), (1, 0.8), (1, 1)
# Weight of cross-entropy, weight of the term.
CIFAR10_WEIGHTS = {"kd": KD, "at": ALONE, "ofd": (1, 1e-3), "rkd": RKD, "srrl": SRRL}
CIFAR_WEIGHTS = {**CIFAR10_WEIGHTS, "crd": CRD}
IMAGENET_WEIGHTS = {**CIFAR_WEIGHTS, "kd": (0.5, 0.9), "ofd": (1, 1e-4)}
WEIGHTS = {
    "C10-WRN": CIFAR10_WEIGHTS,
    "C10-RES": CIFAR10_WEIGHTS,
    "C100": CIFAR_WEIGHTS,
    "C100-BIN": CIFAR_WEIGHTS,
    "IN": IMAGENET_WEIGHTS,
    "IN-BIN": IMAGENET_WEIGHTS,
    "CRD100": {
        "kd": KD,
        "fitnet": (1, 100),
        "at": ALONE,
        "sp": (1, 3000),
        "cc": (1, 0.02),
        "vid": (1, 1),
        "rkd": RKD,
        "pkt": (1, 30000),
        "ft": (1, 200),
        "nst": (1, 50),
        "crd": CRD,
        "srrl": SRRL,
    },
}
OPTIONS = {
    "kd": {"temperature": 4},
    "fitnet": {"stage": 2},
    "rkd": {"distance": 25, "angle": 50},
    "crd": {"negatives": 16384, "temperature": 0.07},
    "srrl": {"fm": 1, "sr": 1, "form": "l2", "layers": "last"},
}


@pytest.fixture
def options(job):
    """All options of a method under the layers that fit a network, defaults included."""

    def find(method, **where):
        terms = {term.name: term.options for term in job(method, **{"profile": "paper"} | where).objective.terms}
        return {**catalog.method(method).options, **terms[method]}

    return find


@pytest.fixture
def paper(resolved):
    """By a recipe the answers to all questions about runs of it."""

    def find(recipe):
        return {question: job for question, job in resolved["paper"].items() if job.recipe.name == recipe}

    return find


def test_every_recipe_of_the_tables_is_expected_here(printed):
    asked = {name for cell in printed for name in (cell.recipe, cell.teacher_recipe, cell.probe) if name}
    assert asked == set(RECIPES) == set(overrides.names("recipe"))


@pytest.mark.parametrize("recipe", WEIGHTS)
def test_values_are_the_expected_ones_for_every_network_and_method(recipe, paper, questions):
    asked = {question.student for question in questions if question.recipe == recipe and question.method != TEACHER}
    asked |= {question.teacher.network for question in questions if question.teacher.recipe == recipe}
    assert {job.network for job in paper(recipe).values()} == asked
    for job in paper(recipe).values():
        expected = {"name": recipe, **CIFAR, **RECIPES[recipe]}
        if recipe == "CRD100" and job.network in SLOW:
            expected["lr"] = 0.01
        if recipe == "IN" and isinstance(job, Run) and job.method == "crd":
            expected["epochs"] = 110  # its rate drops when it does for the others
        assert asdict(job.recipe) == expected


@pytest.mark.parametrize("recipe", ["PROBE-STL10", "PROBE-CIFAR100"])
def test_probes_are_the_specifications(recipe, resolver, job):
    probe = resolver("paper").probe(recipe, job(profile="paper", student="mobilenetv2-cifar"))
    assert asdict(probe.recipe) == {"name": recipe, **CIFAR, **RECIPES[recipe]}


@pytest.mark.parametrize(("recipe", "method"), [(recipe, name) for recipe in WEIGHTS for name in WEIGHTS[recipe]])
def test_weights_are_the_expected_ones(recipe, method, paper):
    runs = [job for question, job in paper(recipe).items() if question.method == method]
    assert runs
    for run in runs:
        [term] = run.objective.terms
        assert (run.objective.ce, term.weight) == WEIGHTS[recipe][method]


@pytest.mark.parametrize("recipe", WEIGHTS)
def test_no_weight_is_left_out(recipe, questions):
    names = {question.method for question in questions if question.recipe == recipe} - {TEACHER}
    terms = {term for name in names for term, _ in parse_method(name).terms}
    assert terms - {"ab", "fsp"} == set(WEIGHTS[recipe])


@pytest.mark.parametrize(("method", "expected"), OPTIONS.items())
def test_options_are_the_specifications(method, expected, options):
    for recipe, weights in WEIGHTS.items():
        if method in weights:
            found = options(method, recipe=recipe, student="wrn-16-2", teacher="wrn-40-2")
            assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("recipe", "student", "last"),
    [
        *(("C10-WRN", student, 0) for student in ("wrn-16-1", "wrn-16-2")),
        *(("C10-RES", student, 2) for student in ("resnet8-A", "resnet14-A", "resnet18-narrow")),
        *(("C100", student, 0) for student in ("wrn-16-2", "wrn-16-4", "wrn-10-10")),
        *(("C100", student, 2) for student in ("resnet10-narrow", "resnet18-narrow", "resnet10-wide")),
        ("C100", "mobilenetv2-cifar", 2),
        *(("CRD100", student, 0) for student in ("resnet20", "wrn-16-2", "vgg8", "mobilenetv2-half")),
        *(("IN", student, 2) for student in ("resnet18-imagenet", "mobilenet-imagenet")),
        ("C100-BIN", "resnet34-xnorpp-binary", 2),
        ("IN-BIN", "resnet18-xnorpp-binary", 2),
    ],
)
def test_attention_transfer_takes_all_groups_of_a_wrn_and_the_last_two_of_others(recipe, student, last, options):
    assert options("at", recipe=recipe, student=student, teacher="resnet34-wide")["last"] == last


def test_teachers_are_trained_by_recipes_of_their_own(job):
    run = job("srrl", "wrn-16-1", "resnet26-A", recipe="C10-WRN", teacher_recipe="C10-RES", profile="paper")
    teacher = job("student", "resnet26-A", recipe="C10-RES", profile="paper")
    assert (run.recipe.name, run.recipe.epochs, run.recipe.lr_decay) == ("C10-WRN", 200, 0.2)
    assert run.teacher == teacher
    assert (teacher.recipe.name, teacher.recipe.epochs, teacher.recipe.milestones) == ("C10-RES", 350, (150, 250, 320))
    assert (teacher.seed, teacher.objective.terms, teacher.objective.ce) == (0, (), 1.0)


@pytest.mark.parametrize(
    ("student", "rate", "of_ft"),
    [
        ("resnet8x4", 0.05, 0.01),
        ("resnet20", 0.05, 0.01),
        ("wrn-40-1", 0.05, 0.01),
        ("vgg8", 0.05, 0.05),
        ("mobilenetv2-half", 0.01, 0.01),
        ("shufflenetv1", 0.01, 0.01),
        ("shufflenetv2", 0.01, 0.01),
    ],
)
def test_first_stages_have_a_constant_rate(student, rate, of_ft, job):
    for method, expected in (("ab", rate), ("ft", of_ft)):
        [stage] = job(method, student, "vgg13", recipe="CRD100", profile="paper").stages
        recipe = stage.recipe
        assert (recipe.epochs, recipe.lr, recipe.milestones) == (30, expected, ())
        same = ("optimizer", "momentum", "weight_decay", "batch_size", "nesterov", "pad_mode", "precision")
        values = {**CIFAR, **RECIPES["CRD100"]}
        assert {key: getattr(recipe, key) for key in same} == {key: values[key] for key in same}


@pytest.mark.parametrize(
    ("recipe", "student", "weight"),
    [
        ("CRD100", "shufflenetv1", 10),
        ("CRD100", "shufflenetv2", 1),
        ("CRD100", "resnet8x4", 1),
        ("CRD100", "wrn-40-1", 1),
        ("C100", "shufflenetv1", 1),
    ],
)
def test_preset_authors_changes_one_weight_of_one_student(recipe, student, weight, options, job):
    where = {"recipe": recipe, "student": student, "teacher": "resnet32x4", "profile": "paper"}
    assert options("srrl", preset="authors", **where)["fm"] == weight
    assert job("srrl", preset="authors", **where) == job(f"srrl[fm={weight}]", **where)
    assert job("srrl[fm=1]", preset="authors", **where) == job("srrl", **where)
    assert job("kd", preset="authors", **where) == job("kd", **where)


def test_preset_authors_has_the_weights_of_crds_authors_for_their_sum_alone(job):
    where = {"student": "resnet8x4", "teacher": "resnet32x4", "profile": "paper"}

    def weights(method, recipe="CRD100", **preset):
        objective = job(method, recipe=recipe, **where, **preset).objective
        return {"ce": objective.ce} | {term.name: term.weight for term in objective.terms}

    assert weights("crd+kd") == {"ce": 0.1, "crd": 0.8, "kd": 0.9}
    assert weights("crd+kd", preset="authors") == {"ce": 1.0, "crd": 0.8, "kd": 1.0}
    assert weights("kd[temperature=2]+crd", preset="authors") == {"ce": 1.0, "crd": 0.8, "kd": 1.0}
    for method in ("kd", "crd", "at+crd+kd", "kd+srrl", "crd+srrl"):
        assert job(method, recipe="CRD100", preset="authors", **where) == job(method, recipe="CRD100", **where)
    assert weights("crd+kd", "C100", preset="authors") == weights("crd+kd", "C100")


def test_preset_authors_touches_nothing_else(resolver, resolved, questions):
    authors = resolver("paper", preset="authors")
    changed = {question for question in questions if question.answer(authors) != resolved["paper"][question]}
    assert {(question.student, question.method) for question in changed} == {("shufflenetv1", "srrl")}
    assert {question.teacher.network for question in changed} == {"resnet32x4", "wrn-40-2"}
