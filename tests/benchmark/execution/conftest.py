"""Tiny runs, folders for them, workers with a script, and an observer with callbacks."""

import json
import multiprocessing
import os
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.execution.local import LocalExecutor
from benchmark.execution.worker import WorkerConfig
from benchmark.registry.catalog import ROOT
from benchmark.runs.names import parse_method
from benchmark.runs.store import Store
from benchmark.training import TrainContext, work
from benchmark.training.data_source import DataSource
from tests.benchmark.execution import scripted

SMALL = {"epochs": 6, "train_limit": 64, "batch_size": 32, "evaluate_every": 10, "in_size": 8, "width": 0.25}


@pytest.fixture
def small():
    """Recipes of the smallest scale."""
    return ConfigResolver(load_profile("digits"), SMALL)


@pytest.fixture
def make_job(small):
    """Factory of runs of a small network, told apart by their learning rates."""

    def make(lr: float = 0.05, method: str = "student", teacher: str | None = None, network: str = "wrn-10-2"):
        taught = TeacherChoice("C100", teacher) if teacher else None
        job = small.run("C100", network, parse_method(method), taught, 0)
        return replace(job, recipe=replace(job.recipe, lr=lr))

    return make


class Recorder:
    """An observer that records all calls and runs a callback after each.

    Attributes:
        calls: name and arguments of every call.
        then: callbacks by the name of the call.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.then: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> None:
            self.calls.append((name, *arguments))
            self.then.get(name, lambda *_: None)(*arguments)

        return call

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Arguments of all calls of this name."""
        return [call[1:] for call in self.calls if call[0] == name]

    def cohorts(self) -> list[tuple[Any, ...]]:
        """Jobs of the cohorts in the order in which they were started."""
        return [cohort.runs for _, cohort in self.named("started")]

    def endings(self) -> dict[str, tuple[str, str]]:
        """Status and message by job id."""
        return {job.id: (status, message) for job, status, message in self.named("ended")}


def process(slot: int) -> Any:
    """The running process of a worker."""
    [found] = [process for process in multiprocessing.active_children() if process.name == f"worker-{slot}"]
    return found


def kill(slot: int) -> None:
    """Kill a worker and wait for its end."""
    worker = process(slot)
    worker.kill()
    worker.join()


@pytest.fixture
def pause(tmp_path, monkeypatch):
    """A file that stops the runs of the processes to come, see ``tests/pausing``."""
    path = tmp_path / "pause"
    monkeypatch.setenv("PAUSE", str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "tests/pausing"), str(ROOT)]))
    return path


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "checkpoints")


@pytest.fixture
def config(store, tmp_path):
    return WorkerConfig(store, None, tmp_path, threads=1, checkpoint_seconds=0.0, retry=False)


@pytest.fixture
def make_executor(config, recorder):
    """Factory of executors; with ``faults``, their workers train nothing, see `scripted.serve`."""

    def make(workers: int = 1, faults: dict[str, str] | None = None, **changes: Any) -> LocalExecutor:
        serve = {} if faults is None else {"serve": partial(scripted.serve, faults)}
        return LocalExecutor(replace(config, **changes), ["cpu"] * workers, recorder, **serve)

    return make


@pytest.fixture
def train_here(tmp_path):
    """Trains runs in this process into a store."""
    source = DataSource(torch.device("cpu"), None, tmp_path)

    def run(store: Store, *jobs: Any) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        work(jobs, TrainContext(store, source, 1e9, 1.0, lambda _: None))
        torch.set_num_threads(before)

    return run


@pytest.fixture
def outcome():
    """What a run has come to: status, metrics and weights."""

    def read(store: Store, job: Any) -> tuple[Any, ...]:
        record = json.loads(store.record_path(job).read_text(encoding="utf-8"))
        return record["status"], record["metrics"], store.weights_path(job).read_bytes()

    return read
