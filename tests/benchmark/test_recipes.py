from dataclasses import asdict, replace

import pytest

from benchmark import catalog, recipes, tables
from benchmark.errors import UserError
from benchmark.objectives import parse_method
from benchmark.recipes import Layer, load_profile, parse_changes

C100 = {
    "name": "C100",
    "dataset": "cifar100",
    "epochs": 200,
    "batch_size": 128,
    "optimizer": "sgd",
    "lr": 0.1,
    "milestones": (100, 150),
    "lr_decay": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "crop_padding": 4,
    "pad_mode": "reflect",
    "flip": 0.5,
    "mean": pytest.approx((125.3 / 255, 123.0 / 255, 113.9 / 255)),
    "std": pytest.approx((63.0 / 255, 62.1 / 255, 66.7 / 255)),
    "train_limit": None,
    "precision": "bf16",
    "evaluate_every": 1,
    "in_size": 32,
    "width": 1.0,
}
# Weight of cross-entropy, weight of the term.
WEIGHTS = {
    "kd": (0.1, 0.9),
    "at": (1, 1000),
    "ofd": (1, 1e-3),
    "rkd": (1, 1),
    "crd": (1, 0.8),
    "srrl": (1, 1),
}
TABLE = tables.load("6")
NETWORKS = sorted({network for row in TABLE.rows for network in row.pair.split(":")})
METHODS = [column.method for column in TABLE.columns if column.method]


@pytest.fixture
def options(book):
    """All options of a method under the layers that fit a network, defaults included."""

    def find(method, student="wrn-16-2", teacher="wrn-40-4", profile="paper"):
        made = book(profile).job("C100", student, parse_method(method), teacher, 0)
        return {**catalog.method(method).options, **made.objective.terms[0].options}

    return find


@pytest.mark.parametrize("network", NETWORKS)
def test_c100_is_what_the_paper_states_for_every_network(network, job):
    assert asdict(job("kd", student=network, profile="paper").recipe) == C100
    assert asdict(job("student", student=network, profile="paper").recipe) == C100


@pytest.mark.parametrize("method", WEIGHTS)
def test_c100_weights(method, job):
    objective = job(method, profile="paper").objective
    assert (objective.ce, objective.terms[0].weight) == WEIGHTS[method]


def test_c100_options(options):
    assert options("kd") == {"temperature": 4}
    assert options("rkd") == {"distance": 25, "angle": 50}
    assert (options("crd")["negatives"], options("crd")["temperature"]) == (16384, 0.07)
    assert [options("srrl")[key] for key in ("fm", "sr", "form")] == [1, 1, "l2"]


@pytest.mark.parametrize(
    ("student", "last"),
    [("wrn-16-2", 0), ("wrn-10-10", 0), ("resnet10-narrow", 2), ("resnet10-wide", 2), ("mobilenetv2-cifar", 2)],
)
def test_attention_transfer_takes_all_groups_of_a_wrn_and_the_last_two_of_others(student, last, options):
    assert options("at", student=student, teacher="resnet34-wide")["last"] == last


@pytest.mark.parametrize("profile", recipes.names("profile"))
@pytest.mark.parametrize("network", NETWORKS)
def test_every_recipe_resolves_in_every_profile(network, profile, book):
    for recipe in recipes.names("recipe"):
        for method in METHODS:
            made = book(profile).job(recipe, network, parse_method(method), "wrn-40-4", 0).recipe
            assert made.milestones[-1] <= made.epochs
            assert len(made.milestones) == len(set(made.milestones)) > 0
            assert made.evaluate_every <= made.epochs


def test_profiles():
    assert recipes.names("profile") == ["digits", "paper", "quick"]
    assert load_profile("paper").layers[0].values == {}
    with pytest.raises(UserError, match="unknown profile 'digit': did you mean 'digits'"):
        load_profile("digit")
    with pytest.raises(UserError, match="unknown recipe 'c100': did you mean 'C100'"):
        recipes.load_recipe("c100")


def test_quick_is_the_paper_on_a_shorter_schedule(job):
    quick = asdict(job(profile="quick").recipe)
    assert quick == C100 | {"epochs": 30, "milestones": (15, 22), "evaluate_every": 5}


def test_digits_stand_in_for_cifar(job):
    profile, recipe = load_profile("digits"), job(profile="digits").recipe
    assert (profile.stand_in, profile.device, profile.threads) == (True, "cpu", 1)
    assert profile.note
    assert (recipe.dataset, recipe.precision) == ("digits", "fp32")
    assert recipe.width < 1
    assert job("kd", dataset="cifar100").recipe.dataset == "cifar100"


@pytest.mark.parametrize("network", NETWORKS)
def test_digits_maps_are_larger_than_a_pixel(network, job):
    recipe, info = job("student", student=network).recipe, catalog.networks()[network]
    side = int(info.map.split("x")[-1])
    assert side * recipe.in_size / info.in_size > 1


def test_layers_apply_in_order(book):
    wide = Layer({"lr": 0.3, "width": 2.0}, {"student": "wrn-16-*"})
    layered = book("paper", lr=0.4)
    layered = replace(layered, profile=replace(layered.profile, layers=(Layer({"lr": 0.2, "width": 3.0}, {}), wide)))

    def values(network):
        recipe = layered.job("C100", network, parse_method("kd"), "wrn-40-4", 0).recipe
        return recipe.lr, recipe.width

    assert values("wrn-16-2") == (0.4, 2.0)
    assert values("resnet10-wide") == (0.4, 3.0)


def test_layers_match_student_and_teacher():
    layer = Layer({"lr": 0.3}, {"student": "wrn-16-?", "teacher": "resnet*"})
    assert layer.fits("wrn-16-2", "resnet34-wide")
    assert not layer.fits("wrn-16-2", "wrn-40-4")
    assert not layer.fits("wrn-16-2", None)
    assert not layer.fits("wrn-16-10", "resnet34-wide")


def test_a_student_alone_is_not_touched_by_what_a_teacher_brings(book):
    layer = Layer({"lr": 0.3}, {"teacher": "wrn-40-4"})
    layered = replace(book(), profile=replace(book().profile, layers=(layer,)))
    rates = {name: layered.job("C100", "wrn-16-2", parse_method(name), "wrn-40-4", 0).recipe.lr for name in METHODS}
    assert rates == dict.fromkeys(METHODS, 0.3) | {"student": 0.1}


@pytest.mark.parametrize(
    ("epochs", "milestones"),
    [(200, (100, 150)), (30, (15, 22)), (10, (5, 8)), (2, (1, 2)), (1, (1,)), (400, (200, 300))],
)
def test_milestones_keep_their_share_of_the_schedule(epochs, milestones, job):
    assert job(profile="paper", epochs=epochs).recipe.milestones == milestones
    assert job(profile="quick", epochs=epochs).recipe.milestones == milestones
    assert job(profile="paper", epochs=epochs, milestones=(1,)).recipe.milestones == (1,)


def test_equal_values_are_one_run_however_they_came_about(job):
    assert job(profile="quick", epochs=200, evaluate_every=1) == job(profile="paper")
    assert job(profile="paper", **{"objectives.kd.weight": 0.5}) != job(profile="paper")


def test_changes_are_read(book):
    pairs = [
        "epochs=30",
        "lr=1",
        "milestones=[5,8]",
        "pad_mode=zero",
        "train_limit=null",
        "objectives.srrl.options.sr=2",
    ]
    changes = parse_changes(pairs)
    assert changes == {
        "epochs": 30,
        "lr": 1,
        "milestones": (5, 8),
        "pad_mode": "zero",
        "train_limit": None,
        "objectives.srrl.options.sr": 2.0,
    }
    made = book("paper", **changes).job("C100", "wrn-16-2", parse_method("srrl"), "wrn-40-4", 0)
    assert (made.recipe.epochs, made.recipe.milestones, made.objective.terms[0].options) == (30, (5, 8), {"sr": 2.0})


def test_changed_results_live_apart(book):
    assert book("digits").folder == "digits"
    one = book("digits", epochs=30, lr=1).folder
    assert one.startswith("digits+")
    assert one == book("digits", lr=1.0, epochs=30).folder != book("digits", epochs=31, lr=1).folder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("epochs", "write --set KEY=VALUE"),
        ("epoch=3", "did you mean 'epochs'?"),
        ("name=C100", "unknown recipe key 'name'"),
        ("objectives.kd.temperature=3", "did you mean 'objectives.kd.options.temperature'?"),
        ("objectives.kd.options.temperature=hot", "must be of type float"),
        ("objectives.kd.weight=abc", "objectives.kd.weight='abc': it must be a number from 0"),
        ("objectives.kd.ce=null", "objectives.kd.ce=None: it must be a number from 0"),
        ("objectives.at.weight=-1", "a number from 0"),
        *(
            (f"epochs={value}", "a whole number above 0")
            for value in ("abc", "", "0", "-1", "1.5", "true", "null", "[1]")
        ),
        *((f"lr={value}", "a number above 0") for value in ("0", "-1", "NaN", "Infinity", "1e999", "true", "fast")),
        *(
            (f"milestones={value}", "a rising list")
            for value in ("5", "[8,5]", "[5,5]", "[0]", "[true]", '["a"]', "[1.5]")
        ),
        *((f"std={value}", "three numbers above 0") for value in ("1", "[1,1]", "[1,1,0]", '["a","b","c"]')),
        ('mean=["a","b","c"]', "three numbers"),
        ("batch_size=1", "a whole number above 1"),
        ("momentum=1.1", "a number from 0 to 1"),
        ("flip=-0.1", "a probability"),
        ("pad_mode=none", "one of zero, reflect"),
        ("precision=fp16", "one of bf16, tf32, fp32"),
        ("optimizer=adam", "one of sgd"),
        ("nesterov=1", "true or false"),
        ("in_size=4", "a side in pixels from 8"),
        ("train_limit=1", "a whole number above 1, or null"),
    ],
)
def test_a_wrong_change_is_one_line(change, says):
    with pytest.raises(UserError) as caught:
        parse_changes([change])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title: x\nset: {epoch: 3}", "did you mean 'epochs'"),
        ("title: x\nset: {epochs: long}", "epochs='long'"),
        ("title: x\noverides: []", "unknown key in mine 'overides': did you mean 'overrides'"),
        ("title: x\noverrides: [{match: {studnet: 'a'}, set: {lr: 1}}]", "did you mean 'student'"),
    ],
)
def test_a_wrong_profile_names_its_fault(text, says, tmp_path, monkeypatch):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.yaml").write_text(text)
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=says):
        load_profile("mine")


def test_an_incomplete_recipe_names_what_it_lacks(tmp_path, monkeypatch, book):
    layered = book("paper")
    (tmp_path / "short.yaml").write_text("dataset: cifar100\nepochs: 3\n")
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="recipe short states no 'batch_size'"):
        layered.job("short", "wrn-16-2", parse_method("student"), None, 0)


def test_weight_of_cross_entropy_may_be_above_one(book):
    method = parse_method("kd")
    assert (
        book("digits", **{"objectives.kd.ce": 2.0}).job("C100", "wrn-16-2", method, "wrn-40-4", 0).objective.ce == 2.0
    )
