"""The step of a whole cohort: its order and streams, and that replayed steps train the same as eager ones."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import methods.kd
from benchmark.training import work
from benchmark.training.capture import CAPTURE_DEVICES
from benchmark.training.cohort import CohortTraining
from benchmark.training.context import TrainContext
from benchmark.training.cuda_streams import Streams
from benchmark.training.data_source import DataSource
from benchmark.training.replay import OperationLog, gradients_as_logged
from benchmark.training.shared_state import SharedState
from benchmark.training.steps import WARMUP_STEPS, CaptureError, EagerStep, GraphStep, max_parallel_streams
from benchmark.training.teacher import WEAK, TeacherFeatures
from methods import Batch

UNEVEN = 80  # training images: two batches of 32 and one of 16


def notes(lab):
    return [event["message"] for event in lab.events if event["event"] == "note"]


@pytest.fixture
def logs():
    """The operation logs that captured steps, in order."""
    return []


@pytest.fixture
def both(lab, logs, monkeypatch):
    """Trains jobs eagerly, then captured; returns the outcomes of either.

    Eager jobs train on this CPU as usual, unless ``rate_on_device``: Adam rounds a learning rate that is a tensor
    differently.
    """

    def device(place):
        logs.append(OperationLog(place))
        return logs[-1]

    def train(*jobs, rate_on_device=False):
        outcomes = []
        for cuda_graphs in (False, True):
            logs.clear()
            with monkeypatch.context() as patch:
                if cuda_graphs or rate_on_device:
                    patch.setitem(CAPTURE_DEVICES, "cpu", device)
                lab.events.clear()
                with gradients_as_logged() if rate_on_device else nullcontext():
                    work(jobs, replace(lab.context(), cuda_graphs=cuda_graphs))
            outcomes.append([lab.outcome(job) for job in jobs])
            for job in jobs:
                lab.store.record_path(job).unlink()
        return outcomes

    return train


@pytest.fixture
def uneven(make_job):
    """Jobs with a smaller last batch, one of which ends an epoch before the other two."""
    changes = {"train_limit": UNEVEN, "milestones": (1,)}
    return [
        make_job("crd", **changes),
        make_job("ofd", epochs=2, **changes),
        make_job("at", "resnet10-narrow", in_size=16, **changes),
    ]


def test_replayed_steps_train_what_eager_ones_train(both, lab, logs, uneven):
    eager, replayed = both(*uneven)
    assert replayed == eager
    assert not notes(lab)
    [log] = logs
    # Three epochs of three steps. The first warms up; both batch sizes are captured in the second, and again once a
    # member has left.
    assert log.replayed == 9 - WARMUP_STEPS
    assert log.captured == 4


ADAM = {"optimizer": "adam", "lr": 0.002, "beta2": 0.999, "weight_decay": 0.0}


@pytest.mark.parametrize(("precision", "optimizer"), [("bf16", ADAM), ("fp16", {"nesterov": True})])
def test_every_method_optimiser_and_precision_is_replayed(precision, optimizer, both, lab, make_job):
    """Three epochs with a drop of the rate, a smaller last batch and a member that leaves.

    SGD in float32 is covered by ``test_step_check``. Batches are small, since a convolution in half precision takes 60
    times as long as another on a CPU.
    """
    few = {"train_limit": 10, "batch_size": 4, "evaluate_every": 3}
    changes = {**few, "milestones": (1,), "precision": precision, **optimizer}
    jobs = [make_job(name, **changes) for name in methods.names()]
    jobs += [make_job("srrl[layers=conv2+last]", **changes), make_job("kd", epochs=2, **changes)]
    jobs = [replace(job, stages=()) for job in jobs if job.applies]
    cohorts = {}
    for job in jobs:
        cohorts.setdefault(job.cohort_key, []).append(job)
    lab.train(*(each[0].teacher for each in cohorts.values() if each[0].teacher))
    for members in cohorts.values():
        eager, replayed = both(*members, rate_on_device=True)
        for job, one, other in zip(members, eager, replayed, strict=True):
            assert one == other, job
        assert {outcome[0] for outcome in eager} == {"done"}
        assert not notes(lab)


@pytest.fixture
def waiting(monkeypatch):
    """Lets KD read a value on the host in every step; further parts of its loss may be added."""
    forward = methods.kd.KD.forward

    def patch(more=lambda *_: {}):
        def read(self, student, teacher, batch):
            [loss] = forward(self, student, teacher, batch).values()
            return {"kd": loss * (1 + 0 * loss.item()), **more(student, teacher)}

        monkeypatch.setattr(methods.kd.KD, "forward", read)

    return patch


def test_members_that_wait_for_the_device_run_eagerly_and_are_named(both, lab, logs, make_job, waiting):
    waiting()
    kd = make_job("kd", train_limit=UNEVEN)
    eager, replayed = both(make_job("crd", train_limit=UNEVEN, milestones=(1,)), kd)
    assert eager == replayed
    [said] = notes(lab)
    assert "wrn-10-2 kd seed 0 runs eagerly, not as a CUDA graph: it waits for the device: _local" in said
    assert [log.captured for log in logs] == [2]
    eager, replayed = both(kd)
    assert eager == replayed
    assert [log.captured for log in logs] == [0]


def test_an_eager_member_sees_the_teacher_of_every_batch(both, uneven, make_job, waiting, monkeypatch):
    """A planted fault: tensors cached from the teacher's features of an earlier batch are used again."""
    waiting(
        lambda student, teacher: {"map": (student.map.mean() - teacher.cached(torch.neg, teacher.map).mean()).abs()}
    )
    jobs = [uneven[0], make_job("kd", train_limit=UNEVEN)]
    eager, replayed = both(*jobs)
    assert eager == replayed
    monkeypatch.setattr(TeacherFeatures, "with_empty_cache", lambda self, _: self)
    eager, replayed = both(*jobs)
    assert eager[0] == replayed[0]
    assert eager[1] != replayed[1]


def refuse(*_):
    raise RuntimeError("operation not permitted when stream is capturing\nmore")


def run_out(*_):
    try:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    finally:
        raise RuntimeError("the capture was invalidated")


@pytest.mark.parametrize(
    ("capture", "error", "says"),
    [
        (refuse, CaptureError, r"^RuntimeError: operation not permitted when stream is capturing$"),
        (run_out, torch.OutOfMemoryError, r"Tried to allocate 2.00 GiB"),
    ],
)
def test_a_failing_capture_is_no_jobs_failure(capture, error, says, lab, uneven, monkeypatch):
    monkeypatch.setattr(OperationLog, "capture", capture)
    monkeypatch.setitem(CAPTURE_DEVICES, "cpu", OperationLog)
    with pytest.raises(error, match=says):
        lab.train(*uneven)
    assert not any(lab.store.record_path(job).exists() for job in uneven)


class LoggedStreams(Streams):
    """Notes what is queued where."""

    def __init__(self):
        self.log = []

    def limit(self, streams):
        self.log.append(f"limit {streams}")

    @contextmanager
    def fork_join(self, count):
        self.log.append(f"fork {count}")
        yield
        self.log.append("join")

    @contextmanager
    def stream(self, index):
        self.log.append(f"stream {index}")
        yield
        self.log.append(f"end {index}")

    @contextmanager
    def main_stream(self):
        self.log.append("main")
        yield


class LoggedTeacher:
    def __init__(self, log):
        self.log = log
        self.network = SimpleNamespace(in_size=8)
        self.snapshot = SimpleNamespace(changed=lambda **_: None)

    def forward(self, _images, _writes, *, train_mode):
        self.log.append(f"teacher {'train' if train_mode else 'eval'}")
        return object()


class LoggedMember(SimpleNamespace):
    """Can be a key, as members are."""

    __hash__ = object.__hash__


GRADIENT_BYTES = 2


def logged_member(log, name, modes=(False,), in_size=16):
    def step(_batch, shared):
        shared.images(in_size)
        log.append(f"{name} forward")
        for mode in modes:
            shared.teacher(train_mode=mode)
        log.append(f"{name} loss")

    return LoggedMember(
        job=SimpleNamespace(seed=0, name=name),
        network=SimpleNamespace(in_size=in_size),
        teacher_passes=frozenset((mode, WEAK) for mode in modes),
        step=step,
        timed=nullcontext,
        epoch=0,
        generator=torch.Generator(),
        gradient_bytes=GRADIENT_BYTES,
    )


def zeros(size=2):
    return Batch(torch.zeros(size, 3, 8, 8), torch.zeros(size), torch.zeros(size), torch.zeros(()), None)


def logged_step(streams):
    state = SharedState(LoggedTeacher(streams.log), torch.zeros(2), dict)
    return EagerStep(state, streams, lambda _job: nullcontext())


def test_streams_fork_before_the_teachers_forward_pass_for_which_students_wait_before_their_losses():
    streams = LoggedStreams()
    members = [logged_member(streams.log, "first"), logged_member(streams.log, "second", [True, False])]
    logged_step(streams)(zeros(), 0, members)
    # Every wait is a use of the main stream: none before a forward pass, though images are resized for the members.
    assert streams.log == [
        *("fork 2", "main", "teacher eval", "main", "teacher train"),
        *("stream 0", "first forward", "main", "first loss", "end 0"),
        *("stream 1", "second forward", "main", "main", "second loss", "end 1", "join"),
    ]


@pytest.mark.parametrize(
    ("members", "free", "streams"),
    [([], 10, 1), ([5], 10, 1), ([5, 3, 1], 11, 3), ([5, 3, 1], 9, 2), ([1, 3, 5], 8, 1), ([50, 30], 10, 1)],
)
def test_streams_take_no_more_than_as_many_of_the_largest_members(members, free, streams):
    assert max_parallel_streams(members, free) == streams


class MeasuredDevice(OperationLog):
    """A device on which members take the memory that a test says."""

    def __init__(self, free, *taken):
        super().__init__()
        self.free = free
        self.taken = list(taken)
        self.kept = 0
        self.dropped = []

    @contextmanager
    def peak_memory(self):
        yield [self.taken.pop(0)]

    def free_bytes(self):
        return self.free

    def capture(self, work, generators):
        del work, generators
        self.kept += 1
        return lambda: None

    def drop_graphs(self):
        self.dropped.append(self.kept)
        self.kept = 0


TEACHER_BYTES = 7


@pytest.mark.parametrize(
    ("capture", "free", "limit"),
    # Three streams take 60 of at most nine tenths, two take 50; the teacher 7, gradients 6 where steps are captured.
    [(True, 80, 3), (True, 79, 2), (True, 69, 2), (True, 68, 1), (False, 74, 3), (False, 73, 2), (False, 10, 1)],
)
def test_members_warm_up_on_one_stream_and_share_as_many_as_fit(free, limit, capture):
    streams = LoggedStreams()
    members = [logged_member(streams.log, name) for name in ("a", "b", "c")]
    # In its first steps a member may take more than ever again: what it takes in the last of them counts.
    device = MeasuredDevice(free, *(99, 99, 99, 99), *(9, 5, 99, 5), *(TEACHER_BYTES, 10, 20, 30))
    step = GraphStep(logged_step(streams), device, pytest.fail, capture=capture)
    for position in range(WARMUP_STEPS + 2):
        step(zeros(), position, members)
    assert [entry for entry in streams.log if entry.startswith("limit")] == [*["limit 1"] * 4, f"limit {limit}"]


def test_a_size_of_batch_is_captured_only_after_an_eager_step_of_that_size():
    streams = LoggedStreams()
    member, device = logged_member(streams.log, "a"), MeasuredDevice(1000, *[1] * 12)
    step = GraphStep(logged_step(streams), device, pytest.fail)
    stepped = []
    for position, batch in enumerate([zeros()] * 4 + [zeros(size=1)] * 2):
        before = streams.log.count("a loss")
        step(batch, position, [member])
        stepped.append(streams.log.count("a loss") - before)
    # Eager until warm, then replayed, which runs no Python; the smaller size has one eager step of its own.
    assert stepped == [1, 1, 1, 0, 1, 0]
    # Before that, the graph of the other size releases its memory.
    assert device.dropped == [0, 0, 0, 0, 1, 0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_graphs_train_what_eager_steps_train_on_a_gpu(precision, lab, cohort_jobs, tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)  # as workers have it
    source, said = DataSource(torch.device("cuda"), None, tmp_path), []
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    changes = {"precision": precision, "train_limit": UNEVEN}
    jobs = [replace(job, recipe=replace(job.recipe, **changes)) for job in cohort_jobs.values()]
    try:
        outcomes = []
        for cuda_graphs in (False, True):
            context = TrainContext(lab.store, source, 1e9, 1.0, said.append, cuda_graphs=cuda_graphs)
            CohortTraining(jobs, context).run()
            outcomes.append([lab.outcome(job) for job in jobs])
            for job in jobs:
                lab.store.record_path(job).unlink()
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert not [event for event in said if event["event"] == "note"]
    for job, eager, replayed in zip(jobs, *outcomes, strict=True):
        assert replayed[2]["parts"].keys() == eager[2]["parts"].keys(), job
        for part, values in eager[2]["parts"].items():
            assert replayed[2]["parts"][part] == pytest.approx(values, rel=1e-4), (job, part)
        assert replayed[1]["last"]["loss"] == pytest.approx(eager[1]["last"]["loss"], rel=1e-3), job
