from pathlib import Path

import pytest

from benchmark.objectives import parse_method
from benchmark.recipes import Book, load_profile
from benchmark.store import DONE, Store


@pytest.fixture
def book():
    return lambda profile="digits", **changes: Book(load_profile(profile), changes)


@pytest.fixture
def job(book):
    def make(method="kd", student="wrn-16-2", teacher="wrn-40-4", seed=0, profile="digits", **changes):
        return book(profile, **changes).job("C100", student, parse_method(method), teacher, seed)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", tmp_path / "checkpoints")


@pytest.fixture
def finish(store):
    """Leaves what a finished run leaves: a record and weights."""

    def make(job, status=DONE, weights=b"weights", **parts):
        store.write(job, status, {"device": "cpu", "threads": 1}, **{"metrics": {"last": {"top1": 97.0}}, **parts})
        if weights is not None:
            path = store.weights_path(job)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(weights)

    return make
