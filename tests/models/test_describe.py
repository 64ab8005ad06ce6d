"""Sizes of the networks, against the counts that the paper's figures were matched with."""

import csv
import os
import subprocess
import sys

import pytest
import torch

import models
from benchmark.tables import reader
from benchmark.training.isolation import NetworkSnapshot
from models.describe import NETWORKS_CSV, describe, macs, parameters, row, table

# Trainable scalars and millions of multiply-accumulates at 100 classes and 32x32 pixels.
OF_HUNDRED = {
    "wrn-16-2": (703284, 101.118),
    "wrn-16-4": (2772020, 392.635),
    "wrn-10-10": (7493044, 996.654),
    "wrn-40-1": (569780, 83.286),
    "wrn-40-2": (2255156, 327.611),
    "wrn-40-4": (8972340, 1298.605),
    "wrn-16-10": (17174324, 2412.231),
    "resnet10-narrow": (339908, 32.093),
    "resnet18-narrow": (746436, 65.123),
    "resnet34-narrow": (1393476, 117.027),
    "resnet50-narrow": (1985348, 154.776),
    "resnet10-wide": (4949412, 253.479),
    "resnet34-wide": (21328292, 1159.449),
    "resnet50-crd": (23705252, 1298.014),
    "resnet20": (278324, 40.819),
    "resnet32": (472756, 69.130),
    "resnet56": (861620, 125.754),
    "resnet110": (1736564, 253.156),
    "resnet8x4": (1233540, 177.071),
    "resnet32x4": (7433860, 1083.041),
    "mobilenetv2-cifar": (2369380, 64.947),
    "mobilenetv2-half": (812836, 6.524),
    "vgg8": (3965028, 96.193),
    "vgg13": (9462180, 284.936),
    "shufflenetv1": (949258, 38.691),
    "shufflenetv2": (1355528, 44.504),
    "resnet34-xnorpp-binary": (21345356, 1159.449),
    "resnet34-xnorpp-binary-real-shortcut": (21344404, 1159.449),
    "resnet34-xnorpp-real": (21335972, 1159.449),
}

# The same at 10 classes.
OF_TEN = {
    "wrn-16-1": (175066, 26.657),
    "wrn-16-2": (691674, 101.107),
    "wrn-40-2": (2243546, 327.599),
    "resnet8-A": (75290, 12.239),
    "resnet14-A": (172506, 26.395),
    "resnet26-A": (366938, 54.707),
    "resnet18-narrow": (734826, 65.111),
    "resnet34-narrow": (1381866, 117.016),
}

# The same at 1000 classes and 224x224 pixels.
OF_THOUSAND = {
    "resnet18-imagenet": (11689512, 1814.073),
    "resnet34-imagenet": (21797672, 3663.761),
    "resnet50-imagenet": (25557032, 4089.184),
    "mobilenet-imagenet": (4231976, 568.740),
    "resnet18-xnorpp-binary": (11699154, 1814.073),
    "resnet18-xnorpp-binary-real-shortcut": (11698160, 1814.073),
    "resnet18-xnorpp-real": (11693480, 1814.073),
}

CASES = [
    (name, num_classes, *size)
    for num_classes, sizes in ((100, OF_HUNDRED), (10, OF_TEN), (1000, OF_THOUSAND))
    for name, size in sizes.items()
]

PAPER = {"table": reader.numbers, "figure": reader.figures}
ROWS = list(csv.DictReader(NETWORKS_CSV.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize(("name", "num_classes", "count", "cost"), CASES)
def test_sizes_are_those_of_the_paper(name, num_classes, count, cost):
    with torch.device("meta"):
        network = models.create(name, num_classes, models.made_for(name).in_size)
    assert parameters(network) == count
    assert macs(network) / 1e6 == pytest.approx(cost, abs=1e-3)


def test_every_network_of_the_paper_is_checked():
    checked = {name for name, *_ in CASES}
    assert checked <= set(models.names())
    paper = [reader.load(number, kind) for kind, numbers in PAPER.items() for number in numbers()]
    assert {
        name for table in paper for cell in table.cells for name in (cell.pair.teacher, cell.pair.student)
    } <= checked


def test_counting_leaves_the_network_as_it_is():
    network = models.create("wrn-10-1", num_classes=10).eval().requires_grad_(requires_grad=False)
    snapshot = NetworkSnapshot(network)
    assert macs(network) == macs(network)
    assert snapshot.changed(compare_contents=True) is None


def test_the_committed_file_is_what_the_networks_measure():
    assert NETWORKS_CSV.read_text(encoding="utf-8") == describe(), "run: python -m models.describe"


@pytest.mark.parametrize("row", {row["family"]: row for row in ROWS}.values(), ids=lambda row: row["name"])
def test_real_tensors_have_the_shapes_of_the_file(row):
    network = models.create(row["name"], int(row["classes"]), int(row["in_size"]))
    shapes = network.shapes()
    assert " ".join("x".join(map(str, shape)) for shape in shapes.feats) == row["feats"]
    assert "x".join(map(str, shapes.map)) == row["map"]
    assert shapes.family == row["family"]


def test_networks_that_are_not_listed_are_measured_by_name():
    [wide, torchvision] = csv.DictReader(table(["wrn-22-3", "torchvision/mobilenet_v3_small"]).splitlines())
    assert (wide["family"], wide["revision"], wide["map"]) == ("wrn", "1", "192x8x8")
    assert (torchvision["params"], torchvision["map"]) == ("2542856", "1024x1x1")


def test_a_network_that_the_meta_device_cannot_build_is_built_with_weights():
    measured = row("torchvision/regnet_y_400mf")
    assert (measured["params"], measured["macs"]) == (4344144, 401842848)


class Attention(torch.nn.Module):
    """Attends to two tokens, the first of which is a parameter."""

    def __init__(self):
        super().__init__()
        self.token, self.norm = torch.nn.Parameter(torch.zeros(1, 1, 8)), torch.nn.LayerNorm(8)
        self.inner, self.fc = torch.nn.Linear(3, 8), torch.nn.Linear(8, 5)

    def forward(self, images):
        own, token = self.inner(images.mean((2, 3)))[:, None], self.norm(self.token)
        queries = torch.cat([token.expand_as(own), own], dim=1)
        return self.fc((queries @ queries.mT @ queries)[:, 0])


def test_products_of_matrices_that_are_no_layers_are_counted():
    network = models.wrap(Attention(), name="attention", in_size=8).requires_grad_(requires_grad=False)
    assert macs(network) == 3 * 8 + 8 * 5 + 2 * (2 * 2 * 8)


def test_the_command_says_in_its_last_line_why_a_network_cannot_be_measured():
    done = subprocess.run(
        [sys.executable, "-m", "models.describe", "--network", "wrn-23-3"],
        capture_output=True,
        text=True,
        cwd=NETWORKS_CSV.parents[1],
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("wrn-23-3: the depth of a wide ResNet is 6n + 4")


PRINTING = """
import os
print("loading")
from models import register
from models.wrn import build as build_wrn
from dataclasses import replace

@register("printing")
def build(request):
    print("building")
    os.write(1, b"in C\\n")
    return build_wrn(replace(request, name="wrn-10-1"))
"""


def test_the_command_prints_the_networks_of_a_file_and_nothing_else(tmp_path):
    path, before = tmp_path / "printing.py", NETWORKS_CSV.read_bytes()
    path.write_text(PRINTING, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "models.describe", str(path)],
        capture_output=True,
        text=True,
        cwd=NETWORKS_CSV.parents[1],
        env=os.environ | {"SRRL_BENCH_PLUGINS": str(path)},
        check=True,
    )
    [row] = csv.DictReader(done.stdout.splitlines())
    assert row["name"] == "printing"
    assert "loading" in done.stderr
    assert "in C" in done.stderr
    assert NETWORKS_CSV.read_bytes() == before
