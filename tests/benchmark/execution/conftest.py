"""Tiny runs, folders for them, and an observer that can act on what it is told."""

import json
import os
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver, TeacherChoice
from benchmark.execution.local import LocalExecutor
from benchmark.execution.worker import WorkerConfig
from benchmark.planning.plan import Cohort
from benchmark.registry.catalog import ROOT
from benchmark.runs.objective import parse_method
from benchmark.runs.store import Store
from benchmark.training import TrainContext, work
from benchmark.training.data_source import DataSource

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
    """An observer that remembers, and calls back."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.then: dict[str, Any] = defaultdict(lambda: lambda *_: None)

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        self.then[call[0]](*call[1:])

    def started(self, slot: int, cohort: Cohort) -> None:
        self._note("started", slot, cohort)

    def epoch(self, slot: int, event: dict[str, Any]) -> None:
        self._note("epoch", slot, event)

    def ended(self, job: Any, status: str, message: str) -> None:
        self._note("ended", job, status, message)

    def idle(self, slot: int) -> None:
        self._note("idle", slot)

    def note(self, message: str) -> None:
        self._note("note", message)

    def endings(self) -> dict[str, tuple[str, str]]:
        """Status and message by run."""
        return {call[1].id: call[2:] for call in self.calls if call[0] == "ended"}


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
    def make(workers: int = 1, **changes: Any) -> LocalExecutor:
        return LocalExecutor(replace(config, **changes), ["cpu"] * workers, recorder)

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
