import pytest
import torchvision

from benchmark.config import overrides
from benchmark.config.overrides import Override, PublishedWeights, load_preset, load_profile, load_recipe, parse_changes
from benchmark.errors import UserError

RECIPES = ["C10-RES", "C10-WRN", "C100", "C100-BIN", "CRD100", "IN", "IN-BIN", "PROBE-CIFAR100", "PROBE-STL10"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes ``mine.yaml`` and makes it the only recipe, profile or preset."""

    def write(kind, text):
        (tmp_path / "mine.yaml").write_text(text)
        monkeypatch.setitem(overrides.KINDS, kind, tmp_path)

    return write


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


def test_profiles_are_told_apart():
    profiles = {name: load_profile(name) for name in overrides.names("profile")}
    assert {name for name, profile in profiles.items() if profile.slow_on_cpu} == {"paper", "quick", "short"}
    assert {name for name, profile in profiles.items() if profile.stand_in} == {"digits"}
    assert profiles["paper"].overrides == ()
    assert (profiles["digits"].device, profiles["digits"].threads) == ("cpu", 1)
    assert (profiles["short"].device, profiles["short"].threads) == (None, 1)
    assert (profiles["paper"].device, profiles["paper"].threads, profiles["paper"].datasets) == (None, None, {})
    assert profiles["digits"].note
    assert all(profile.title for profile in profiles.values())


def test_torchvisions_weights_teach_on_imagenet():
    teachers = {name: dict(load_recipe(name).teachers) for name in RECIPES if load_recipe(name).teachers}
    assert list(teachers) == ["IN"]
    own, packaged = ({name: each for name, each in teachers["IN"].items() if ("/" in name) == has} for has in (0, 1))
    assert own == {
        "resnet34-imagenet": PublishedWeights("ResNet34_Weights.IMAGENET1K_V1", "b627a593"),
        "resnet50-imagenet": PublishedWeights("ResNet50_Weights.IMAGENET1K_V1", "0676ba61"),
    }
    for name, each in packaged.items():
        named = torchvision.models.get_model_weights(name.removeprefix("torchvision/"))
        assert each.weights == f"{named.__name__}.IMAGENET1K_V1"
        assert named["IMAGENET1K_V1"].url.endswith(f"-{each.sha256}.pth")


NAMES = {"student": ("wrn-16-2",), "teacher": ("resnet34-wide",), "method": ("at", "kd"), "recipe": ("C100",)}


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({}, True),
        ({"student": "wrn-16-?", "teacher": "resnet*"}, True),
        ({"student": "wrn-16-??"}, False),
        ({"method": "k?"}, True),
        ({"recipe": "C100", "method": "at"}, True),
        ({"recipe": "C10-*"}, False),
    ],
)
def test_overrides_match_all_their_patterns(match, matches):
    assert Override({"lr": 0.3}, match).matches(NAMES) == matches


def test_without_teacher_or_method_only_a_pattern_for_none_matches():
    alone = NAMES | {"teacher": ("",), "method": ()}
    assert not Override({}, {"method": "*"}).matches(alone)
    assert not Override({}, {"teacher": "?*"}).matches(alone)


def test_changes_are_read():
    expected = {
        "epochs=30": 30,
        "milestones=[5,8]": (5, 8),
        "pad_mode=zero": "zero",
        "train_limit=null": None,
        "objectives.srrl.options.sr=2": 2.0,
        "objectives.ft.stage.lr=0.5": 0.5,
        "tuning.holdout=100": 100,
    }
    changes = parse_changes([*expected])
    assert changes == {text.partition("=")[0]: value for text, value in expected.items()}
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
        ("objectives.kd.weight=abc", "objectives.kd.weight='abc': expected a number"),
        ("objectives.ab.stage.epochs=0", "expected a whole number >= 1"),
        ("tuning.holdouts=5", "did you mean 'tuning.holdout'?"),
        *((f"epochs={value}", "expected a whole number") for value in ("", "1.5", "true", "null", "[1]")),
        *((f"lr={value}", "expected a number") for value in ("NaN", "Infinity", "1e999")),
        ("milestones=[8,5]", "expected rising numbers"),
        ("optimizer=rmsprop", "expected one of sgd, adam"),
    ],
)
def test_a_wrong_change_is_one_line(change, says):
    with pytest.raises(UserError) as caught:
        parse_changes([change])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (
            "profile",
            "title: x\nset: {epoch: 3}",
            "line 2: set.epoch: unknown recipe key 'epoch': did you mean 'epochs'",
        ),
        ("profile", "title: x\nset: {epochs: long}", "line 2: set.epochs: recipe value epochs='long'"),
        (
            "profile",
            "title: x\noverrides:\n- match: {studnet: a}\n  set: {lr: 1}",
            r"line 3: overrides\[0\].match.studnet: unknown key 'studnet': did you mean 'student'",
        ),
        ("recipe", "objectives: {kd: {wieght: 1}}", "objectives.kd.wieght: .*did you mean 'objectives.kd.weight'"),
        ("recipe", "epochs: 3\noverrides: [{match: {methods: kd}, set: {lr: 1}}]", "did you mean 'method'"),
        ("recipe", "dataset: cifar100\nepochs: 3", " states no 'batch_size'"),
        ("preset", "title: x\noverrides: [{match: {student: a}, set: {epoch: 1}}]", "did you mean 'epochs'"),
    ],
)
def test_a_mistake_is_named_with_its_line(kind, text, says, written):
    written(kind, text)
    load = {"recipe": load_recipe, "profile": load_profile, "preset": load_preset}[kind]
    with pytest.raises(UserError, match=rf"^{kind} mine.*{says}") as caught:
        load("mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "load"), [("recipe", load_recipe), ("profile", load_profile), ("preset", load_preset)]
)
@pytest.mark.parametrize("name", ["a b", "..", "a\x1b[31m", "é", "a" * 101])
def test_what_becomes_part_of_paths_has_a_plain_name(kind, load, name, tmp_path, monkeypatch):
    (tmp_path / f"{name}.yaml").write_text("title: x\noverrides: []")
    monkeypatch.setitem(overrides.KINDS, kind, tmp_path)
    with pytest.raises(UserError, match="rename its file, since a name is made of letters, digits"):
        load(name)
