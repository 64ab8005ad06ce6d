"""Times and parts of some work."""

from types import SimpleNamespace

import pytest
import torch

from benchmark.bench import clock
from benchmark.training.parts import BACKWARD, FORWARD, part

CPU = torch.device("cpu")


@pytest.fixture
def work(monkeypatch):
    """Takes two seconds of a clock that stands still otherwise; counts how often it was done."""
    now = []
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: 2.0 * len(now)))

    def do():
        now.append(None)
        do.times = len(now)

    return do


def test_work_is_done_once_at_least(work):
    assert clock.seconds(work, 0.0, CPU) == 2.0
    assert work.times == 1


def test_work_is_done_until_the_time_is_over(work):
    assert clock.seconds(work, 5.0, CPU) == 2.0
    assert work.times == 3


def test_parts_and_the_rest_sum_to_the_whole(monkeypatch):
    def once(work, _device):
        work()
        return 1e6  # whatever the profiler finds, the rest is most of it

    def work():
        with part(FORWARD):
            torch.ones(3)
        with part(BACKWARD):
            torch.ones(3)
        torch.ones(3)

    monkeypatch.setattr(clock, "once", once)
    seconds = clock.parts(work, 2, CPU)
    assert {name for name, value in seconds.items() if value} == {FORWARD, BACKWARD, clock.REST}
    assert sum(seconds.values()) == pytest.approx(2e6)
