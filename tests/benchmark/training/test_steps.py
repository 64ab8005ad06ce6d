"""A step of a whole cohort: its order, its streams, and that one captured and replayed trains the same."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import methods.kd
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver, TeacherChoice
from benchmark.runs.objective import parse_method
from benchmark.training import work
from benchmark.training.capture import CAPTURING
from benchmark.training.cohort import CohortTraining
from benchmark.training.context import TrainContext
from benchmark.training.data_source import DataSource
from benchmark.training.replay import OperationLog
from benchmark.training.shared import Shared
from benchmark.training.steps import WARMUP_STEPS, CaptureError, DeviceStep, EagerStep, parallel_streams
from benchmark.training.streams import Streams
from benchmark.training.teacher import SharedFeatures
from methods import Batch

UNEVEN = 80  # training images: two batches of 32 and one of 16


def notes(lab):
    return [event["message"] for event in lab.events if event["event"] == "note"]


@pytest.fixture
def both(lab, monkeypatch):
    """Trains jobs launched, then captured; returns what came of either.

    Launched on this CPU as it is, unless ``rate_on_device``: Adam rounds a rate that is a tensor in another way.
    """

    def train(*jobs, device=OperationLog, rate_on_device=False):
        outcomes = []
        for cuda_graphs in (False, True):
            with monkeypatch.context() as patch:
                if cuda_graphs or rate_on_device:
                    patch.setitem(CAPTURING, "cpu", device)
                lab.events.clear()
                work(jobs, replace(lab.context(), cuda_graphs=cuda_graphs))
            outcomes.append([lab.outcome(job) for job in jobs])
            for job in jobs:
                lab.store.record_path(job).unlink()
        return outcomes

    return train


@pytest.fixture
def uneven(make_job):
    """Jobs with a last, smaller batch, one of which ends an epoch before the other two."""
    changes = {"train_limit": UNEVEN, "milestones": (1,)}
    return [
        make_job("crd", **changes),
        make_job("ofd", epochs=2, **changes),
        make_job("at", "resnet10-narrow", in_size=16, **changes),
    ]


def test_replayed_steps_train_what_launched_ones_train(both, lab, uneven):
    made = []

    def device(place):
        made.append(OperationLog(place))
        return made[-1]

    eager, replayed = both(*uneven, device=device)
    assert replayed == eager
    assert not notes(lab)
    [log] = made
    # Three epochs of three steps. All warm up in the first; of the second on both sizes are captured, again once a
    # member has left.
    assert log.replayed == 9 - WARMUP_STEPS
    assert log.captured == 4


OPTIMIZERS = {
    "sgd": {},
    "adam": {"optimizer": "adam", "lr": 0.002, "beta2": 0.999, "weight_decay": 0.0},
    "nesterov": {"nesterov": True},
}


@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [("sgd", "fp32"), ("adam", "bf16"), ("nesterov", "fp16")],
)
def test_every_method_optimiser_and_precision_is_replayed(optimizer, precision, both, lab, make_job):
    """Three epochs with a drop of the rate, a smaller last batch and a member that leaves.

    Batches are small, since a convolution in half precision takes 60 times as long as another on a CPU.
    """
    few = {"train_limit": UNEVEN // 4, "batch_size": 8}
    changes = {**few, "milestones": (1,), "precision": precision, **OPTIMIZERS[optimizer]}
    jobs = [make_job(name, **changes) for name in methods.names()]
    jobs += [make_job("srrl[layers=conv2+last]", **changes), make_job("kd", epochs=2, **changes)]
    jobs = [replace(job, stages=()) for job in jobs if job.applies]
    eager, replayed = both(*jobs, rate_on_device=True)
    for job, one, other in zip(jobs, eager, replayed, strict=True):
        assert one == other, job
    assert {outcome[0] for outcome in eager} == {"done"}
    assert not notes(lab)


def test_a_whole_run_on_digits_ends_with_the_numbers_of_the_launched_one(both, book_of_digits, lab):
    jobs = [book_of_digits("kd"), book_of_digits("crd")]
    lab.train(jobs[0].teacher)
    eager, replayed = both(*jobs)
    assert eager == replayed


@pytest.fixture
def book_of_digits():
    """Runs of the profile as it is, on its smallest pair."""
    resolver = ConfigResolver(load_profile("digits"), {})
    return lambda name: resolver.run("C10-WRN", "wrn-16-1", parse_method(name), TeacherChoice("C10-WRN", "wrn-16-2"), 0)


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


def test_members_that_wait_for_the_device_are_launched_and_named(both, lab, uneven, make_job, waiting):
    waiting()
    eager, replayed = both(*uneven, make_job("kd", train_limit=UNEVEN))
    assert eager == replayed
    [said] = notes(lab)
    assert "wrn-10-2 kd seed 0 is launched step by step, not captured: it waits for the device: _local" in said


def test_where_every_member_waits_for_the_device_nothing_is_captured(both, make_job, waiting):
    made = []

    def device(place):
        made.append(OperationLog(place))
        return made[-1]

    waiting()
    eager, replayed = both(make_job("kd", train_limit=UNEVEN), device=device)
    assert eager == replayed
    assert [log.captured for log in made] == [0]


def test_a_left_out_member_sees_the_teacher_of_every_batch(both, uneven, make_job, waiting, monkeypatch):
    """A planted fault: what was derived from the teacher's features of an earlier batch is used again."""
    waiting(
        lambda student, teacher: {"map": (student.map.mean() - teacher.cached(torch.neg, teacher.map).mean()).abs()}
    )
    jobs = [uneven[0], make_job("kd", train_limit=UNEVEN)]
    eager, replayed = both(*jobs)
    assert eager == replayed
    monkeypatch.setattr(SharedFeatures, "with_empty_cache", lambda self, _: self)
    eager, replayed = both(*jobs)
    assert eager[0] == replayed[0]
    assert eager[1] != replayed[1]


def test_what_cannot_be_captured_is_said_and_no_jobs_failure(lab, uneven, monkeypatch):
    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(OperationLog, "capture", refuse)
    monkeypatch.setitem(CAPTURING, "cpu", OperationLog)
    with pytest.raises(CaptureError, match=r"^RuntimeError: operation not permitted when stream is capturing$"):
        lab.train(*uneven)
    assert not any(lab.store.record_path(job).exists() for job in uneven)


def test_want_of_memory_while_a_step_is_captured_is_told_as_such(lab, uneven, monkeypatch):
    def run_out(*_):
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        finally:
            raise RuntimeError("the capture was invalidated")

    monkeypatch.setattr(OperationLog, "capture", run_out)
    monkeypatch.setitem(CAPTURING, "cpu", OperationLog)
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 2.00 GiB"):
        lab.train(*uneven)
    assert not any(lab.store.record_path(job).exists() for job in uneven)


class LoggedLanes(Streams):
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
        self.log.append("home")
        yield


class LoggedTeacher:
    def __init__(self, log):
        self.log = log
        self.network = SimpleNamespace(in_size=8)
        self.frozen = SimpleNamespace(changed=lambda **_: None)

    def forward(self, _images, _untouched, *, train_mode):
        self.log.append(f"teacher {'train' if train_mode else 'eval'}")
        return object()


class Logged(SimpleNamespace):
    """Can be a key, as members are."""

    __hash__ = object.__hash__


GRADIENT_BYTES = 2


def logged_member(log, name, modes, in_size=16):
    def step(_batch, view):
        view.at(in_size)
        log.append(f"{name} forward")
        for mode in modes:
            view.teacher(train_mode=mode)
        log.append(f"{name} loss")

    return Logged(
        job=SimpleNamespace(seed=0, name=name),
        network=SimpleNamespace(in_size=in_size),
        teacher_modes=frozenset(modes),
        step=step,
        seconds=0.0,
        epoch=0,
        generator=None,
        gradient_bytes=GRADIENT_BYTES,
    )


def random_batch():
    return Batch(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.zeros(2), torch.zeros(()), None)


def logged_step(streams):
    shared = Shared(LoggedTeacher(streams.log), torch.zeros(2), dict)
    return EagerStep(shared, streams, lambda _job: nullcontext())


def test_lanes_fork_before_the_teacher_looks_and_students_wait_for_it_before_their_losses():
    streams = LoggedLanes()
    members = [logged_member(streams.log, "first", [False]), logged_member(streams.log, "second", [True, False])]
    logged_step(streams)(random_batch(), 0, members)
    # Every wait is a visit at home: none before a forward pass, though the images are asked for at another size.
    assert streams.log == [
        *("fork 2", "home", "teacher eval", "home", "teacher train"),
        *("stream 0", "first forward", "home", "first loss", "end 0"),
        *("stream 1", "second forward", "home", "home", "second loss", "end 1", "join"),
    ]


@pytest.mark.parametrize(
    ("members", "free", "streams"),
    [([], 10, 1), ([5], 10, 1), ([5, 3, 1], 11, 3), ([5, 3, 1], 9, 2), ([1, 3, 5], 8, 1), ([50, 30], 10, 1)],
)
def test_streams_take_no_more_than_as_many_of_the_largest_members(members, free, streams):
    assert parallel_streams(members, free) == streams


class Measured(OperationLog):
    """A device on which members take what a test says."""

    def __init__(self, free, *taken):
        super().__init__()
        self.free = free
        self.taken = list(taken)
        self.kept = 0
        self.forgotten = []

    @contextmanager
    def peak(self):
        yield [self.taken.pop(0)]

    def free_bytes(self):
        return self.free

    def capture(self, work, generators):
        del work, generators
        self.kept += 1
        return lambda: None

    def forget(self):
        self.forgotten.append(self.kept)
        self.kept = 0


TEACHER_BYTES = 7


@pytest.mark.parametrize(
    ("capture", "free", "limit"),
    # Three streams take 60 of at most nine tenths, two take 50; the teacher 7, gradients 6 where steps are captured.
    [(True, 80, 3), (True, 79, 2), (True, 69, 2), (True, 68, 1), (False, 74, 3), (False, 73, 2), (False, 10, 1)],
)
def test_members_warm_up_on_one_stream_and_share_as_many_as_fit(free, limit, capture):
    streams = LoggedLanes()
    members = [logged_member(streams.log, name, [False]) for name in ("a", "b", "c")]
    for member in members:
        member.generator = torch.Generator()
    # In its first steps a member may take more than ever again: what it takes in the last of them counts.
    device = Measured(free, *(99, 99, 99, 99), *(9, 5, 99, 5), *(TEACHER_BYTES, 10, 20, 30))
    step = DeviceStep(logged_step(streams), device, pytest.fail, capture=capture)
    for position in range(WARMUP_STEPS + 2):
        step(random_batch(), position, members)
    assert [entry for entry in streams.log if entry.startswith("limit")] == [*["limit 1"] * 4, f"limit {limit}"]


def test_a_size_of_batch_is_captured_only_after_a_step_of_that_size():
    streams = LoggedLanes()
    [member] = [logged_member(streams.log, "a", [False])]
    member.generator = torch.Generator()
    device = Measured(1000, *[1] * 12)
    step = DeviceStep(logged_step(streams), device, pytest.fail)
    small = Batch(torch.zeros(1, 3, 8, 8), torch.zeros(1), torch.zeros(1), torch.zeros(()), None)
    stepped = []
    for position, batch in enumerate([random_batch()] * 4 + [small] * 2):
        before = streams.log.count("a loss")
        step(batch, position, [member])
        stepped.append(streams.log.count("a loss") - before)
    # Launched until warm, then replayed without a step of Python's; the smaller size is launched once by itself.
    assert stepped == [1, 1, 1, 0, 1, 0]
    # Before it is, the graph of the other size gives its memory back.
    assert device.forgotten == [0, 0, 0, 0, 1, 0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_graphs_train_what_launches_train_on_a_gpu(precision, lab, company, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)  # as workers have it
    source, said = DataSource(torch.device("cuda"), None, lab.source._cache_dir), []
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    changes = {"precision": precision, "train_limit": UNEVEN}
    jobs = [replace(job, recipe=replace(job.recipe, **changes)) for job in company.values()]
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
