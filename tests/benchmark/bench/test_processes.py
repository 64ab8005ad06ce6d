"""Objects in processes of their own."""

import os
import signal

import pytest

from benchmark.bench.processes import Process, together
from benchmark.errors import UserError


@pytest.fixture
def start():
    started = []

    def start(maker, *arguments, threads=None):
        started.append(Process("the list", maker, arguments, threads))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_methods_are_called_in_the_other_process_and_answers_come_in_order(start):
    lists = [start("builtins:list", letters) for letters in ("ab", "ba")]
    for process in lists:
        process.answer()
    assert together(lists, "index", "b") == [1, 0]
    assert lists[0].call("count", "c") == 0


def test_what_a_call_raises_is_told_and_the_process_goes_on(start):
    process = start("builtins:list", "ab")
    process.answer()
    with pytest.raises(RuntimeError, match="ValueError"):
        process.call("index", "c")
    assert process.call("index", "a") == 0


def test_what_cannot_be_made_is_told(start):
    with pytest.raises(RuntimeError, match="TypeError"):
        start("builtins:list", 1).answer()


def test_a_process_that_dies_is_named(start):
    process = start("builtins:list", "ab")
    process.answer()
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="the list: its process died"):
        process.call("index", "a")
