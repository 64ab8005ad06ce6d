"""The real command with methods, networks and data sets of one's own, in files and in an installed package."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DEADLINE = 600.0
PAIR = ("--table", "6", "--pairs", "wrn-16-10:wrn-10-10")
FEW = ("--set", "epochs=1", "--set", "train_limit=64")
METHOD = '''"""A file of one's own."""

import torch
from methods import Method


class Own(Method):
    """{words}"""

    title = "My own"
    citation = "unpublished"

    def __init__(self, pair, *, power: float = 2.0):
        super().__init__(pair)
        self.power = power

    def forward(self, student, teacher, batch):
        return {{"distance": {loss}}}
'''
LOSS = "(student.logits - teacher.logits).abs().pow(self.power).mean()"
GUIDE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
NETWORK = re.search(r"```python\n(import torch.*?)```", GUIDE, re.DOTALL)[1]
DATA = """
from benchmark.data import image_folder, parquet_files

SIZES = {"num_train": 60, "num_test": 20, "num_classes": 10, "image_size": 8}
SOURCES = (image_folder("pictures", **SIZES), parquet_files("shards", **SIZES))
"""
TABLE = """
title: A pair of one's own
recipe: C100
metric: top1
heads: [Method]
columns: [{label: tiny, pair: "tiny:tiny"}]
rows: [{label: Teacher, role: teacher}, {label: KD, method: kd}]
"""


@dataclass(frozen=True)
class Place:
    """A folder to run the command in."""

    root: Path

    def write(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        folders = ["--results", f"{self.root}/results", "--checkpoints", f"{self.root}/checkpoints"]
        common = ["--profile", "digits", "--seeds", "1", "--jobs", "1", *FEW, *folders]
        kept = {key: value for key, value in os.environ.items() if key not in ("KD_DATA", "SRRL_BENCH_PLUGINS")}
        return subprocess.run(
            [sys.executable, str(ROOT / "run_all.py"), *common, *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=kept | environment,
            timeout=DEADLINE,
            check=False,
        )

    def train(self, *arguments: str, **environment: str) -> str:
        """What the command said, in words with single spaces between them."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())

    def refused(self, *arguments: str, **environment: str) -> list[str]:
        """The lines of the error for which nothing was trained."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 2, done.stdout
        assert not self.records("*")
        lines = done.stderr.splitlines()
        assert all(line.startswith("error: ") for line in lines)
        return lines

    def records(self, method: str) -> list[dict]:
        paths = (self.root / "results").glob(f"*/records/*/*/{method}/*.json")
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


DERIVED = METHOD.replace("methods import Method", "methods.kd import KD").replace("Own(Method)", "Own(KD)")
DERIVED = DERIVED.replace("2.0):", "2.0, **options):").replace("__init__(pair)", "__init__(pair, **options)")


def test_a_method_that_derives_from_another_is_trained_and_has_to_be_again_where_its_code_changes(place):
    file = place.write("own.py", DERIVED.format(words="Words.", loss=LOSS))
    arguments = (*PAIR, "--methods", "own", "--plugin", file)
    said = place.train(*arguments)
    assert "checking method 'own', once" in said
    assert "to do: 2 runs" in said
    (first,) = place.records("own")
    assert first["status"] == "done"
    assert f"{first['metrics']['last']['top1']:.2f}" in said
    assert len(first["spec"]["objective"]["terms"]["own"]["sha256"]) == 64
    assert first["spec"]["objective"]["ce"] == 0.1  # as KD declares
    assert list((place.root / "results").glob("*/tables/table06+own.md"))

    place.write("own.py", DERIVED.format(words="Other words.", loss=LOSS))
    assert "nothing to do" in place.train(*arguments)

    place.write("own.py", DERIVED.format(words="Words.", loss=f"2 * {LOSS}"))
    assert "1 to do in 1 cohort," in place.train(*arguments, "--plan")


def test_what_breaks_the_contract_is_a_line_each_and_nothing_is_trained(place):
    files = {
        "detached": METHOD.format(words="", loss="student.logits.detach().mean()"),
        "raising": METHOD.format(words="", loss="student.logit.mean()"),
        "vector": METHOD.format(words="", loss="student.logits.mean(0)"),
    }
    paths = {name: place.write(f"{name}.py", text) for name, text in files.items()}
    chosen = [word for path in paths.values() for word in ("--plugin", path)]
    lines = place.refused(*PAIR, "--methods", "kd,detached,raising,vector", *chosen)
    assert [line.partition(": ")[2].partition(" of ")[0] for line in lines] == [f"method '{name}'" for name in paths]
    assert f"{paths['detached']}: its loss gives no gradient" in lines[0]
    assert f"{paths['raising']}:18: AttributeError" in lines[1]
    assert f"{paths['vector']}: part 'distance' of its loss is torch.float32 of shape (10,)" in lines[2]


def test_names_that_collide_and_files_that_cannot_be_read_are_refused(place):
    file = place.write("kd.py", METHOD.format(words="", loss=LOSS))
    (line,) = place.refused(*PAIR, "--methods", "kd", "--plugin", file)
    assert f"method 'kd' of {file}: {ROOT}/methods/kd.py has that name, too" in line
    (line,) = place.refused(*PAIR, "--plugin", place.write("broken.py", "def f(:"))
    assert "broken.py: this is no Python that can be read" in line
    assert place.run("--table", "6", "--render", "--plugin", file).returncode == 2


PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "losses-of-mine"
version = "1.0"

[project.entry-points."srrl_bench.methods"]
packaged = "losses_of_mine.distance:Own"
absent = "losses_of_mine.nothing:Own"

[tool.setuptools]
packages = ["losses_of_mine"]
"""


def test_a_method_of_an_installed_package_is_trained(place):
    pytest.importorskip("setuptools", reason="pip builds the package with it")
    place.write("package/pyproject.toml", PROJECT)
    place.write("package/losses_of_mine/__init__.py", "")
    place.write("package/losses_of_mine/powers.py", "def squared(values):\n    return values.square()\n")
    text = METHOD.format(words="", loss="squared(student.logits - teacher.logits).mean()")
    text = text.replace("import torch\n", "from .powers import squared\n")
    place.write("package/losses_of_mine/distance.py", text)
    site = place.root / "site"
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--target", str(site)]
    install = [sys.executable, "-m", "pip", "install", *options, str(place.root / "package")]
    subprocess.run(install, check=True, timeout=DEADLINE, capture_output=True)

    done = place.run(*PAIR, "--methods", "packaged", PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    expected = "warning: method 'absent' of the package losses-of-mine is left out: there is no module"
    assert warning.startswith(expected)
    (record,) = place.records("packaged")
    assert record["status"] == "done"
    before = record["spec"]["objective"]["terms"]["packaged"]["sha256"]
    helper = site / "losses_of_mine" / "powers.py"
    helper.write_text("def squared(values):\n    return 2 * values.square()\n", encoding="utf-8")
    said = place.train(*PAIR, "--methods", "packaged", "--plan", PYTHONPATH=str(site))
    assert "1 to do in 1 cohort," in said
    assert len(before) == 64


@pytest.fixture
def pictures(place):
    """Real digits as PNG files, one folder a class, and the same in Parquet."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = (digits.images * 15).astype(np.uint8), digits.target
    folder = place.root / "data"
    for split, rows in (("train", range(60)), ("test", range(60, 80))):
        cells = []
        for row in rows:
            path = folder / "pictures" / split / f"digit{labels[row]}" / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row]).save(path)
            cells.append({"bytes": path.read_bytes(), "path": None})
        (folder / "shards").mkdir(exist_ok=True)
        pq.write_table(
            pa.table({"image": cells, "label": [labels[row] for row in rows]}), folder / "shards" / f"{split}.parquet"
        )
    return folder


def test_networks_and_data_sets_of_files_are_trained(place, pictures):
    table = place.write("pair.yaml", TABLE)
    files = ["--plugin", place.write("net.py", NETWORK), "--plugin", place.write("sets.py", DATA)]
    arguments = ("--table", table, *files, "--data", str(pictures), "--set", "train_limit=60")
    for name in ("pictures", "shards"):
        said = place.train(*arguments, "--set", f"dataset={name}")
        assert "to do: 2 runs" in said
        assert ("checking network 'tiny', once" in said) == (name == "pictures")
    records = place.records("kd")
    assert {record["provenance"]["data"]["name"] for record in records} == {"pictures", "shards"}
    assert len({record["provenance"]["data"]["fingerprint"] for record in records}) == 1
    assert all({*record["spec"]["code"]} == {"network", "dataset"} for record in records)
    assert records[0]["metrics"] == records[1]["metrics"]

    place.write("net.py", NETWORK.replace("request.channels(32)", "request.channels(64)"))
    assert "2 to do" in place.train(*arguments, "--set", "dataset=shards", "--plan")


def test_changed_images_are_other_data_and_their_tables_say_which(place, pictures):
    common = ("--table", "11", "--pairs", "resnet56:resnet20", "--methods", "kd", "--set", "train_limit=60")
    arguments = (*common, "--plugin", place.write("sets.py", DATA), "--set", "dataset=pictures")
    assert "on pictures (profile digits)" in place.train(*arguments, "--data", str(pictures))
    assert "nothing to do" in place.train(*arguments, KD_DATA=str(pictures))
    path = next((pictures / "pictures/train/digit0").iterdir())
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert "2 to do" in place.train(*arguments, "--data", str(pictures), "--plan")
    gone = place.run(*arguments, "--data", str(pictures / "gone"), "--plan")
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)
    assert "there is no such folder" in gone.stderr
