"""Times of some work."""

from types import SimpleNamespace

import pytest
import torch

from benchmark.bench import timing

CPU = torch.device("cpu")


@pytest.fixture
def work(monkeypatch):
    """Takes two seconds of a clock that stands still otherwise; counts how often it was done."""
    now = []
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: 2.0 * len(now)))

    def do():
        now.append(None)
        do.times = len(now)

    return do


def test_work_is_done_once_at_least(work):
    assert timing.mean(work, 0.0, CPU) == 2.0
    assert work.times == 1


def test_work_is_done_until_the_time_is_over(work):
    assert timing.mean(work, 5.0, CPU) == 2.0
    assert work.times == 3
