"""Times and parts of some work."""

import time

import pytest
import torch

from benchmark.bench import clock
from benchmark.training.parts import BACKWARD, FORWARD, part

CPU = torch.device("cpu")


def test_work_is_done_once_at_least_and_until_the_time_is_over():
    done = []
    assert clock.seconds(lambda: done.append(time.sleep(0.02)), 0.0, CPU) >= 0.02
    assert len(done) == 1
    mean = clock.seconds(lambda: done.append(time.sleep(0.02)), 0.05, CPU)
    assert len(done) >= 3
    assert mean >= 0.02


def test_parts_and_the_rest_sum_to_the_whole():
    def work():
        with part(FORWARD):
            time.sleep(0.04)
        with part(BACKWARD):
            time.sleep(0.02)
        time.sleep(0.03)

    seconds = clock.parts(work, 2, CPU)
    assert seconds[FORWARD] >= 0.08
    assert seconds[BACKWARD] >= 0.04
    assert seconds[clock.REST] >= 0.06
    assert {name for name, value in seconds.items() if value} == {FORWARD, BACKWARD, clock.REST}
    assert sum(seconds.values()) == pytest.approx(0.18, abs=0.1)
