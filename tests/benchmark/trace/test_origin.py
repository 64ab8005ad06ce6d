"""Where a record comes from, in words."""

import pytest

from benchmark.trace.origin import data_text, origin


def told(**provenance):
    return origin({"provenance": provenance})


def test_all_that_a_record_tells():
    facts = {"versions": {"python": "3.11", "torch": "2.9"}, "device": "cpu", "threads": 2, "processor": "some"}
    assert told(revision="c0ffee", dirty=False, finished="2026-01-02", **facts) == {
        "code": "revision c0ffee, as committed",
        "versions": "python 3.11, torch 2.9",
        "machine": "cpu, 2 threads, some",
        "finished": "2026-01-02",
    }


def test_what_a_record_does_not_tell_is_left_out():
    assert told() == {"code": "no revision known"}
    assert told(revision=None, dirty=None, threads=1) == {"code": "no revision known", "machine": "1 thread"}


@pytest.mark.parametrize(
    ("dirty", "words"), [(True, "with changes that were not committed"), (None, "whether changed is unknown")]
)
def test_code(dirty, words):
    assert told(revision="c0ffee", dirty=dirty)["code"] == f"revision c0ffee, {words}"


@pytest.mark.parametrize(
    ("official", "words"),
    [
        ({"official": True}, ", the official data"),
        ({"official": False}, ", other data than the official ones"),
        ({}, ""),
    ],
)
def test_data(official, words):
    assert data_text({"name": "digits", "fingerprint": "ab", **official}) == f"digits, fingerprint ab{words}"
