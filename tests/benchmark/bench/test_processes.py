"""Objects in processes of their own."""

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import pytest

from benchmark.bench.processes import Remote, call_together


@pytest.fixture
def start():
    started = []

    def start(maker, *arguments, threads=None):
        started.append(Remote(maker, arguments, threads))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_methods_are_called_in_the_other_process_and_answers_come_in_order(start):
    lists = [start("builtins:list", letters) for letters in ("ab", "ba")]
    for process in lists:
        process.ready()
    assert call_together(lists, "index", "b") == [1, 0]
    assert lists[0].call("count", "c") == 0


def test_what_a_call_raises_is_told_and_the_process_goes_on(start):
    process = start("builtins:list", "ab")
    process.ready()
    with pytest.raises(ValueError, match="not in list"):
        process.call("index", "c")
    assert process.call("index", "a") == 0


def test_what_cannot_be_made_is_told(start):
    with pytest.raises(TypeError, match="not iterable"):
        start("builtins:list", 1).ready()


class Mortal:
    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_ends_the_call(start):
    process = start(f"{__name__}:Mortal")
    with pytest.raises(BrokenProcessPool):
        process.call("die")
