import pytest

from benchmark.config import overrides
from benchmark.config.overrides import Override, load_preset, load_profile, load_recipe, parse_changes
from benchmark.errors import UserError

RECIPES = ["C10-RES", "C10-WRN", "C100", "C100-BIN", "CRD100", "IN", "IN-BIN", "PROBE-CIFAR100", "PROBE-STL10"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a recipe, a profile or a preset of one's own, beside which there is no other."""

    def write(kind, text):
        (tmp_path / "mine.yaml").write_text(text)
        monkeypatch.setitem(overrides.KINDS, kind, tmp_path)

    _forget()
    yield write
    _forget()


def _forget():
    overrides._load.cache_clear()
    load_recipe.cache_clear()


def test_there_are_nine_recipes_four_profiles_and_a_preset():
    assert overrides.names("recipe") == RECIPES
    assert overrides.names("profile") == ["digits", "paper", "quick", "short"]
    assert overrides.names("preset") == ["authors"]


@pytest.mark.parametrize(
    ("load", "name", "says"),
    [
        (load_profile, "digit", "unknown profile 'digit': did you mean 'digits'"),
        (load_recipe, "c100", "unknown recipe 'c100': did you mean 'C100'"),
        (load_preset, "author", "unknown preset 'author': did you mean 'authors'"),
        (load_recipe, "profiles/paper", "unknown recipe 'profiles/paper'"),
    ],
)
def test_unknown_names_are_errors(load, name, says):
    with pytest.raises(UserError, match=says):
        load(name)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_values_then_overrides(name):
    first, *rest = load_recipe(name).layers
    assert first.match == {}
    assert all(layer.match and layer.values for layer in rest)


def test_profiles_are_told_apart():
    profiles = {name: load_profile(name) for name in overrides.names("profile")}
    assert {name for name, profile in profiles.items() if profile.slow_on_cpu} == {"paper", "quick", "short"}
    assert {name for name, profile in profiles.items() if profile.stand_in} == {"digits"}
    assert profiles["paper"].layers == ()
    assert (profiles["digits"].device, profiles["digits"].threads) == ("cpu", 1)
    assert (profiles["short"].device, profiles["short"].threads) == (None, 1)
    assert (profiles["paper"].device, profiles["paper"].threads, profiles["paper"].datasets) == (None, None, {})
    assert profiles["digits"].note
    assert all(profile.title for profile in profiles.values())


def test_every_data_set_has_its_own_stand_in():
    used = {load_recipe(name).layers[0].values["dataset"] for name in RECIPES}
    stand_ins = load_profile("digits").datasets
    assert set(stand_ins) == used == {"cifar10", "cifar100", "stl10", "imagenet"}
    assert len(set(stand_ins.values())) == len(stand_ins)


def test_torchvisions_weights_teach_on_imagenet():
    teachers = {name: dict(load_recipe(name).teachers) for name in RECIPES if load_recipe(name).teachers}
    assert teachers == {
        "IN": {
            "resnet34-imagenet": {"weights": "ResNet34_Weights.IMAGENET1K_V1", "sha256": "b627a593"},
            "resnet50-imagenet": {"weights": "ResNet50_Weights.IMAGENET1K_V1", "sha256": "0676ba61"},
        }
    }


NAMES = {"student": ("wrn-16-2",), "teacher": ("resnet34-wide",), "method": ("at", "kd"), "recipe": ("C100",)}


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"student": "wrn-16-?", "teacher": "resnet*"}, True),
        ({"student": "wrn-16-?", "teacher": "wrn*"}, False),
        ({"student": "wrn-16-??"}, False),
        ({"student": "WRN*"}, False),
        ({"method": "kd"}, True),
        ({"method": "k?"}, True),
        ({"method": "srrl"}, False),
        ({"recipe": "C100", "method": "at"}, True),
        ({"recipe": "C10-*"}, False),
    ],
)
def test_layers_match_all_their_patterns(match, fits):
    assert Override({"lr": 0.3}, match).fits(NAMES) == fits


def test_without_teacher_or_method_only_a_pattern_for_none_fits():
    alone = NAMES | {"teacher": ("",), "method": ()}
    assert not Override({}, {"method": "*"}).fits(alone)
    assert not Override({}, {"teacher": "?*"}).fits(alone)


def test_changes_are_read():
    pairs = [
        "epochs=30",
        "lr=1",
        "milestones=[5,8]",
        "pad_mode=zero",
        "train_limit=null",
        "objectives.srrl.options.sr=2",
        "objectives.ab.stage.epochs=3",
        "objectives.ft.stage.lr=0.5",
        "tuning.holdout=100",
        "crop_scale=[0.5,1]",
    ]
    changes = parse_changes(pairs)
    assert changes == {
        "epochs": 30,
        "lr": 1,
        "milestones": (5, 8),
        "pad_mode": "zero",
        "train_limit": None,
        "objectives.srrl.options.sr": 2.0,
        "objectives.ab.stage.epochs": 3,
        "objectives.ft.stage.lr": 0.5,
        "tuning.holdout": 100,
        "crop_scale": (0.5, 1),
    }
    assert type(changes["objectives.srrl.options.sr"]) is float


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("epochs", "write --set KEY=VALUE"),
        ("epoch=3", "did you mean 'epochs'?"),
        ("name=C100", "unknown recipe key 'name'"),
        ("objectives.kd.temperature=3", "did you mean 'objectives.kd.options.temperature'?"),
        ("objectives.kd.options.temperature=hot", "must be of type float"),
        ("objectives.kd.stage.epochs=3", "unknown recipe key 'objectives.kd.stage.epochs'"),
        ("objectives.kd.weight=abc", "objectives.kd.weight='abc': it must be a number from 0"),
        ("objectives.kd.ce=null", "objectives.kd.ce=None: it must be a number from 0"),
        ("objectives.at.weight=-1", "a number from 0"),
        ("objectives.ab.stage.epochs=0", "a whole number above 0"),
        ("objectives.ab.stage.lr=0", "a number above 0, or null"),
        ("tuning.holdouts=5", "did you mean 'tuning.holdout'?"),
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
        ("precision=fp8", "one of bf16, fp16, tf32, fp32"),
        ("optimizer=rmsprop", "one of sgd, adam"),
        ("nesterov=1", "true or false"),
        ("in_size=4", "a side in pixels from 8"),
        ("train_limit=1", "a whole number above 1, or null"),
        ("crop_scale=[1,0.5]", "two rising shares"),
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
def test_a_wrong_profile_names_its_fault(text, says, written):
    written("profile", text)
    with pytest.raises(UserError, match=says):
        load_profile("mine")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epoch: 3", "did you mean 'epochs'"),
        ("objectives: {kd: {wieght: 1}}", "did you mean 'objectives.kd.weight'"),
        ("objectives: {kd: {options: {temperature: hot}}}", "temperature of kd must be of type float"),
        ("epochs: 3\noverrides: [{match: {methods: kd}, set: {lr: 1}}]", "did you mean 'method'"),
    ],
)
def test_a_wrong_recipe_names_its_fault(text, says, written):
    written("recipe", text)
    with pytest.raises(UserError, match=says):
        load_recipe("mine")


def test_a_wrong_preset_names_its_fault(written):
    written("preset", "title: x\noverrides: [{match: {student: a}, set: {epoch: 1}}]")
    with pytest.raises(UserError, match="did you mean 'epochs'"):
        load_preset("mine")


@pytest.mark.parametrize(
    ("kind", "load"), [("recipe", load_recipe), ("profile", load_profile), ("preset", load_preset)]
)
@pytest.mark.parametrize("name", ["a b", "..", "a\x1b[31m", "é", "a" * 101])
def test_what_becomes_part_of_paths_has_a_plain_name(kind, load, name, tmp_path, monkeypatch):
    (tmp_path / f"{name}.yaml").write_text("title: x\noverrides: []")
    monkeypatch.setitem(overrides.KINDS, kind, tmp_path)
    with pytest.raises(UserError, match="rename its file, since a name is made of letters, digits"):
        load(name)
