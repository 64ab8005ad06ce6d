"""Sizes of the networks, against the counts that the paper's figures were matched with."""

import csv

import pytest
import torch

import models
from models.describe import NETWORKS_CSV, describe, macs, parameters

# Trainable scalars and millions of multiply-accumulates at 100 classes and 32x32 pixels.
SIZES = {
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
    "mobilenetv2-cifar": (2369380, 64.947),
}

# The same at 10 classes.
SIZES_OF_TEN = {
    "wrn-16-1": (175066, 26.657),
    "wrn-16-2": (691674, 101.107),
    "wrn-40-2": (2243546, 327.599),
    "resnet18-narrow": (734826, 65.111),
    "resnet34-narrow": (1381866, 117.016),
}

CASES = [(name, 100, *size) for name, size in SIZES.items()] + [(n, 10, *size) for n, size in SIZES_OF_TEN.items()]

ROWS = list(csv.DictReader(NETWORKS_CSV.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize(("name", "num_classes", "count", "cost"), CASES)
def test_sizes_are_those_of_the_paper(name, num_classes, count, cost):
    with torch.device("meta"):
        network = models.create(name, num_classes)
    assert parameters(network) == count
    assert macs(network) / 1e6 == pytest.approx(cost, abs=1e-3)


def test_counting_leaves_no_hook_behind():
    network = models.create("wrn-10-1", num_classes=10)
    assert macs(network) == macs(network)
    assert not any(module._forward_hooks for module in network.modules())


def test_the_committed_file_is_what_the_networks_measure():
    assert NETWORKS_CSV.read_text(encoding="utf-8") == describe(), "run: python -m models.describe"


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_real_tensors_have_the_shapes_of_the_file(row):
    network = models.create(row["name"], int(row["classes"]), int(row["in_size"]))
    shapes = network.shapes()
    assert " ".join("x".join(map(str, shape)) for shape in shapes.taps) == row["taps"]
    assert "x".join(map(str, shapes.map)) == row["map"]
    assert shapes.family == row["family"]
