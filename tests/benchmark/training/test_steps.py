"""A step of a whole cohort: its order, and that one recorded and replayed trains the same."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmark.training.cohort import CohortTraining
from benchmark.training.data import Source
from benchmark.training.lanes import Lanes
from benchmark.training.setting import Setting
from benchmark.training.steps import REHEARSALS, EagerStep, RecordedStep, RecordingError
from methods import Batch

UNEVEN = 80  # training images: two batches of 32 and one of 16


class Tape:
    """Records work by keeping it, and does it when replayed; what a graph would bake in, it reads from held tensors."""

    def __init__(self, waiting=(), *, able=True):
        self.waiting = list(waiting)
        self.able = able
        self.recorded = 0
        self.replayed = 0
        self.forgotten = 0
        self.generators = []

    def forget(self):
        self.forgotten += 1

    def record(self, work, generators):
        if not self.able:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        self.recorded += 1
        self.generators.append(list(generators))

        def replay():
            self.replayed += 1
            work()

        return replay

    @contextmanager
    def waits(self):
        found = []
        yield found
        found += self.waiting.pop(0) if self.waiting else []


def recorded_training(jobs, setting, tape, said):
    training = CohortTraining(jobs, setting)
    eager = EagerStep(training._teacher, training._lanes, training._guarded)
    training._step = RecordedStep(eager, tape, said.append)
    training.run()


@pytest.fixture
def uneven(make_job):
    """Jobs with a last, smaller batch, one of which ends an epoch before the other two."""
    changes = {"train_limit": UNEVEN, "milestones": (1,)}
    return [
        make_job("crd", **changes),
        make_job("ofd", epochs=2, **changes),
        make_job("at", "resnet10-narrow", in_size=16, **changes),
    ]


def test_replayed_steps_train_what_launched_ones_train(lab, uneven):
    lab.train(*uneven)
    expected = [lab.outcome(job) for job in uneven]
    for job in uneven:
        lab.store.record_path(job).unlink()
    tape, said = Tape(), []
    recorded_training(uneven, lab.setting(), tape, said)
    assert [lab.outcome(job) for job in uneven] == expected
    assert said == []
    # Three epochs of three steps; all are rehearsed in the first, and of the second on both sizes are recorded, again
    # once a member has left.
    assert tape.replayed == 9 - REHEARSALS
    assert tape.recorded == 4
    assert tape.forgotten == 2
    assert [len(generators) for generators in tape.generators] == [3, 3, 2, 2]


def test_members_that_wait_for_the_device_are_launched_and_named(lab, uneven):
    lab.train(*uneven)
    expected = [lab.outcome(job) for job in uneven]
    for job in uneven:
        lab.store.record_path(job).unlink()
    tape, said = Tape(waiting=[[], ["a copy to the host"], []]), []
    recorded_training(uneven, lab.setting(), tape, said)
    assert [lab.outcome(job) for job in uneven] == expected
    assert [len(generators) for generators in tape.generators] == [2, 2, 2, 2]
    assert len(said) == 1
    assert str(uneven[1]) in said[0]
    assert said[0].endswith("a copy to the host")


def test_what_cannot_be_recorded_is_said_and_no_jobs_failure(lab, uneven):
    with pytest.raises(RecordingError, match=r"^RuntimeError: operation not permitted when stream is capturing$"):
        recorded_training(uneven, lab.setting(), Tape(able=False), [])
    assert not any(lab.store.record_path(job).exists() for job in uneven)


class LoggedLanes(Lanes):
    """Notes what is queued where."""

    def __init__(self):
        self.log = []

    @contextmanager
    def opened(self, count):
        self.log.append(f"fork {count}")
        yield
        self.log.append("join")

    @contextmanager
    def lane(self, index):
        self.log.append(f"lane {index}")
        yield
        self.log.append(f"end {index}")

    @contextmanager
    def home(self):
        self.log.append("home")
        yield


class LoggedTeacher:
    def __init__(self, log):
        self.log = log
        self.network = SimpleNamespace(in_size=8)

    def look(self, _images, *, train_mode):
        self.log.append(f"teacher {'train' if train_mode else 'eval'}")
        return object()


def logged_member(log, name, modes):
    def step(_batch, view):
        log.append(name)
        for mode in modes:
            view.teacher(train_mode=mode)

    return SimpleNamespace(job=name, teacher_modes=frozenset(modes), step=step, seconds=0.0)


def test_teacher_first_then_members_side_by_side_then_join():
    lanes = LoggedLanes()
    members = [logged_member(lanes.log, "first", [False]), logged_member(lanes.log, "second", [True, False])]
    step = EagerStep(LoggedTeacher(lanes.log), lanes, lambda _job: nullcontext())
    step(Batch(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.zeros(2), torch.zeros(()), None), members)
    shared, own = [entry for entry in lanes.log if entry != "home"][:2], lanes.log[lanes.log.index("fork 2") :]
    assert shared == ["teacher eval", "teacher train"]
    assert [entry for entry in own if entry != "home"] == [
        *("fork 2", "lane 0", "first", "end 0", "lane 1", "second", "end 1", "join")
    ]


def test_rates_and_progress_reach_a_replayed_step(lab, make_job, monkeypatch):
    """A drop of the rate and the share of the training are seen by steps that were recorded before."""
    job = make_job("kd", train_limit=UNEVEN, milestones=(1,))
    training = CohortTraining([job], lab.setting())
    [member] = training.members
    seen = []
    losses = member.losses
    monkeypatch.setattr(
        member, "losses", lambda *given: (seen.append((float(given[2].progress), rate(member))), losses(*given))[1]
    )
    eager = EagerStep(training._teacher, training._lanes, training._guarded)
    training._step = RecordedStep(eager, Tape(), pytest.fail)
    training.run()
    assert [progress for progress, _ in seen] == pytest.approx([step / 9 for step in range(9)])
    assert [rate for _, rate in seen] == pytest.approx([0.05] * 3 + [0.005] * 6)


def rate(member):
    return member._optimizer.param_groups[0]["lr"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphs_train_what_launches_train_on_a_gpu(precision, lab, company, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    source, said = Source(torch.device("cuda"), None, lab.source._cache_dir), []
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    changes = {"precision": precision, "train_limit": UNEVEN}
    jobs = [replace(job, recipe=replace(job.recipe, **changes)) for job in company.values()]
    try:
        outcomes = []
        for recorded in (False, True):
            setting = Setting(lab.store, source, 1e9, 1.0, said.append, recorded=recorded)
            CohortTraining(jobs, setting).run()
            outcomes.append([lab.outcome(job) for job in jobs])
            for job in jobs:
                lab.store.record_path(job).unlink()
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert not [event for event in said if event["event"] == "note"]
    for job, launched, replayed in zip(jobs, *outcomes, strict=True):
        assert replayed[2]["parts"].keys() == launched[2]["parts"].keys(), job
        for part, values in launched[2]["parts"].items():
            assert replayed[2]["parts"][part] == pytest.approx(values, rel=1e-4), (job, part)
        assert replayed[1]["last"]["loss"] == pytest.approx(launched[1]["last"]["loss"], rel=1e-3), job
