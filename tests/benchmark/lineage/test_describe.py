"""Where a record comes from, in words."""

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.lineage.describe import data_text, origin, own_code
from benchmark.registry import plugins
from benchmark.runs.names import parse_method
from benchmark.runs.record import Data
from tests.benchmark import made_up


def told(**provenance):
    return origin(made_up.record(provenance=provenance))


def test_all_that_a_record_tells():
    facts = {"versions": {"python": "3.11", "torch": "2.9"}, "device": "cpu", "threads": 2, "processor": "some"}
    assert told(revision="c0ffee", dirty=False, finished="2026-01-02T03:04:05Z", **facts) == {
        "code": "revision c0ffee, as committed",
        "versions": "python 3.11, torch 2.9",
        "machine": "cpu, 2 threads, some",
        "finished": "2026-01-02T03:04:05+00:00",
    }


def test_what_a_record_does_not_tell_is_left_out():
    assert told() == {"code": "no revision known"}
    assert told(revision=None, dirty=None, threads=1) == {"code": "no revision known", "machine": "1 thread"}


METHOD = """
from methods import Method


class Mine(Method):
    title = "Mine"
    citation = "unpublished"
    pretrain = "student"
"""


@pytest.fixture
def own_jobs(resolver, own_network, tmp_path, monkeypatch):
    """A run of a network of one's own by a method of one's own, and its first stage."""
    own_network()
    (tmp_path / "drafted.py").write_text(METHOD)
    monkeypatch.setenv(plugins.VARIABLE, f"{plugins.listed()}:{tmp_path / 'drafted.py'}")
    run = resolver().run("C100", "of-mine", parse_method("kd+drafted"), TeacherChoice("C100", "wrn-40-4"), 0)
    return run, run.stages[0]


def test_code_of_ones_own_is_not_said_to_be_committed_alone(own_jobs):
    run, stage = own_jobs
    codes = run.spec["objective"]["terms"]["drafted"]["sha256"], run.spec["code"]["network"]
    words = f"revision c0ffee, as committed, and code of drafts or plug-ins (SHA-256 {codes[0]}, {codes[1]})"
    for job in own_jobs:
        record = made_up.record(job, provenance={"revision": "c0ffee", "dirty": False})
        assert origin(record)["code"] == words
    assert own_code(stage.teacher.spec) == ()


@pytest.mark.parametrize(
    ("official", "words"),
    [
        ({"official": True}, ", the official data"),
        ({"official": False}, ", other data than the official ones"),
        ({}, ""),
    ],
)
def test_data(official, words):
    assert data_text(Data(name="digits", fingerprint="ab", **official)) == f"digits, fingerprint ab{words}"
