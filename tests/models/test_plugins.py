"""Files outside the project, and the networks that they register."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models import plugins, registry
from models.describe import describe
from models.registry import names_of

ROOT = Path(__file__).parents[2]
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
    monkeypatch.setattr(registry, "_by_name", dict(registry._by_name))  # to forget what the file registers

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
    assert "small-two" not in describe()
    rows = list(csv.DictReader(describe(path).splitlines()))
    assert [(row["name"], row["family"], row["params"], row["feats"]) for row in rows] == [
        ("small-two", "small", str(8 * 28 + 900), "3x32x32 8x32x32")
    ]


def test_a_file_without_networks_is_left_alone(use):
    use("three", "raise RuntimeError('run')\n")
    assert "wrn-16-2" in models.names()


def test_a_file_that_fails_is_not_taken_for_loaded(use):
    path = use("four", "import nothing_of_that_name\n")
    for _ in range(2):
        with pytest.raises(ImportError, match="nothing_of_that_name"):
            plugins.load_file(path)


def test_a_file_is_run_once(use):
    path = use("five", "class Only: pass\n")
    assert plugins.load_file(path) is plugins.load_file(path)


def test_the_command_prints_the_lines_of_one_file_and_leaves_the_csv_alone(use):
    path = use("six")
    before = (ROOT / "models" / "networks.csv").read_bytes()
    command = [sys.executable, "-m", "models.describe", str(path)]
    environment = {**os.environ, plugins.VARIABLE: str(path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    assert done.stdout == describe(path)
    assert (ROOT / "models" / "networks.csv").read_bytes() == before
