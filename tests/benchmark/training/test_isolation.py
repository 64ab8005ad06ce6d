"""A job that changes what others share fails; the others end as if it had not been there."""

import random

import numpy as np
import pytest
import torch

import methods.rkd
from benchmark.training.failures import StoppedError
from benchmark.training.isolation import Frozen, ProcessState, Untouched
from models.mobilenetv2 import MobileNetV2
from models.wrn import WideResNet

GOOD = ("srrl", "crd", "at")


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


def when_made(change):
    """A change that RKD makes in its constructor."""

    def patch(monkeypatch):
        build = methods.rkd.RKD.__init__

        def offend(self, pair, **options):
            build(self, pair, **options)
            change(pair)

        monkeypatch.setattr(methods.rkd.RKD, "__init__", offend)

    return patch


def in_network(monkeypatch):
    forward = MobileNetV2.forward
    monkeypatch.setattr(MobileNetV2, "forward", lambda self, images: forward(self, images.mul_(0.5)))


def change_and_raise(_self, teacher, _batch):
    teacher.logits.div_(4)
    raise LookupError("nothing here")


def set_eps(network):
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.5
            module.note = "seen"


OFFENCES = {
    "images": (in_network, "it changes the batch's images, which other runs share"),
    "logits": (in_step(lambda _, teacher, __: teacher.logits.div_(4)), "it changes the teacher's features"),
    "a view of a map": (in_step(lambda _, teacher, __: teacher.feats[1][0].zero_()), "the teacher's features"),
    "a derived tensor": (
        in_step(lambda _, teacher, __: teacher.cached(torch.neg, teacher.map).zero_()),
        "it changes what is derived from the teacher's features",
    ),
    "targets": (in_step(lambda _, __, batch: batch.targets.zero_()), "has been modified by an inplace operation"),
    "targets behind torch's back": (in_step(lambda _, __, batch: batch.targets.data.zero_()), "it changes the batch"),
    "targets by NumPy": (in_step(lambda _, __, batch: batch.targets.numpy().fill(0)), "it changes the batch"),
    "indices": (in_step(lambda _, __, batch: batch.indices.zero_()), "it changes the batch's indices"),
    "all labels": (in_step(lambda self, *_: self.pair.labels.zero_()), "it changes the training labels"),
    "all labels at first": (when_made(lambda pair: pair.labels.numpy().fill(0)), "it changes the training labels"),
    "logits behind torch's back": (in_step(lambda _, teacher, __: teacher.logits.data.mul_(3)), "the teacher's feat"),
    "a map by NumPy": (in_step(lambda _, teacher, __: teacher.map.numpy().fill(0)), "the teacher's features"),
    "weights behind torch's back": (
        in_step(lambda self, *_: self.pair.teacher_network.classifier.weight.data.mul_(0.9)),
        "it changes the teacher's weights or statistics",
    ),
    "attributes at first": (
        when_made(lambda pair: set_eps(pair.teacher_network)),
        "it changes the teacher's mode or other attributes",
    ),
    "weights": (
        in_step(lambda self, *_: self.pair.teacher_network.classifier.weight.zero_()),
        "it changes the teacher's weights or statistics",
    ),
    "weights at first": (
        when_made(lambda pair: torch.nn.init.zeros_(pair.teacher_network.classifier.weight)),
        "it changes the teacher's weights or statistics",
    ),
    "mode": (
        in_step(lambda self, *_: self.pair.teacher_network.train()),
        "it changes the teacher's mode or other attributes",
    ),
    "hooks": (
        when_made(lambda pair: pair.teacher_network.register_forward_hook(lambda *_: None)),
        "it changes the teacher's hooks or gradients",
    ),
    "gradients": (
        in_step(lambda self, *_: self.pair.teacher_network.requires_grad_()),
        "it changes the teacher's hooks or gradients",
    ),
    "threads": (in_step(lambda *_: torch.set_num_threads(2)), "it changes the number of threads for the whole process"),
    "dtype": (when_made(lambda _: torch.set_default_dtype(torch.float64)), "it changes the default dtype"),
    "determinism": (
        in_step(lambda *_: torch.use_deterministic_algorithms(mode=True, warn_only=True)),
        "it changes deterministic algorithms for the whole process",
    ),
    "hooks on all modules": (
        in_step(lambda *_: torch.nn.modules.module.register_module_forward_hook(lambda *_: None)),
        "it changes hooks on all modules for the whole process",
    ),
    "autocast": (
        in_step(lambda *_: torch.autocast("cpu", dtype=torch.bfloat16).__enter__()),
        "it changes autocast for the whole process",
    ),
    "precision": (
        when_made(lambda _: torch.set_float32_matmul_precision("medium")),
        "it changes the precision of float32 operations for the whole process",
    ),
    "a failure besides": (in_step(change_and_raise), "LookupError: nothing here"),
}


@pytest.mark.parametrize(("patch", "says"), OFFENCES.values(), ids=OFFENCES)
def test_offender_fails_and_its_neighbours_do_not_notice(patch, says, lab, company, undisturbed, monkeypatch):
    before = ProcessState()
    patch(monkeypatch)
    lab.train(company["srrl"], company["rkd"], company["crd"], company["at"])
    record = lab.record(company["rkd"])
    assert record["status"] == "failed"
    assert says in record["failure"]["reason"]
    for name in GOOD:
        assert lab.outcome(company[name]) == undisturbed.outcome(company[name])
    assert before.restore() == []


def test_a_network_that_changes_test_images_is_seen_by_nobody(lab, company, undisturbed, monkeypatch):
    forward = MobileNetV2.forward

    def offend(self, images):
        return forward(self, images if self.training else images.zero_())

    monkeypatch.setattr(MobileNetV2, "forward", offend)
    lab.train(company["srrl"], company["rkd"], company["at"])
    for name in ("srrl", "at"):
        assert lab.outcome(company[name]) == undisturbed.outcome(company[name])


def draw_globally(student):
    noise = torch.randn_like(student.logits)
    return 0.1 * (student.logits * noise).mean() * (random.random() + np.random.rand())


@pytest.fixture
def drawing(monkeypatch):
    """Lets RKD draw from all global generators, in its constructor and in every step."""
    build, forward = methods.rkd.RKD.__init__, methods.rkd.RKD.forward

    def init(self, pair, **options):
        build(self, pair, **options)
        self.scale = torch.nn.Parameter(torch.randn(()) * random.random() * np.random.rand())

    def draw(self, student, teacher, batch):
        more = draw_globally(student) + 0 * self.scale
        return {**forward(self, student, teacher, batch), "noise": more + (self.scale - 1) ** 2}

    monkeypatch.setattr(methods.rkd.RKD, "__init__", init)
    monkeypatch.setattr(methods.rkd.RKD, "forward", draw)


@pytest.mark.usefixtures("drawing")
def test_global_random_numbers_are_those_of_the_run_and_the_step(lab, company, undisturbed, stop_after):
    """Alone, in company, after a restart: the same numbers, of which no other run sees anything."""
    job = company["rkd"]
    outcomes = []
    for others in ((), (company["crd"],)):
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
    assert lab.outcome(company["crd"]) == undisturbed.outcome(company["crd"])


def test_dropout_is_reproducible(lab, make_job, monkeypatch):
    forward = WideResNet.forward
    dropout = torch.nn.Dropout(0.5)

    def drop(self, images):
        return forward(self, dropout(images) if self.training else images)

    monkeypatch.setattr(WideResNet, "forward", drop)
    first, second = make_job("kd"), make_job("at")
    outcomes = []
    for jobs in ((first,), (second, first)):
        lab.train(*jobs)
        outcomes.append(lab.outcome(first))
        for job in jobs:
            lab.store.record_path(job).unlink()
    assert outcomes[0] == outcomes[1]


def test_writes_are_seen_through_views():
    tensor, other, untouched = torch.zeros(4), torch.zeros(4), Untouched()
    untouched.add("the one", tensor)
    untouched.add("the other", other)
    assert untouched.changed() is None
    other[1:].add_(1)
    assert untouched.changed() == "the other"


def test_a_frozen_network_is_repaired():
    network = (
        torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).eval().requires_grad_(requires_grad=False)
    )
    frozen = Frozen(network)
    assert frozen.changed(thoroughly=True) is None
    network[0].register_forward_pre_hook(lambda *_: None)
    network.requires_grad_()
    assert frozen.changed(thoroughly=False) is None
    assert frozen.changed(thoroughly=True) == "hooks or gradients"
    network.train()
    network[1].eps = 0.5
    network[1].seen = 3
    assert frozen.changed(thoroughly=False) is None
    assert frozen.changed(thoroughly=True) == "mode or other attributes"
    frozen.repair()
    assert network[1].eps == 1e-5
    assert not hasattr(network[1], "seen")
    assert not any(module.training or module._forward_pre_hooks for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert frozen.changed(thoroughly=True) is None
    network[1].running_mean.add_(1)
    assert frozen.changed(thoroughly=False) == "weights or statistics"
