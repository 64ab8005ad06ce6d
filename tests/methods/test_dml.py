"""DML against golden values and loops, and its peer against what a second network in training must be."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

import models
from methods import load
from methods.dml import mutual_loss, published_mutual_loss
from models import Features, Network, Request, registry
from tests.methods import given_logits, modern

METHOD = load("dml")


@pytest.fixture
def bench(make_bench):
    return make_bench("wrn-10-1", "wrn-16-1")


def naive_published(network, other):
    rows = zip(*(softmax(each.detach().double().numpy(), axis=1) for each in (network, other)), strict=True)
    elements = [b * math.log(1e-8 + b / (a + 1e-8)) for q, p in rows for a, b in zip(q, p, strict=True)]
    return sum(elements) / len(network)


def test_golden():
    z, v, *_, y = modern.logits()
    z, v = z.requires_grad_(), v.requires_grad_()
    modern.check("dml.student", functional.cross_entropy(z, y) + mutual_loss(z, v), z)
    modern.check("dml.peer", functional.cross_entropy(v, y) + mutual_loss(v, z), v)
    modern.check("dml.kl[published]", published_mutual_loss(z, v), z)


def test_formulas():
    z, v, *_ = modern.logits()
    assert mutual_loss(z, v).item() == pytest.approx(given_logits.divergences(z, v, 1.0).mean(), abs=1e-12)
    assert published_mutual_loss(z, v).item() == pytest.approx(naive_published(z, v), abs=1e-12)
    assert published_mutual_loss(z, v).item() == pytest.approx(mutual_loss(z, v).item(), abs=1e-3)


@pytest.mark.parametrize("loss", [mutual_loss, published_mutual_loss])
def test_the_other_network_is_constant_and_equal_networks_pay_nothing(loss):
    z, v, *_ = modern.logits()
    z, v = z.requires_grad_(), v.requires_grad_()
    assert torch.autograd.grad(loss(z, v), (z, v), allow_unused=True)[1] is None
    (slope,) = torch.autograd.grad(same := loss(z, z), z)
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert slope.abs().max() < 1e-6


def test_classes_that_one_of_both_masks_are_left_out_and_do_not_make_the_loss_infinite(masked):
    z, v = torch.randn(2, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for network, other in ((masked(z), v), (z, masked(v)), (masked(z), masked(v))):
        network.requires_grad_()
        loss = mutual_loss(network, other)
        loss.backward()
        rows = []
        for mine, theirs in zip(network.detach(), other, strict=True):
            kept = torch.isfinite(mine) & torch.isfinite(theirs)
            rows.append(given_logits.divergences(mine[kept][None], theirs[kept][None], 1.0))
        assert loss.item() == pytest.approx(np.mean(rows), abs=1e-12)
        assert torch.isfinite(network.grad).all()


@pytest.mark.parametrize("loss", [mutual_loss, published_mutual_loss])
def test_extreme_logits_have_a_finite_loss_and_gradient(loss):
    z = torch.tensor([[1e4, 0.0, 0.0], [-2000.0, 2000.0, 0.0]], requires_grad=True)
    v = torch.tensor([[0.0, 1e4, 0.0], [3.0, 0.0, -3.0]])
    found = loss(z, v)
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(z.grad).all()


def test_the_peer_is_a_network_like_the_student_with_weights_of_its_own(bench):
    method = METHOD(bench.pair)
    mine, theirs = bench.student.state_dict(), method.peer.state_dict()
    assert {name: each.shape for name, each in mine.items()} == {name: each.shape for name, each in theirs.items()}
    assert not torch.equal(mine["classifier.weight"], theirs["classifier.weight"])
    assert method.peer.training
    assert (method.peer.name, method.peer.in_size, method.peer.width) == ("wrn-10-1", 16, 0.25)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_peer_lies_in_memory_as_the_student_does_with_the_same_initial_weights(layout, bench):
    bench.student.to(memory_format=layout)
    torch.manual_seed(0)
    peer = METHOD(bench.pair).peer
    torch.manual_seed(0)
    expected = models.create("wrn-10-1", 5, in_size=16, width=0.25)
    sides = list(zip(peer.parameters(), bench.student.parameters(), expected.parameters(), strict=True))
    assert all(mine.stride() == theirs.stride() for mine, theirs, _ in sides)
    assert all(torch.equal(mine, fresh) for mine, _, fresh in sides)


@pytest.mark.parametrize(
    ("options", "loss"), [({}, mutual_loss), (METHOD.variants["published"], published_mutual_loss)]
)
def test_parts_are_the_students_divergence_and_the_whole_loss_of_the_peer(options, loss, bench):
    seen = bench.batch()
    method = METHOD(bench.pair, **options)
    parts = method(seen.student, seen.student, seen.data)
    peer = method.peer(seen.data.images[:, :, :16, :16]).logits
    assert list(parts) == ["mimic", "peer"]
    assert parts["mimic"].item() == pytest.approx(loss(seen.student.logits, peer).item(), rel=1e-5)
    expected = given_logits.cross_entropy(peer, seen.data.targets) + loss(peer, seen.student.logits).item()
    assert parts["peer"].item() == pytest.approx(expected, rel=1e-5)


def test_each_part_trains_one_network(bench):
    seen = bench.batch()
    method = METHOD(bench.pair)
    parts = method(seen.student, seen.student, seen.data)
    mine, theirs = list(bench.student.parameters()), list(method.peer.parameters())
    reached = {
        part: [
            any(each is not None for each in torch.autograd.grad(loss, side, retain_graph=True, allow_unused=True))
            for side in (mine, theirs)
        ]
        for part, loss in parts.items()
    }
    assert reached == {"mimic": [True, False], "peer": [False, True]}


def test_the_peer_sees_the_images_at_its_own_size(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1", sizes=(16, 24))
    seen = bench.batch()
    method = METHOD(bench.pair)
    sizes = []
    method.peer.register_forward_pre_hook(lambda _, images: sizes.append(tuple(images[0].shape)))
    method(seen.student, seen.student, seen.data)
    assert sizes == [(4, 3, 16, 16)]


def test_steps_bring_both_networks_together(bench):
    seen = bench.batch(8)
    torch.manual_seed(0)
    method = METHOD(bench.pair)
    network = bench.student.train()
    optimiser = torch.optim.SGD([*network.parameters(), *method.peer.parameters()], lr=0.05)
    before = [each.detach().clone() for each in (method.peer.classifier.weight, network.classifier.weight)]
    losses = []
    for _ in range(12):
        student = network(seen.data.images)
        parts = method(student, student, seen.data)
        loss = functional.cross_entropy(student.logits, seen.data.targets) + sum(parts.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    after = method.peer.classifier.weight, network.classifier.weight
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


class Tiny(Network):
    family = "tiny-dml"

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, request.channels(16), 3, stride=2, padding=1)
        self.classifier = torch.nn.Linear(request.channels(16), request.num_classes)

    def forward(self, images):
        last = self.conv(images).relu()
        embedding = last.mean((2, 3))
        return Features(self.classifier(embedding), embedding, last, (images, last), (images, last))


def test_a_network_that_another_file_registers_gets_a_peer_too(bench, monkeypatch):
    models.names()  # finds the project's own first
    monkeypatch.setattr(registry, "registered", dict(registry.registered))
    models.register("tiny-dml")(Tiny)
    student = models.create("tiny-dml", 5, in_size=16, width=0.5)
    method = METHOD(dataclasses.replace(bench.pair, student=student.shapes(), student_network=student))
    assert type(method.peer) is Tiny
    assert method.peer.conv.weight.shape == student.conv.weight.shape


def test_no_teacher_is_needed():
    assert METHOD.teacher == "none"
    assert METHOD.objective == {"ce": 1, "weight": 1}
