"""Lists of what there is."""

import pytest

from benchmark.registry.catalog import ROOT


@pytest.mark.parametrize(
    ("what", "known"),
    [
        ("methods", {"student", "srrl", "kd"}),
        ("networks", {"wrn-16-2", "resnet34-imagenet"}),
        ("datasets", {"cifar100", "digits", "imagenet"}),
        ("tables", {"1", "6", "12", "figure 2"}),
        ("recipes", {"C100", "CRD100", "PROBE-STL10"}),
        ("profiles", {"digits", "short", "quick", "paper"}),
        ("presets", {"authors"}),
    ],
)
def test_every_list_has_a_line_each(what, known, command):
    shown = command("list", what)
    assert shown.status == 0
    rows = [line.split("  ") for line in shown.out.splitlines()]
    assert known <= {row[0] for row in rows}
    assert all("".join(row[1:]).strip() for row in rows)


def test_methods_say_what_they_need_and_bring_along(command):
    lines = command("list", "methods").out.splitlines()
    assert lines[0].split("  ")[0] == "method"
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert rows["method"] == "title teacher views own recipe published recipe options"
    assert rows["student"] == "Student: cross-entropy alone none 1 - - -"
    assert rows["kd"].startswith("KD given 1 - - temperature=4.0")
    assert "none 1 - " in rows["label_smoothing"]
    assert "given 2 epochs=480, lr=0.025, milestones=[150, 180, 210] 240, 480 or 960 epochs" in rows["mlkd"]


@pytest.mark.slow
def test_the_committed_page_of_methods_is_what_the_command_prints(command):
    shown = command("list", "methods", "--markdown")
    assert shown.status == 0
    written = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert written == shown.out, "run: python run_all.py list methods --markdown > docs/methods.md"


def test_the_page_is_of_methods_alone(command):
    shown = command("list", "networks", "--markdown")
    assert (shown.status, shown.out) == (2, "")
    assert "--markdown is for the list of methods" in shown.err


def test_recipes_and_datasets_are_columns(command):
    recipes = {line.split()[0]: " ".join(line.split()[1:]) for line in command("list", "recipes").out.splitlines()}
    assert recipes["recipe"] == "data set epochs batch optimizer lr schedule overrides for"
    assert recipes["C100"] == "cifar100 200 128 sgd 0.1 x 0.1 after 100, 150 student=resnet*, student=mobilenet*"
    assert recipes["IN-BIN"] == "imagenet 100 512 adam 0.002 x 0.1 after 30, 60, 90 none"
    datasets = command("list", "datasets").words
    assert "stl10 5,000 8,000 10 96 x 96 stl10/*.parquet or stl10_binary/, else downloaded" in datasets


def test_datasets_hold_those_of_plug_ins(command, tmp_path):
    text = """
from benchmark.data import image_folder
SOURCES = (image_folder("leaves", num_train=24, num_test=12, num_classes=6, image_size=32),)
"""
    (tmp_path / "leaves.py").write_text(text)
    shown = command("list", "datasets", "--plugin", str(tmp_path / "leaves.py"))
    assert "leaves 24 12 6 32 x 32 leaves/train/CLASS/* and test/" in shown.words
