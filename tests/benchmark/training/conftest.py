"""A small teacher, tiny runs under it, and folders to train them in."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from benchmark import recipes
from benchmark.jobs import Job
from benchmark.objectives import parse_method
from benchmark.store import Store
from benchmark.training.cohort import Setting, train
from benchmark.training.data import Source

TEACHER = "wrn-16-2"
SMALL = {
    "epochs": 3,
    "milestones": (2,),
    "train_limit": 96,
    "batch_size": 32,
    "evaluate_every": 1,
    "in_size": 8,
    "width": 0.25,
    "objectives.crd.options.negatives": 40,
}
COMPANY = {
    "kd": ("kd", "wrn-10-2", {}),
    "srrl": ("srrl", "wrn-10-2", {}),
    "kd+srrl": ("kd+srrl", "resnet10-narrow", {"in_size": 16}),
    "crd": ("crd", "wrn-10-2", {}),
    "ofd": ("ofd", "wrn-10-2", {}),
    "at": ("at", "resnet10-narrow", {"in_size": 16}),
    "rkd": ("rkd", "mobilenetv2-cifar", {"in_size": 16, "width": 0.125}),
    "short": ("kd", "wrn-10-1", {"epochs": 2}),
}
"""Method, student and changes of a cohort's members: own draws, both modes of the teacher, three sizes, two lengths."""


@dataclass
class Lab:
    """Folders with a trained teacher, and what it takes to train in them."""

    store: Store
    source: Source
    events: list[dict[str, Any]] = field(default_factory=list)

    def setting(self, stopped: Callable[[], bool] = lambda: False, checkpoint_seconds: float = 1e9) -> Setting:
        return Setting(self.store, self.source, checkpoint_seconds, 1.0, self.events.append, stopped)

    def train(self, *jobs: Job, **options: Any) -> None:
        train(jobs, self.setting(**options))

    def record(self, job: Job) -> dict[str, Any]:
        return json.loads(self.store.record_path(job).read_text(encoding="utf-8"))

    def outcome(self, job: Job) -> tuple[Any, ...]:
        """Everything about a finished run that must not depend on how it was trained."""
        record = self.record(job)
        return (
            record["status"],
            record["metrics"],
            record["curves"],
            record["provenance"]["teacher_weights"],
            self.store.weights_path(job).read_bytes(),
        )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_job():
    """Factory of runs: ``make_job("kd", "wrn-10-2", seed=0, epochs=2)``; the teacher is always the same run."""
    book = recipes.Book(recipes.load_profile("digits"), SMALL)

    def make(method: str, network: str = "wrn-10-2", seed: int = 0, **changes: Any) -> Job:
        job = book.job("C100", network, parse_method(method), TEACHER, seed)
        return replace(job, recipe=replace(job.recipe, **changes))

    return make


@pytest.fixture(scope="session")
def teacher_job(make_job):
    return make_job("kd").teacher


@pytest.fixture(scope="session")
def company(make_job):
    """The members of one cohort by a short name."""
    return {name: make_job(method, network, **changes) for name, (method, network, changes) in COMPANY.items()}


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    return Source(torch.device("cpu"), None, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def with_teacher(tmp_path_factory, source, teacher_job):
    """Folders in which the teacher is trained; to be copied."""
    root = tmp_path_factory.mktemp("teacher")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    Lab(Store(root / "results", root / "checkpoints"), source).train(teacher_job)
    torch.set_num_threads(before)
    return root


@pytest.fixture
def lab(tmp_path, with_teacher, source):
    shutil.copytree(with_teacher, tmp_path / "lab")
    return Lab(Store(tmp_path / "lab" / "results", tmp_path / "lab" / "checkpoints"), source)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, with_teacher, source, company):
    """The whole company, trained together from beginning to end."""
    root = tmp_path_factory.mktemp("undisturbed") / "lab"
    shutil.copytree(with_teacher, root)
    lab = Lab(Store(root / "results", root / "checkpoints"), source)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    lab.train(*company.values(), checkpoint_seconds=0.0)
    torch.set_num_threads(before)
    return lab


@pytest.fixture
def stop_after():
    """Factory of ``stopped``: true once so many batches have been asked for."""

    def make(batches: int) -> Callable[[], bool]:
        asked = 0

        def stopped() -> bool:
            nonlocal asked
            asked += 1
            return asked > batches

        return stopped

    return make
