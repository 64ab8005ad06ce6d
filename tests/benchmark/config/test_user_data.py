"""What runs, tables and folders become where a user's own data set takes the place of all others."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from benchmark import data
from benchmark.cli import main
from benchmark.config import user_data
from benchmark.config.teachers import TeacherChoice
from benchmark.data import registry
from benchmark.registry import plugins
from benchmark.registry.catalog import ROOT
from benchmark.runs.names import parse_method

FILE = """
from benchmark.data import image_folder

SOURCES = (image_folder("leaves", num_train=24, num_test=24, num_classes={classes}, image_size={size}{more}),)
"""


def forget():
    """Let files be looked at again, as a new process does."""
    plugins.invalidate()
    registry.forget()


@pytest.fixture
def leaves(tmp_path, monkeypatch):
    """Factory of a data set of real image files in colour, larger than what is kept of them; returns its folder."""
    monkeypatch.setenv("KD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path / "cache"))
    random = np.random.default_rng(0)

    def make(classes=6, size=32, more=""):
        for split in ("train", "test"):
            for number in range(24):
                path = tmp_path / "data/leaves" / split / f"class{number % classes:03}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = random.integers(0, (256, 128, 64), (48, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
        file = tmp_path / "leaves.py"
        file.write_text(FILE.format(classes=classes, size=size, more=more))
        monkeypatch.setenv(plugins.VARIABLE, str(file))
        forget()
        return tmp_path / "data/leaves"

    yield make
    forget()


@pytest.fixture
def recipe(resolver):
    """The recipe of a student on the leaves."""

    def make(student="wrn-16-2", teacher="wrn-40-4", name="C100", profile="digits", **changes):
        made = resolver(profile, dataset="leaves", **changes)
        return made.run(name, student, parse_method("kd"), TeacherChoice(name, teacher), 0).recipe

    return make


@pytest.fixture
def command(tmp_path, capsys):
    """Runs the command on folders of this test; gives its status, its output and its errors."""

    def run(*words):
        where = ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "cache"), "--seeds", "1"]
        forget()
        status = main.main([*words, *where])
        return status, *capsys.readouterr()

    return run


PAIRS = {
    "wrn-16-2": "C100",
    "resnet20": "CRD100",
    "vgg8": "CRD100",
    "mobilenetv2-half": "CRD100",
    "resnet18-imagenet": "IN",
}


@pytest.mark.parametrize("profile", ["digits", "paper", "quick", "short"])
@pytest.mark.parametrize("student", PAIRS)
def test_a_recipe_takes_sizes_crops_and_top_5_from_the_data(leaves, recipe, profile, student):
    leaves()
    found = recipe(student, name=PAIRS[student], profile=profile)
    assert (found.dataset, found.in_size, found.top_k) == ("leaves", 32, 3)
    assert (found.crop, found.crop_padding, found.crop_size, found.crop_scale, found.resize) == (
        "pad",
        4,
        None,
        None,
        None,
    )


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("profile", ["digits", "paper"])
@pytest.mark.parametrize("student", PAIRS)
@pytest.mark.parametrize(("size", "more", "resize"), [(224, "", 256), (96, "", 110), (32, ", in_memory=False", 37)])
def test_images_in_files_are_cropped_and_normalised_as_imagenets(leaves, recipe, profile, student, size, more, resize):
    leaves(size=size, more=more)
    found = recipe(student, name=PAIRS[student], profile=profile)
    assert (found.crop, found.crop_padding, found.crop_size, found.crop_scale, found.resize) == (
        "resized",
        0,
        size,
        (0.08, 1.0),
        resize,
    )
    assert (found.in_size, found.top_k, (found.mean, found.std)) == (size, 3, IMAGENET)


@pytest.mark.parametrize("size", [32, 224])
def test_a_mean_and_a_deviation_that_the_data_set_states_take_the_place_of_others(leaves, recipe, size):
    leaves(size=size, more=", mean=[0.5, 0.25, 0], std=(0.25, 0.5, 1)")
    assert (recipe().mean, recipe().std) == ((0.5, 0.25, 0.0), (0.25, 0.5, 1.0))


@pytest.mark.parametrize("profile", ["digits", "paper"])
def test_recipes_take_over_the_values_of_tiny_imagenet_and_cub200(resolver, profile):
    def found(name):
        teacher = TeacherChoice("C100", "wrn-40-4")
        return resolver(profile, dataset=name).run("C100", "wrn-16-2", parse_method("kd"), teacher, 0).recipe

    tiny, birds = found("tiny-imagenet"), found("cub200")
    assert (tiny.in_size, tiny.crop, tiny.crop_padding, tiny.resize, tiny.top_k) == (64, "pad", 8, None, 5)
    assert (tiny.mean, tiny.std) == ((0.4802, 0.4481, 0.3975), (0.277, 0.2691, 0.2821))
    assert (birds.in_size, birds.crop, birds.crop_size, birds.resize, birds.top_k) == (224, "resized", 224, 256, 5)
    assert (birds.mean, birds.std) == IMAGENET
    assert user_data.values("cifar100") == user_data.values("imagenet") == {}


def test_what_a_profile_sets_for_the_digits_images_does_not_apply_and_its_scale_does(leaves, recipe, resolver, job):
    leaves()
    digits, paper, found = job().recipe, job(profile="paper").recipe, recipe()
    assert (digits.flip, digits.pad_mode) != (paper.flip, paper.pad_mode) == (found.flip, found.pad_mode)
    for key in ("epochs", "batch_size", "lr", "milestones", "precision", "evaluate_every", "width"):
        assert getattr(found, key) == getattr(digits, key) != getattr(paper, key)
    weights = {}
    for name, made in {"digits": resolver(), "paper": resolver("paper"), "leaves": resolver(dataset="leaves")}.items():
        run = made.run("CRD100", "wrn-16-2", parse_method("at+sp"), TeacherChoice("CRD100", "wrn-40-2"), 0)
        weights[name] = [term.weight for term in run.objective.terms]
    # AT's weight follows from the size of maps, SP's from that of batches.
    assert weights["leaves"] == [weights["paper"][0], weights["digits"][1]]


def test_mean_and_deviation_are_those_of_the_training_images(leaves, recipe):
    folder = leaves(size=24)
    images = [Image.open(path).resize((24, 28), Image.Resampling.BILINEAR) for path in (folder / "train").glob("*/*")]
    pixels = np.stack([np.asarray(image.crop((0, 2, 24, 26))) for image in images]) / 255
    found = recipe()
    assert found.mean == tuple(pixels.mean((0, 1, 2)).round(4).tolist())
    assert found.std == tuple(pixels.std((0, 1, 2)).round(4).tolist())
    assert (found.in_size, found.crop_padding) == (24, 3)


def test_a_channel_without_deviation_is_divided_by_1(leaves, recipe):
    for path in leaves().rglob("*.png"):
        Image.new("RGB", (32, 32), (255, 0, 51)).save(path)
    assert (recipe().mean, recipe().std) == ((1.0, 0.0, 0.2), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("classes", "guesses"), [(2, 1), (3, 1), (5, 2), (9, 4), (10, 5), (24, 5)])
def test_top_5_is_at_most_half_of_the_classes(leaves, classes, guesses):
    leaves(classes)
    assert user_data.values("leaves")["top_k"] == guesses


def test_tuned_variants_are_chosen_on_a_tenth_of_the_training_images(leaves, resolver):
    leaves()
    for profile in ("digits", "paper"):
        trials = resolver(profile, dataset="leaves").trials(
            "C100", "wrn-16-2", parse_method("srrl[tuned]"), TeacherChoice("C100", "wrn-40-4")
        )
        assert {trial.recipe.holdout for trial in trials} == {2}


def test_the_users_changes_win(leaves, recipe):
    leaves()
    changes = {"in_size": 16, "mean": (0.5, 0.5, 0.5), "top_k": 2, "crop_padding": 0, "width": 1.0, "epochs": 3}
    found = recipe(**changes)
    assert {key: getattr(found, key) for key in changes} == changes


def test_images_are_decoded_once_for_all_plans(leaves, recipe):
    folder, said = leaves(), []
    registry.tell(said.append)
    first = recipe()
    assert f"leaves: decoding the images in {folder}, only once" in said
    said.clear()
    os.utime(next((folder / "train").glob("*/*")), (1, 1))
    forget()
    assert recipe() == first
    assert said == []
    Image.new("RGB", (40, 40)).save(next((folder / "train").glob("*/*")))
    forget()
    assert recipe().mean != first.mean


def test_another_decoding_makes_other_runs_of_a_users_images_alone(leaves, resolver, job, monkeypatch):
    leaves()
    teacher = TeacherChoice("C100", "wrn-40-4")
    before = resolver(dataset="leaves").teacher(teacher).id, job().id
    monkeypatch.setattr(data, "DECODING", data.DECODING + 1)
    after = resolver(dataset="leaves").teacher(teacher).id, job().id
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)


def test_plans_are_made_where_nothing_can_be_written(leaves, recipe, tmp_path, monkeypatch):
    leaves()
    (tmp_path / "file").touch()
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path / "file"))
    unwritable = recipe()
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path / "cache"))
    assert recipe() == unwritable


def test_planning_does_not_import_torch(leaves, tmp_path):
    leaves()
    code = "import sys; from benchmark.cli.main import main; sys.exit(main(sys.argv[1:]) or 'torch' in sys.modules)"
    words = ["--table", "11", "--plan", "--profile", "digits", "--set", "dataset=leaves"]
    where = ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "cache")]
    command = [sys.executable, "-c", code, *words, *where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "leaves: decoding the images" in done.stdout


@pytest.mark.parametrize(
    ("changes", "folder"),
    [
        ({}, "digits"),
        ({"dataset": "leaves"}, "digits+leaves"),
        ({"dataset": "cifar10"}, "digits+cifar10"),
        ({"epochs": 2}, "digits+e2826b04"),
        ({"dataset": "leaves", "epochs": 2}, "digits+leaves+e2826b04"),
    ],
)
def test_the_results_folder_has_the_data_sets_name(resolver, changes, folder):
    assert resolver(**changes).folder == folder


def test_the_note_describes_the_data(leaves, resolver):
    leaves()
    images = "Data: leaves, 24 training and 24 test images of 32 x 32 pixels, 6 classes"
    note = resolver(dataset="leaves", top_k=2).note
    assert note.startswith(f"{images}. For all runs epochs=6, batch_size=32, ")
    assert "top_k=2, crop=" in note
    assert "milestones" not in note
    assert "For all runs" not in resolver("paper", dataset="cifar10").note


FORBIDDEN = ("CIFAR", "STL", "ImageNet", "printed", "prints", "The paper says")


def test_tables_on_it_say_nothing_of_the_papers_data_and_numbers(leaves, command, tmp_path):
    leaves()
    status, out, _ = command(
        "--table",
        "all",
        "--figure",
        "all",
        "--leaderboard",
        "--render",
        "--profile",
        "digits",
        "--set",
        "dataset=leaves",
    )
    assert status == 0
    written = [
        path for path in (tmp_path / "results/digits+leaves").rglob("*") if path.suffix in (".md", ".tex", ".csv")
    ]
    assert len(written) == 12 * 3 + 1 + 3
    recipes = ("PROBE-CIFAR100", "PROBE-STL10", "no recipe for binary students on CIFAR-100", "those of ImageNet-1K")
    for text in (out, *(path.read_text(encoding="utf-8") for path in written)):
        plain = " ".join(text.split())
        for word in recipes:
            plain = plain.replace(word, "")
        assert not [word for word in FORBIDDEN if word in plain]
    table = (tmp_path / "results/digits+leaves/tables/table06.md").read_text()
    assert table.startswith(
        "**Table 6.** Top-1 accuracy (%) of various knowledge distillation methods on leaves (profile digits)"
    )
    assert "Data: leaves, 24 training and 24 test images" in table
    page = (tmp_path / "results/digits+leaves/leaderboard/leaderboard.html").read_text()
    assert '"printed":true' not in page
    assert "profile digits, dataset=" in page


def test_a_built_in_data_set_takes_the_tables_place_likewise(command, tmp_path):
    status, out, _ = command("--table", "6", "--render", "--profile", "quick", "--set", "dataset=cifar10")
    assert status == 0
    assert "profile quick (on cifar10)" in out
    text = (tmp_path / "results/quick+cifar10/tables/table06.md").read_text()
    assert "methods on cifar10 (profile quick)" in text
    assert "Data: cifar10, 50,000 training and 10,000 test images of 32 x 32 pixels, 10 classes" in text
    assert "CIFAR-100" not in text
    assert "paper" not in text.replace("since the paper gives none", "")


def test_claims_on_it_show_no_numbers_of_the_paper(leaves, command, tmp_path):
    leaves()
    status, out, _ = command("claims", "--profile", "digits", "--set", "dataset=leaves")
    assert status == 0
    assert "Claims of the paper (on leaves, profile digits)" in out
    text = (tmp_path / "results/digits+leaves/claims.md").read_text()
    assert "| | Claim | Our runs | Our means | Evidence |" in text
    assert "The data are others than the paper's" in text
    assert "paper's means" not in out + text


@pytest.mark.parametrize("mode", [("--table", "6", "--render"), ("status", "--table", "6"), ("--table", "6", "--plan")])
def test_an_unknown_data_set_is_an_error_before_anything_is_written(command, tmp_path, mode):
    status, _, err = command(*mode, "--profile", "digits", "--set", "dataset=../leaves")
    assert status == 2
    assert err.startswith("error: unknown data set '../leaves'")
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()
