"""The real command with methods, networks and data sets of one's own, in files and in an installed package."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data import load

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
FORMULA = re.search(r"```python\n(def dkd2_loss.*?)```", GUIDE, re.DOTALL)[1]
# Derived from another method, with that method's options.
DERIVED = METHOD.replace("methods import Method", "methods.kd import KD").replace("Own(Method)", "Own(KD)")
DERIVED = DERIVED.replace("2.0):", "2.0, **options):").replace("__init__(pair)", "__init__(pair, **options)")
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
    assert f"{paths['vector']}: part 'distance' of its loss must be a scalar tensor" in lines[2]


def test_names_that_collide_and_files_that_cannot_be_read_are_refused(place):
    file = place.write("kd.py", METHOD.format(words="", loss=LOSS))
    (line,) = place.refused(*PAIR, "--methods", "kd", "--plugin", file)
    assert f"method 'kd' of {file}: {ROOT}/methods/kd.py has that name, too" in line
    (line,) = place.refused(*PAIR, "--plugin", place.write("broken.py", "def f(:"))
    assert "broken.py: this is no Python that can be read" in line
    assert place.run("--table", "6", "--render", "--plugin", file).returncode == 2


def _install(place: Place) -> Path:
    """Build and install a package with a method whose loss is in a second module; returns its folder."""
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
    return site


def _write_images(folder: Path) -> None:
    """Write real digits as PNG files, one folder a class, and the same images as Parquet files."""
    digits = load("digits", None, folder)
    images, labels = digits.train.images[:80], digits.train.labels[:80]
    for split, rows in (("train", range(60)), ("test", range(60, 80))):
        cells = []
        for row in rows:
            path = folder / "pictures" / split / f"digit{labels[row]}" / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row]).save(path)
            cells.append({"bytes": path.read_bytes(), "path": None})
        (folder / "shards").mkdir(exist_ok=True)
        table = pa.table({"image": cells, "label": [labels[row] for row in rows]})
        pq.write_table(table, folder / "shards" / f"{split}.parquet")


@dataclass(frozen=True)
class Trained:
    """Own methods, network, data set and table, trained by one command."""

    place: Place
    arguments: tuple[str, ...]
    environment: dict[str, str]
    said: str
    warnings: list[str]

    @property
    def images(self) -> Path:
        return self.place.root / "data"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.place.run(*self.arguments, *arguments, **(self.environment | environment))

    def plan(self) -> str:
        """What the same command would do."""
        done = self.run("--plan")
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("setuptools", reason="pip builds the package with it")
    place = Place(tmp_path_factory.mktemp("own"))
    site = _install(place)
    _write_images(place.root / "data")
    table = place.write("pair.yaml", TABLE)
    own = place.write("own.py", DERIVED.format(words="Words.", loss=LOSS))
    files = (own, place.write("net.py", NETWORK), place.write("sets.py", DATA))
    chosen = ("--table", table, "--methods", "own,packaged", "--set", "train_limit=60", "--set", "dataset=pictures")
    arguments = (*chosen, *(word for file in files for word in ("--plugin", file)))
    environment = {"PYTHONPATH": str(site), "KD_DATA": str(place.root / "data")}
    done = place.run(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return Trained(place, arguments, environment, " ".join(done.stdout.split()), done.stderr.splitlines())


@pytest.fixture
def edit():
    """Factory of changes to a file, which are taken back when the test ends."""
    before: dict[Path, bytes] = {}

    def change(path: Path, content: bytes | str) -> None:
        before.setdefault(path, path.read_bytes())
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    yield change
    for path, content in before.items():
        path.write_bytes(content)


def test_methods_a_network_and_a_data_set_of_files_and_packages_are_trained_in_one_command(trained):
    assert "to do: 3 runs" in trained.said
    checked = trained.said.partition("checking ")[2].partition(", once")[0].split(", ")
    assert sorted(checked) == ["method 'own'", "method 'packaged'", "network 'tiny'"]
    assert "on pictures (profile digits)" in trained.said
    (warning,) = trained.warnings
    assert warning.startswith("warning: method 'absent' of the package losses-of-mine is left out: there is no module")
    for method in ("own", "packaged"):
        (record,) = trained.place.records(method)
        assert record["status"] == "done"
        assert f"{record['metrics']['last']['top1']:.2f}" in trained.said
        assert len(record["spec"]["objective"]["terms"][method]["sha256"]) == 64
        assert {*record["spec"]["code"]} == {"network", "dataset"}
    (derived,) = trained.place.records("own")
    assert derived["spec"]["objective"]["ce"] == 0.1  # as KD declares
    assert list((trained.place.root / "results").glob("*/tables/pair+own+packaged.md"))
    assert "nothing to do" in trained.run().stdout


def test_a_change_of_words_changes_no_run_and_a_change_of_code_those_that_use_it(trained, edit):
    own = trained.place.root / "own.py"
    edit(own, DERIVED.format(words="Other words.", loss=LOSS))
    assert " 0 to do" in trained.plan()
    edit(own, DERIVED.format(words="Words.", loss=f"2 * {LOSS}"))
    assert " 1 to do" in trained.plan()
    edit(trained.place.root / "site" / "losses_of_mine" / "powers.py", "def squared(values):\n    return 2 * values\n")
    assert " 2 to do" in trained.plan()
    edit(trained.place.root / "net.py", NETWORK.replace("request.channels(32)", "request.channels(64)"))
    assert " 3 to do" in trained.plan()


def test_changed_images_are_other_data(trained, edit):
    path = next((trained.images / "pictures/train/digit0").iterdir())
    picture = BytesIO()
    Image.fromarray(255 - np.asarray(Image.open(path))).save(picture, format="png")
    edit(path, picture.getvalue())
    assert " 3 to do" in trained.plan()


def test_a_folder_of_data_that_is_not_there_is_one_line(trained):
    gone = trained.run("--data", str(trained.images / "gone"), "--plan")
    assert gone.returncode == 2
    (error,) = [line for line in gone.stderr.splitlines() if not line.startswith("warning: ")]
    assert "there is no such folder" in error


def test_images_in_folders_and_in_parquet_files_give_the_same_result(trained):
    done = trained.run("--methods", "own", "--set", "dataset=shards")
    assert done.returncode == 0, done.stderr
    assert "to do: 2 runs" in " ".join(done.stdout.split())
    records = trained.place.records("own")
    assert {record["provenance"]["data"]["name"] for record in records} == {"pictures", "shards"}
    assert len({record["provenance"]["data"]["fingerprint"] for record in records}) == 1
    assert records[0]["metrics"] == records[1]["metrics"]


def test_the_formula_of_the_guide_trains_from_a_draft_and_is_dkd(place):
    path = place.root / "dkd2.py"
    draft = [sys.executable, str(ROOT / "run_all.py"), "new-method", str(path)]
    subprocess.run(draft, capture_output=True, cwd=ROOT, check=True)
    head = path.read_text(encoding="utf-8").partition("def dkd2_loss")[0]
    path.write_text(f"{head}from torch.nn import functional\n\n{FORMULA}", encoding="utf-8")
    [teacher] = (ROOT / "results/digits/teachers").glob("resnet56-CRD100-seed0-*.safetensors")
    chosen = ["--table", "11", "--pairs", "resnet56:resnet20", "--methods", "dkd2,dkd"]
    chosen += ["--set", "objectives.dkd2.weight=0.1", "--teacher"]
    shown = place.run(*chosen, f"resnet56={teacher}", "--plugin", str(path))
    assert shown.returncode == 0, shown.stderr
    assert "eagerly" not in shown.stdout + shown.stderr  # one_hot is captured as a CUDA graph
    records = [json.loads(file.read_text()) for file in (place.root / "results").rglob("records/**/dkd*/*.json")]
    losses = [sum(curve[-1] for curve in record["curves"]["parts"].values()) for record in records]
    assert len(losses) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
