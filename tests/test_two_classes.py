"""The real command on a folder of images of two classes, kept in memory or left in their files at many sizes."""

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DEADLINE = 600.0
METHODS = ("kd", "dist", "crd", "srrl", "sp", "pkt", "rkd")
FILE = """
from benchmark.data import image_folder

SIZES = {"num_train": 48, "num_test": 20, "num_classes": 2, "image_size": 16}
SOURCES = (image_folder("squares", **SIZES), image_folder("photos", **SIZES, in_memory=False))
"""


@dataclass(frozen=True)
class Place:
    """A folder with images, and the command on them."""

    root: Path

    def run(self, dataset: str, *arguments: str) -> str:
        """What the command says, in words with single spaces between them."""
        folders = [f"--{name}={self.root / name}" for name in ("data", "results", "checkpoints")]
        size = ["--profile", "digits", "--seeds", "1", "--jobs", "1", "--set", "epochs=1"]
        data = ["--plugin", str(self.root / "sets.py"), "--set", f"dataset={dataset}"]
        kept = {key: value for key, value in os.environ.items() if key not in ("KD_DATA", "SRRL_BENCH_PLUGINS")}
        command = [sys.executable, str(ROOT / "run_all.py"), *arguments, *size, *data, *folders]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=kept, timeout=DEADLINE, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return " ".join(done.stdout.split())

    def records(self, dataset: str) -> dict[str, dict]:
        """Records by the name of their folder."""
        paths = (self.root / "results").glob(f"digits+{dataset}+*/records/*/*/*/*.json")
        return {path.parent.name.partition("[")[0]: json.loads(path.read_text(encoding="utf-8")) for path in paths}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Dark and bright images of 20 to 40 pixels a side."""
    root, random = tmp_path_factory.mktemp("two"), np.random.default_rng(0)
    for split, count in (("train", 48), ("test", 20)):
        for number in range(count):
            height, width = random.integers(20, 41, 2)
            pixels = random.normal((80, 170)[number % 2], 40, (height, width, 3)).clip(0, 255).astype(np.uint8)
            for name in ("squares", "photos"):
                path = root / "data" / name / split / ("dark", "light")[number % 2] / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    (root / "sets.py").write_text(FILE, encoding="utf-8")
    return Place(root)


def _finite(values):
    """Whether all numbers in nested lists and dictionaries are finite; a missing number is not."""
    if isinstance(values, dict):
        return all(map(_finite, values.values()))
    if isinstance(values, list):
        return all(map(_finite, values))
    return values is not None and math.isfinite(values)


def test_methods_learn_two_classes_from_images_of_many_sizes(place):
    said = place.run("photos", "--table", "6", "--pairs", "wrn-16-10:wrn-10-10", "--methods", ",".join(METHODS))
    assert "20 test images of 16 x 16 pixels, 2 classes" in said
    found = place.records("photos")
    assert {*found} == {*METHODS, "student"}
    for name, record in found.items():
        assert record["status"] == "done", name
        assert _finite(record["curves"]), name
        assert record["metrics"]["last"]["topk"] == record["metrics"]["last"]["top1"], name  # one guess of two classes
        assert record["provenance"]["data"]["name"] == "photos"
    parts = {part for record in found.values() for part in record["curves"]["parts"]}
    assert {"dist.inter", "dist.intra"} <= parts
    assert "nothing to do" in place.run(
        "photos", "--table", "6", "--pairs", "wrn-16-10:wrn-10-10", "--methods", ",".join(METHODS)
    )


def test_tables_of_analyses_the_figure_and_the_leaderboard_know_two_classes(place):
    said = place.run(
        "squares", "--table", "2,3", "--figure", "2", "--leaderboard", "--methods", "srrl", "--pairs", "wrn-40-4:*-4"
    )
    assert "Teacher: 20 images" in said
    found = place.records("squares")
    measures = {name: record for name, record in found.items() if "@" in name}
    assert {name.partition("@")[2] for name in measures} == {"clusters", "distance", "similarity", "tsne"}
    for name, record in measures.items():
        assert record["status"] == "done", name
        assert _finite(record["metrics"]["last"]), name
    # Dark and bright images differ so much that even after one epoch the clusters are nearly the classes.
    assert found["srrl@clusters"]["metrics"]["last"]["nmi"] > 50
    assert {*measures["srrl@tsne"]["points"]["label"]} == {0, 1}
