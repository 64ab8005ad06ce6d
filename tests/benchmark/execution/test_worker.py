"""A worker's side of the connection, without a process."""

import multiprocessing
from dataclasses import replace

import pytest
import torch

from benchmark import training
from benchmark.errors import UserError
from benchmark.execution.worker import CohortTask, _attempt, _claim, _trainer
from benchmark.runs.record import Provenance
from benchmark.training.steps import CaptureError
from tests.benchmark.made_up import parts


@pytest.fixture
def ends():
    ours, theirs = multiprocessing.Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_claims_only_what_is_neither_claimed_nor_settled(make_job, store, config):
    free, taken, failed, not_applicable, done, lost = (make_job(lr) for lr in (0.06, 0.05, 0.04, 0.03, 0.02, 0.01))
    store.write(failed, "failed", {}, failure={"reason": "diverged"})
    store.write(not_applicable, "not_applicable", {}, failure={"reason": "unequal channels"})
    for job in (done, lost):
        store.write(job, "done", {}, **parts(job.kind))
    store.weights_path(done).parent.mkdir(parents=True)
    store.weights_path(done).write_bytes(b"weights")
    elsewhere, events = store.claim(taken), []
    needed = frozenset([done.id, lost.id])
    locks = _claim(CohortTask((free, taken, failed, not_applicable, done, lost), 1.0, needed), config, events.append)
    assert list(locks) == [free, lost]
    assert [(event["event"], event["id"]) for event in events] == [
        ("elsewhere", taken.id),
        ("failed", failed.id),
        ("not_applicable", not_applicable.id),
        ("done", done.id),
    ]
    assert store.claim(free) is None
    assert store.claim(failed) is not None
    elsewhere.release()


def test_what_nobody_needs_the_weights_of_is_settled_by_its_record(make_job, store, config):
    done, events = make_job(), []
    store.write(done, "done", {}, **parts(done.kind))
    assert _claim(CohortTask((done,), 1.0), config, events.append) == {}
    assert [event["event"] for event in events] == ["done"]


def test_only_what_failed_is_retried(make_job, store, config):
    failed, not_applicable = make_job(0.05), make_job(0.04)
    store.write(failed, "failed", {}, failure={"reason": "diverged"})
    store.write(not_applicable, "not_applicable", {}, failure={"reason": "unequal channels"})
    events = []
    assert list(_claim(CohortTask((failed, not_applicable), 1.0), replace(config, retry=True), events.append)) == [
        failed
    ]
    assert [(event["event"], event["id"]) for event in events] == [("not_applicable", not_applicable.id)]


def test_a_record_that_is_to_be_replaced_is_no_reason_to_leave_a_run_alone(make_job, store, config):
    there, replaced, events = make_job(0.05), make_job(0.04), []
    for job, processor in ((there, "here"), (replaced, "elsewhere")):
        store.write(job, "done", {"processor": processor}, **parts(job.kind))
    wanted = replace(config, replaced={job.id: Provenance(processor="elsewhere") for job in (there, replaced)})
    # What another command has replaced since the plan was made is done.
    assert list(_claim(CohortTask((there, replaced), 1.0), wanted, events.append)) == [replaced]
    assert [(event["event"], event["id"]) for event in events] == [("done", there.id)]


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (UserError("no data"), {"event": "user_error", "message": "no data"}),
        (ImportError("libtorch\nis gone"), {"event": "broken", "message": "ImportError: libtorch"}),
    ],
)
def test_errors_become_events(error, event, make_job, store):
    def raise_it(_):
        raise error

    job = make_job()
    assert _attempt(lambda: raise_it, CohortTask((job,), 1.0), store) == event
    assert store.log_path(job).is_file() == (event["event"] == "broken")


def test_word_to_stop_reaches_a_busy_worker(ends, make_job, config):
    ours, theirs = ends
    ours.send(None)
    _trainer(theirs, config, "cpu")(CohortTask((make_job(),), 1.0))
    assert not config.store.record_path(make_job()).exists()
    assert config.store.claim(make_job()) is not None


def test_parent_that_is_gone_stops_a_worker(ends, make_job, config):
    ends[0].close()
    _trainer(ends[1], config, "cpu")(CohortTask((make_job(),), 1.0))
    assert not config.store.record_path(make_job()).exists()


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (torch.AcceleratorError("illegal memory access\nmore"), "device_lost"),
        (torch.OutOfMemoryError("illegal memory access"), "out_of_memory"),
        (MemoryError("illegal memory access"), "out_of_memory"),
        (CaptureError("illegal memory access"), "not_captured"),
    ],
)
def test_what_breaks_the_device_ends_the_process(error, event, ends, make_job, config, monkeypatch):
    def lose(*_):
        raise error

    monkeypatch.setattr(training, "work", lose)
    with pytest.raises(SystemExit):
        _attempt(lambda: _trainer(ends[1], config, "cpu"), CohortTask((make_job(),), 1.0), config.store)
    assert ends[0].recv() == {"event": event, "message": "illegal memory access"}
    assert "illegal memory access" in config.store.log_path(make_job()).read_text(encoding="utf-8")
    assert config.store.claim(make_job()) is not None
