"""Files outside the project, and the networks that they register."""

import csv

import pytest

import models
from models import plugins, registry
from models.describe import NETWORKS_CSV, describe
from models.registry import names_of

NETWORK = """
from dataclasses import dataclass

import torch
from torch import nn

from models import Features, Network, Request, register


@dataclass
class Plan:
    channels: int


class Small(Network):
    family = "small"

    def __init__(self, request: Request, plan: Plan) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, request.channels(plan.channels), 3, padding=1)
        self.classifier = nn.Linear(request.channels(plan.channels), request.num_classes)

    def forward(self, images):
        preact = self.conv(images)
        last = torch.relu(preact)
        embedding = last.mean((2, 3))
        return Features(self.classifier(embedding), embedding, last, (images, last), (images, preact))


@register("small-{name}")
def build(request: Request) -> Small:
    return Small(request, Plan(8))
"""


@pytest.fixture
def use(monkeypatch, tmp_path):
    """``use(name)`` makes a file known; what it registers is forgotten afterwards."""
    models.names()
    monkeypatch.setattr(registry, "registered", dict(registry.registered))

    def make(name, text=NETWORK):
        path = tmp_path / f"{name}.py"
        path.write_text(text.replace("{name}", name), encoding="utf-8")
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        return path

    return make


def test_a_network_of_a_file_is_created_like_any_other(use):
    path = use("one")
    assert "small-one" in models.names()
    network = models.create("small-one", num_classes=5, in_size=8, width=0.5)
    assert (network.name, network.shapes().map) == ("small-one", (4, 8, 8))
    assert names_of(path) == ["small-one"]


def test_the_csv_names_the_networks_of_the_project_and_those_of_a_file_are_asked_for(use):
    path = use("two")
    assert names_of(NETWORKS_CSV.parent) == [row["name"] for row in csv.DictReader(NETWORKS_CSV.open(encoding="utf-8"))]
    rows = list(csv.DictReader(describe(path).splitlines()))
    assert [(row["name"], row["family"], row["params"], row["feats"]) for row in rows] == [
        ("small-two", "small", str(8 * 28 + 900), "3x32x32 8x32x32")
    ]


def test_a_file_without_networks_is_not_run(use):
    use("three", "raise RuntimeError('run')\n")
    assert "wrn-16-2" in models.names()


def test_a_file_that_fails_fails_again(use):
    path = use("four", "import nothing_of_that_name\n")
    for _ in range(2):
        with pytest.raises(ImportError, match="nothing_of_that_name"):
            plugins.load_file(path)


def test_a_file_is_run_once(use):
    path = use("five", "class Only: pass\n")
    assert plugins.load_file(path) is plugins.load_file(path)
