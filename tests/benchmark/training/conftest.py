"""A small teacher, tiny runs that learn from it, and folders to train them in."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.runs.job import Job
from benchmark.runs.names import parse_method
from benchmark.runs.store import Store
from benchmark.training import TrainContext, work
from benchmark.training.data_source import DataSource
from benchmark.training.weights import load_weights, new_network, save_weights
from models import Network

TEACHER = "wrn-16-2"
ELSEWHERE = shutil.ignore_patterns(".shared")
"""A link from a copy of the results to the weights of the original, which copies must not follow."""
SMALL = {
    "epochs": 3,
    "milestones": (2,),
    "train_limit": 96,
    "batch_size": 32,
    "evaluate_every": 1,
    "in_size": 8,
    "width": 0.25,
    "objectives.crd.options.negatives": 40,
    "objectives.ab.stage.epochs": 2,
    "objectives.fsp.stage.epochs": 3,
    "objectives.ft.stage.epochs": 2,
    "objectives.ft.stage.lr": 0.02,
}
COHORT = {
    "kd": ("kd", "wrn-10-2", {}),
    "srrl": ("srrl", "wrn-10-2", {}),
    "kd+srrl": ("kd+srrl", "resnet10-narrow", {"in_size": 16}),
    "crd": ("crd", "wrn-10-2", {}),
    "ofd": ("ofd", "wrn-10-2", {}),
    "at": ("at", "resnet10-narrow", {"in_size": 16}),
    "rkd": ("rkd", "mobilenetv2-cifar", {"in_size": 16, "width": 0.125}),
    "ab": ("ab", "wrn-10-4", {}),
    "ft": ("ft", "wrn-10-4", {}),
    "fsp": ("fsp", "wrn-10-2", {}),
    "simkd": ("simkd", "wrn-10-2", {}),
    "mlkd": ("mlkd", "wrn-10-2", {"epochs": 4}),
    "short": ("kd", "wrn-10-2", {"epochs": 2}),
}
"""Method, student and changes of a cohort's members: random draws, both modes of the teacher, three input sizes, three
lengths, pretraining stages of student and teacher, a wrapped student, a second view."""
STAGED = ("ab", "ft", "fsp")


@dataclass
class Lab:
    """Folders with a trained teacher, in which jobs can be trained."""

    store: Store
    source: DataSource
    events: list[dict[str, Any]] = field(default_factory=list)

    def context(self, stopped: Callable[[], bool] = lambda: False, checkpoint_seconds: float = 1e9) -> TrainContext:
        return TrainContext(self.store, self.source, checkpoint_seconds, 1.0, self.events.append, stopped)

    def train(self, *jobs: Job, **options: Any) -> None:
        work(jobs, self.context(**options))

    def record(self, job: Job) -> dict[str, Any]:
        return json.loads(self.store.record_path(job).read_text(encoding="utf-8"))

    def sha(self, job: Job) -> str:
        """SHA-256 of a job's weights."""
        path = self.store.weights(job)
        assert path is not None
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def outcome(self, job: Job) -> tuple[Any, ...]:
        """All results of a finished run that must not depend on how it was trained."""
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
    with _one_thread():
        yield


@pytest.fixture(scope="session")
def resolver():
    """Recipes of the small scale."""
    return ConfigResolver(load_profile("digits"), SMALL)


@pytest.fixture(scope="session")
def make_job(resolver):
    """Factory of runs: ``make_job("kd", "wrn-10-2", seed=0, epochs=2)``; the teacher is always the same run."""

    def make(method: str, network: str = "wrn-10-2", seed: int = 0, **changes: Any) -> Job:
        job = resolver.run("C100", network, parse_method(method), TeacherChoice("C100", TEACHER), seed)
        return replace(job, recipe=replace(job.recipe, **changes))

    return make


@pytest.fixture(scope="session")
def teacher_job(make_job):
    return make_job("kd").teacher


@pytest.fixture(scope="session")
def cohort_jobs(make_job):
    """The members of one cohort by a short name."""
    return {name: make_job(method, network, **changes) for name, (method, network, changes) in COHORT.items()}


@pytest.fixture(scope="session")
def stages(cohort_jobs):
    """Pretraining stages by their method, all of one cohort."""
    return {name: cohort_jobs[name].stages[0] for name in STAGED}


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    return DataSource(torch.device("cpu"), None, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def with_teacher(tmp_path_factory, source, teacher_job):
    """Folders in which the teacher is trained; to be copied."""
    root = tmp_path_factory.mktemp("teacher")
    with _one_thread():
        _lab(root, source).train(teacher_job)
    return root


@pytest.fixture(scope="session")
def with_stages(tmp_path_factory, with_teacher, source, stages):
    """Folders in which the teacher and pretraining stages are trained; to be copied."""
    root = tmp_path_factory.mktemp("stages") / "lab"
    shutil.copytree(with_teacher, root, ignore=ELSEWHERE)
    with _one_thread():
        _lab(root, source).train(*stages.values())
    shutil.rmtree(root / "results" / "teachers")  # runs put the teacher there by themselves
    return root


@pytest.fixture
def lab(tmp_path, with_stages, source):
    shutil.copytree(with_stages, tmp_path / "lab", ignore=ELSEWHERE)
    return _lab(tmp_path / "lab", source)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, with_stages, source, cohort_jobs):
    """The whole cohort, trained together from beginning to end."""
    root = tmp_path_factory.mktemp("undisturbed") / "lab"
    shutil.copytree(with_stages, root, ignore=ELSEWHERE)
    lab = _lab(root, source)
    with _one_thread():
        lab.train(*cohort_jobs.values(), checkpoint_seconds=0.0)
    return lab


@pytest.fixture
def trained(tmp_path, undisturbed, source):
    """A copy of the folders in which the whole cohort is trained."""
    shutil.copytree(undisturbed.store.results.parent, tmp_path / "trained", ignore=ELSEWHERE)
    return _lab(tmp_path / "trained", source)


def _lab(root: Path, source: DataSource) -> Lab:
    return Lab(Store(root / "results", root / "checkpoints"), source)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def leave_network(lab):
    """Saves the weights of a run that is not trained, with statistics of its own and in half precision."""

    def leave(job: Job) -> Network:
        network = new_network(job, lab.source.device)
        generator = torch.Generator().manual_seed(job.seed + 1)
        for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
            norm.running_mean.uniform_(-0.2, 0.2, generator=generator)
            norm.running_var.uniform_(0.5, 1.5, generator=generator)
        path = lab.store.weights_path(job)
        save_weights(network, path, job)
        load_weights(network, path, job)
        return network.eval()

    return leave


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
