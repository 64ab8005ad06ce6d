from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.config.overrides import load_preset, load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.planning import estimates
from benchmark.registry import plugins
from benchmark.runs.names import parse_method
from benchmark.runs.store import DONE, Store
from tests.benchmark.made_up import PROVENANCE, parts

_OTHER = {
    "name": "C101",
    "dataset": "other",
    "epochs": 7,
    "batch_size": 48,
    "optimizer": "adam",
    "lr": 0.07,
    "milestones": (2, 3),
    "lr_decay": 0.3,
    "momentum": 0.8,
    "beta2": 0.99,
    "delta": 0.05,
    "nesterov": True,
    "weight_decay": 0.001,
    "crop": "resized",
    "crop_padding": 2,
    "crop_size": 24,
    "crop_scale": (0.2, 0.9),
    "resize": 40,
    "flip": 0.25,
    "mean": (0.5, 0.5, 0.4),
    "std": (0.5, 0.5, 0.4),
    "train_limit": 100,
    "holdout": 10,
    "precision": "tf32",
    "evaluate_every": 2,
    "in_size": 24,
    "width": 0.5,
    "top_k": 2,
}
"""Another valid value for every key of a recipe."""


@pytest.fixture(autouse=True)
def _stated_rate(monkeypatch):
    """Estimates do not depend on how fast the machine is that tests."""
    monkeypatch.setattr(estimates, "measured_rate", lambda _threads, _precision: 1e11)


@pytest.fixture
def resolver():
    def make(profile="digits", preset=None, given=None, **changes):
        return ConfigResolver(load_profile(profile), changes, load_preset(preset) if preset else None, given or {})

    return make


@pytest.fixture
def job(resolver):
    """Factory of runs; ``teacher_recipe`` is the run's own unless it is told."""

    def make(method="kd", student="wrn-16-2", teacher="wrn-40-4", seed=0, recipe="C100", teacher_recipe=None, **scale):
        taught = TeacherChoice(teacher_recipe or recipe, teacher)
        return resolver(**scale).run(recipe, student, parse_method(method), taught, seed)

    return make


@pytest.fixture
def kinds(resolver):
    """Factory of a job of every kind, by the kind's name: two that train before a run, and two that look at it."""

    def make(seed=0, method="fsp", **scale):
        made, teacher = resolver(**scale), TeacherChoice("CRD100", "wrn-40-2")
        run = made.run("CRD100", "wrn-16-2", parse_method(method), teacher, seed)
        return {
            "train": run,
            "stage": run.stages[0],
            "evaluate": resolver(given={"wrn-40-2": Weights("ab" * 32, "somewhere")}, **scale).teacher(teacher),
            "probe": made.probe("PROBE-STL10", run),
            "analyse": made.analysis("similarity", run, teacher),
        }

    return make


@pytest.fixture
def other():
    """Makes of a recipe one that differs in a single value."""

    def make(recipe, key):
        values = _OTHER | {"pad_mode": "zero" if recipe.pad_mode == "reflect" else "reflect"}
        changed = replace(recipe, **{key: values[key]})
        assert changed != recipe
        return changed

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", tmp_path / "checkpoints")


@pytest.fixture
def finish(store):
    """Leaves what a finished job leaves: a record and weights."""

    def make(job, status=DONE, weights=b"weights", top1=None, **given):
        if top1 is not None:
            given["metrics"] = {"last": {"top1": top1}}
        store.write(job, status, PROVENANCE, **parts(job.kind, status, **given))
        path = store.weights_path(job)
        path.unlink(missing_ok=True)
        if weights is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(weights)

    return make


_NETWORK = """
from models import Request, create, register


@register("of-mine")
def build(request: Request):
    return create("wrn-10-1", request.num_classes, request.in_size, request.width)
"""


@pytest.fixture
def own_network(tmp_path, monkeypatch):
    """Factory of files with a network of one's own, ``of-mine``, each instead of the one before."""
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path))

    def make(folder="own", more=""):
        path = tmp_path / folder / "mine.py"
        path.parent.mkdir()
        path.write_text(_NETWORK + more)
        monkeypatch.setenv(plugins.VARIABLE, str(path))

    return make
