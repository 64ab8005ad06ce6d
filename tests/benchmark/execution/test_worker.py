"""A worker's main function, called in this process."""

import multiprocessing
import signal
from dataclasses import replace

import pytest
import torch

from benchmark import training
from benchmark.errors import UserError
from benchmark.execution.worker import CohortTask, serve
from benchmark.runs.record import Provenance
from benchmark.training.failures import StoppedError
from benchmark.training.steps import CaptureError
from tests.benchmark.made_up import parts


class Worker:
    """A worker that receives one cohort; its jobs are collected instead of trained.

    Attributes:
        worked: jobs that the worker was about to train.
        error: raised in place of training.
        parent: what the parent does during training; None if it has sent the message to stop before.
        stopped: whether training had to stop, before and after the parent did that.
    """

    def __init__(self, config):
        self.worked, self.stopped, self.error, self.parent = [], [], None, None
        self._config = config
        self._ours, self._theirs = multiprocessing.Pipe()

    def work(self, jobs, context):
        self.worked += jobs
        self.stopped.append(context.stopped())
        if self.parent:
            self.parent(self._ours)
        self.stopped.append(context.stopped())
        if self.error:
            raise self.error

    def run(self, *jobs, needed=(), **changes):
        """The events about a cohort."""
        self._ours.send(CohortTask(jobs, 1.0, frozenset(job.id for job in needed)))
        if not self.parent:
            self._ours.send(None)
        try:
            serve(self._theirs, replace(self._config, **changes), "cpu")
        finally:
            self._theirs.close()
        return list(self._events())

    def _events(self):
        try:
            while not self._ours.closed:
                yield self._ours.recv()
        except (EOFError, ConnectionResetError):
            self._ours.close()


@pytest.fixture
def worker(config, monkeypatch):
    made = Worker(config)
    monkeypatch.setattr(training, "work", made.work)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # restored afterwards, whatever the worker sets
    handler, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    yield made
    signal.signal(signal.SIGINT, handler)
    torch.set_num_threads(threads)


def _brief(events):
    return [(event["event"], event.get("id")) for event in events]


def test_trains_only_jobs_that_are_neither_claimed_nor_settled(worker, make_job, store):
    free, taken, failed, not_applicable, done, lost = jobs = [make_job(lr / 100) for lr in range(1, 7)]
    store.write(failed, "failed", {}, failure={"reason": "diverged"})
    store.write(not_applicable, "not_applicable", {}, failure={"reason": "unequal channels"})
    for job in (done, lost):
        store.write(job, "done", {}, **parts(job.kind))
    store.weights_path(done).parent.mkdir(parents=True)
    store.weights_path(done).write_bytes(b"weights")
    lock, claimed = store.claim(taken), []
    worker.parent = lambda ours: (claimed.extend(job for job in jobs if _is_claimed(store, job)), ours.send(None))
    assert _brief(worker.run(*jobs, needed=(done, lost))) == [
        ("elsewhere", taken.id),
        ("failed", failed.id),
        ("not_applicable", not_applicable.id),
        ("done", done.id),
        ("idle", None),
    ]
    assert worker.worked == [free, lost]
    assert claimed == [free, taken, lost]
    lock.release()
    assert not any(_is_claimed(store, job) for job in jobs)


def _is_claimed(store, job):
    if (lock := store.claim(job)) is None:
        return True
    lock.release()
    return False


def test_a_job_is_trained_although_a_record_exists_that_is_to_be_replaced(worker, make_job, store):
    there, replaced = make_job(0.05), make_job(0.04)
    for job, processor in ((there, "here"), (replaced, "elsewhere")):
        store.write(job, "done", {"processor": processor}, **parts(job.kind))
    wanted = {job.id: Provenance(processor="elsewhere") for job in (there, replaced)}
    # A record that another command has replaced since the plan was made counts.
    assert _brief(worker.run(there, replaced, replaced=wanted))[0] == ("done", there.id)
    assert worker.worked == [replaced]


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (UserError("no data"), {"event": "user_error", "message": "no data"}),
        (ImportError("libtorch\nis gone"), {"event": "broken", "message": "ImportError: libtorch"}),
        (StoppedError(), {"event": "idle"}),
    ],
)
def test_errors_become_events(error, event, worker, make_job, store):
    worker.error = error
    assert worker.run(make_job()) == [event]
    assert store.log_path(make_job()).is_file() == (event["event"] == "broken")


@pytest.mark.parametrize("parent", [lambda ours: ours.send(None), lambda ours: ours.close()], ids=["stops", "dies"])
def test_a_busy_worker_stops_with_its_parent(worker, make_job, store, parent):
    worker.parent, worker.error = parent, StoppedError()
    worker.run(make_job())
    assert worker.stopped == [False, True]
    assert not _is_claimed(store, make_job())


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (torch.AcceleratorError("illegal memory access\nmore"), "device_lost"),
        (torch.OutOfMemoryError("illegal memory access"), "out_of_memory"),
        (MemoryError("illegal memory access"), "out_of_memory"),
        (CaptureError("illegal memory access"), "not_captured"),
    ],
)
def test_errors_of_device_or_memory_end_the_process(error, event, worker, make_job, store):
    worker.error, events = error, []
    worker.parent = events.append
    with pytest.raises(SystemExit):
        worker.run(make_job())
    [ours] = events
    assert ours.recv() == {"event": event, "message": "illegal memory access"}
    assert "illegal memory access" in store.log_path(make_job()).read_text(encoding="utf-8")
    assert not _is_claimed(store, make_job())
