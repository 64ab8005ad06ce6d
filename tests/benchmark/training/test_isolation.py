"""A job that changes what others share fails; the others end as if it had not been there."""

import random

import numpy as np
import pytest
import torch

import methods.rkd
from benchmark.training.failures import StoppedError
from benchmark.training.isolation import NetworkSnapshot, ProcessState, WriteDetector
from models.mobilenetv2 import MobileNetV2
from models.wrn import WideResNet


def in_step(change):
    """A change that RKD makes in every step, after its loss is computed."""

    def patch(monkeypatch):
        forward = methods.rkd.RKD.forward

        def offend(self, student, teacher, batch):
            parts = forward(self, student, teacher, batch)
            change(self, teacher, batch)
            return parts

        monkeypatch.setattr(methods.rkd.RKD, "forward", offend)

    return patch


def when_built(change):
    """A change that RKD makes in its constructor."""

    def patch(monkeypatch):
        build = methods.rkd.RKD.__init__

        def offend(self, pair, **options):
            build(self, pair, **options)
            change(pair)

        monkeypatch.setattr(methods.rkd.RKD, "__init__", offend)

    return patch


def in_network(change):
    """A change that the network of RKD's student makes to its images, before its forward pass."""

    def patch(monkeypatch):
        forward = MobileNetV2.forward
        monkeypatch.setattr(MobileNetV2, "forward", lambda self, images: forward(self, change(self, images)))

    return patch


def change_and_raise(_self, teacher, _batch):
    teacher.logits.div_(4)
    raise LookupError("nothing here")


def set_eps(network):
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.5
            module.note = "seen"


FEATURES, WEIGHTS = "it changes the teacher's features", "it changes the teacher's weights or statistics"
OFFENCES = {
    "images": (in_network(lambda _, images: images.mul_(0.5)), "it changes the batch's images, which other runs share"),
    "logits": (in_step(lambda _, teacher, __: teacher.logits.div_(4)), FEATURES),
    "a view of a map": (in_step(lambda _, teacher, __: teacher.feats[1][0].zero_()), FEATURES),
    "a cached tensor": (
        in_step(lambda _, teacher, __: teacher.cached(torch.neg, teacher.map).zero_()),
        "it changes a tensor cached from the teacher's features",
    ),
    "targets": (in_step(lambda _, __, batch: batch.targets.zero_()), "has been modified by an inplace operation"),
    "targets by data": (in_step(lambda _, __, batch: batch.targets.data.zero_()), "it changes the batch"),
    "all labels": (in_step(lambda self, *_: self.pair.labels.zero_()), "it changes the training labels"),
    "all labels at first": (when_built(lambda pair: pair.labels.numpy().fill(0)), "it changes the training labels"),
    "logits by data": (in_step(lambda _, teacher, __: teacher.logits.data.mul_(3)), FEATURES),
    "weights": (in_step(lambda self, *_: self.pair.teacher_network.classifier.weight.zero_()), WEIGHTS),
    "weights by data": (in_step(lambda self, *_: self.pair.teacher_network.classifier.weight.data.mul_(0.9)), WEIGHTS),
    "weights at first": (
        when_built(lambda pair: torch.nn.init.zeros_(pair.teacher_network.classifier.weight)),
        WEIGHTS,
    ),
    "attributes at first": (
        when_built(lambda pair: set_eps(pair.teacher_network)),
        "it changes the teacher's mode or other attributes",
    ),
    "mode": (
        in_step(lambda self, *_: self.pair.teacher_network.train()),
        "it changes the teacher's mode or other attributes",
    ),
    "hooks": (
        when_built(lambda pair: pair.teacher_network.register_forward_hook(lambda *_: None)),
        "it changes the teacher's hooks or gradients",
    ),
    "gradients": (
        in_step(lambda self, *_: self.pair.teacher_network.requires_grad_()),
        "it changes the teacher's hooks or gradients",
    ),
    "determinism": (
        in_step(lambda *_: torch.use_deterministic_algorithms(mode=True, warn_only=True)),
        "it changes deterministic algorithms for the whole process",
    ),
    "a failure besides": (in_step(change_and_raise), "LookupError: nothing here"),
}


@pytest.mark.parametrize(("patch", "says"), OFFENCES.values(), ids=OFFENCES)
def test_offender_fails_and_does_not_affect_others(patch, says, lab, cohort_jobs, undisturbed, monkeypatch):
    before = ProcessState()
    patch(monkeypatch)
    lab.train(cohort_jobs["srrl"], cohort_jobs["rkd"], cohort_jobs["crd"])
    record = lab.record(cohort_jobs["rkd"])
    assert record["status"] == "failed"
    assert says in record["failure"]["reason"]
    for name in ("srrl", "crd"):
        assert lab.outcome(cohort_jobs[name]) == undisturbed.outcome(cohort_jobs[name])
    assert before.restore() == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda: torch.set_num_threads(2), "the number of threads"),
        (lambda: torch.set_default_dtype(torch.float64), "the default dtype"),
        (lambda: torch.autocast("cpu", dtype=torch.bfloat16).__enter__(), "autocast"),
        (lambda: torch.set_float32_matmul_precision("medium"), "the precision of float32 operations"),
        (lambda: setattr(torch.backends.cudnn, "deterministic", True), "cuDNN's determinism"),
        (
            lambda: torch.nn.modules.module.register_module_forward_hook(lambda *_: None),
            "hooks on all modules",
        ),
    ],
)
def test_process_wide_settings_are_restored_and_named(change, name):
    before = ProcessState()
    change()
    assert before.restore() == [name]
    assert before.restore() == []


def test_a_network_that_changes_test_images_does_not_affect_others(lab, cohort_jobs, undisturbed, monkeypatch):
    in_network(lambda self, images: images if self.training else images.zero_())(monkeypatch)
    lab.train(cohort_jobs["srrl"], cohort_jobs["rkd"], cohort_jobs["at"])
    for name in ("srrl", "at"):
        assert lab.outcome(cohort_jobs[name]) == undisturbed.outcome(cohort_jobs[name])


def draw_globally(student):
    noise = torch.randn_like(student.logits)
    return 0.1 * (student.logits * noise).mean() * (random.random() + np.random.rand())


@pytest.fixture
def drawing(monkeypatch):
    """Lets SRRL draw from all global generators in its constructor and in every step, and WRNs apply dropout."""
    kind = methods.load("srrl")
    build, forward, network = kind.__init__, kind.forward, WideResNet.forward
    dropout = torch.nn.Dropout(0.5)

    def init(self, pair, **options):
        build(self, pair, **options)
        self.scale = torch.nn.Parameter(torch.randn(()) * random.random() * np.random.rand())

    def draw(self, student, teacher, batch):
        more = draw_globally(student) + 0 * self.scale
        return {**forward(self, student, teacher, batch), "noise": more + (self.scale - 1) ** 2}

    def drop(self, images):
        return network(self, dropout(images) if self.training else images)

    monkeypatch.setattr(kind, "__init__", init)
    monkeypatch.setattr(kind, "forward", draw)
    monkeypatch.setattr(WideResNet, "forward", drop)


@pytest.mark.usefixtures("drawing")
def test_global_random_numbers_depend_on_run_and_step_alone(lab, cohort_jobs, undisturbed, stop_after):
    """Alone, in a cohort and after a restart a run draws the same numbers, which do not affect other runs."""
    job = cohort_jobs["srrl"]
    outcomes = []
    for others in ((), (cohort_jobs["at"],)):
        random.seed(len(others))
        np.random.seed(len(others))
        torch.manual_seed(len(others))
        lab.train(*others, job)
        outcomes.append(lab.outcome(job))
        lab.store.record_path(job).unlink()
    with pytest.raises(StoppedError):
        lab.train(job, stopped=stop_after(4), checkpoint_seconds=0.0)
    lab.train(job)
    assert lab.outcome(job) == outcomes[0] == outcomes[1]
    assert lab.outcome(job) != undisturbed.outcome(job)
    assert lab.outcome(cohort_jobs["at"]) == undisturbed.outcome(cohort_jobs["at"])


def test_writes_are_seen_through_views():
    tensor, other, detector = torch.zeros(4), torch.zeros(4), WriteDetector()
    detector.add("the one", tensor)
    detector.add("the other", other)
    assert detector.changed() is None
    other[1:].add_(1)
    assert detector.changed() == "the other"


def test_a_changed_network_is_restored():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).eval()
    snapshot = NetworkSnapshot(network.requires_grad_(requires_grad=False))
    assert snapshot.changed(compare_contents=True) is None
    calls = []
    network[0].register_forward_pre_hook(lambda *_: calls.append(1))
    network.requires_grad_()
    assert snapshot.changed(compare_contents=False) is None
    assert snapshot.changed(compare_contents=True) == "hooks or gradients"
    network.train()
    network[1].eps = 0.5
    network[1].seen = 3
    assert snapshot.changed(compare_contents=False) is None
    assert snapshot.changed(compare_contents=True) == "mode or other attributes"
    snapshot.restore()
    assert network[1].eps == 1e-5
    assert not hasattr(network[1], "seen")
    assert not network(torch.ones(1, 2)).requires_grad
    assert not calls
    assert not any(module.training for module in network.modules())
    assert snapshot.changed(compare_contents=True) is None
    network[1].running_mean.add_(1)
    assert snapshot.changed(compare_contents=False) == "weights or statistics"
