from contextlib import contextmanager

import pytest
import torch
from torch.nn import functional

from benchmark.training.streams import Streams
from benchmark.training.teacher import Teacher, View, resize
from benchmark.training.weights import new_network


@pytest.fixture
def images():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def teacher(teacher_job):
    network = new_network(teacher_job, torch.device("cpu"))
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.fill_(0.3)
    return Teacher(network, "fp32")


def test_resize_is_bilinear(images):
    larger = resize(images, 16)
    assert larger.shape == (6, 3, 16, 16)
    assert torch.equal(larger, functional.interpolate(images, scale_factor=2, mode="bilinear"))
    assert larger.is_contiguous(memory_format=torch.channels_last)
    assert resize(images, 8) is images


def test_resize_interpolates_between_pixels():
    ramp = torch.arange(4.0).expand(1, 3, 4, 4)
    assert resize(ramp, 8)[0, 0, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


def test_every_size_is_made_once(images):
    view = View(images)
    assert view.at(8) is images
    assert view.at(16) is view.at(16)


def test_teacher_looks_once_in_each_mode(images, teacher):
    view = View(images, teacher)
    assert view.teacher() is view.teacher()
    assert view.teacher(train_mode=True) is view.teacher(train_mode=True)
    assert not torch.equal(view.teacher().logits, view.teacher(train_mode=True).logits)


class Home(Streams):
    """Counts how often something is queued ahead of all streams."""

    def __init__(self):
        self.entered = 0

    @contextmanager
    def main_stream(self):
        self.entered += 1
        yield


def test_what_losses_derive_from_the_teacher_is_computed_once_and_ahead_of_all_lanes(images, teacher):
    streams, calls = Home(), []

    def derive(maps):
        assert streams.entered
        calls.append(maps)
        return 2 * maps

    view = View(images, Teacher(teacher.network, "bf16", streams), streams)
    first = view.teacher().cached(derive, view.teacher().feats[-1])
    before = streams.entered
    assert view.teacher().cached(derive, view.teacher().feats[-1]) is first
    assert streams.entered > before  # who comes later has to wait for it, too
    assert len(calls) == 1
    assert not torch.equal(first, view.teacher(train_mode=True).cached(derive, view.teacher(train_mode=True).feats[-1]))


def test_what_is_not_the_teachers_own_is_worked_on_where_it_was_made(images, teacher):
    streams = Home()
    seen = Teacher(teacher.network, "fp32", streams).forward(images, train_mode=False)
    pooled = functional.adaptive_avg_pool2d(seen.feats[-1], 1)
    before = streams.entered
    assert torch.equal(seen.cached(torch.neg, pooled), -pooled)
    assert seen.cached(torch.neg, pooled) is not seen.cached(torch.neg, pooled)
    assert streams.entered == before
    derived = seen.cached(torch.neg, seen.feats[-1])
    assert seen.cached(torch.abs, derived) is seen.cached(torch.abs, derived)


def test_features_that_serve_again_are_derived_anew(images, teacher):
    view = View(images, teacher)
    stale = view.teacher().cached(torch.neg, view.teacher().feats[-1])
    with torch.no_grad():
        view.teacher().feats[-1].mul_(2)
    again = View(images, teacher, seen=view)
    assert torch.equal(again.teacher().cached(torch.neg, again.teacher().feats[-1]), 2 * stale)
    assert torch.equal(again.teacher().logits, view.teacher().logits)
    assert again.untouched.changed() is None


def test_inner_layers_of_the_teacher_compute_in_the_precision_of_the_networks(teacher_job):
    network = new_network(teacher_job, torch.device("cpu")).eval()
    kinds = []
    convolution = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    convolution.register_forward_hook(lambda *seen: kinds.append(seen[2].dtype))
    full = network.resume(2, torch.ones(2, 16, 4, 4))
    teacher = Teacher(network, "bf16")
    rectified = torch.ones(2, 16, 4, 4, requires_grad=True)
    logits = teacher.network.resume(2, rectified)
    assert kinds == [torch.float32, torch.bfloat16]
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, full, atol=0.05)
    logits.sum().backward()
    assert rectified.grad.abs().sum() > 0


def test_train_mode_normalises_with_the_batch_and_touches_nothing(images, teacher):
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    seen = teacher.forward(images, train_mode=True)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.network.state_dict().items())
    assert torch.equal(seen.logits, teacher.forward(images, train_mode=True).logits)
    expected = teacher.network.train()(images)
    torch.testing.assert_close(seen.preacts[-1], expected.preacts[-1].detach())


def test_no_graph_reaches_the_teacher(images, teacher):
    for train_mode in (False, True):
        seen = teacher.forward(images.requires_grad_(), train_mode=train_mode)
        assert not seen.logits.requires_grad
        assert not any(tap.requires_grad for tap in (*seen.feats, *seen.preacts, seen.map, seen.embedding))
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())


def test_features_are_full_precision(images, teacher):
    seen = Teacher(teacher.network, "bf16").forward(images, train_mode=False)
    assert {tap.dtype for tap in (seen.logits, *seen.feats)} == {torch.float32}


def test_without_a_teacher_there_is_nothing_to_see(images):
    with pytest.raises(RuntimeError, match="no teacher"):
        View(images).teacher()
