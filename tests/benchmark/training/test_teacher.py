from contextlib import contextmanager

import pytest
import torch
from torch.nn import functional

from benchmark.training.cuda_streams import Streams
from benchmark.training.teacher import SharedBatch, Teacher, resize
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


def test_images_and_features_are_computed_once(images, teacher):
    shared = SharedBatch([images], teacher)
    assert shared.images(8) is images
    assert shared.images(16) is shared.images(16)
    assert shared.teacher() is shared.teacher()
    assert shared.teacher(train_mode=True) is shared.teacher(train_mode=True)
    assert not torch.equal(shared.teacher().logits, shared.teacher(train_mode=True).logits)


class CountedStreams(Streams):
    """Counts uses of the main stream."""

    def __init__(self):
        self.entered = 0

    @contextmanager
    def main_stream(self):
        self.entered += 1
        yield


def test_cached_tensors_are_computed_once_on_the_main_stream(images, teacher):
    streams, calls = CountedStreams(), []

    def derive(maps):
        assert streams.entered
        calls.append(maps)
        return 2 * maps

    shared = SharedBatch([images], Teacher(teacher.network, "bf16", streams), streams)
    first = shared.teacher().cached(derive, shared.teacher().feats[-1])
    before = streams.entered
    assert shared.teacher().cached(derive, shared.teacher().feats[-1]) is first
    assert streams.entered > before  # later callers have to wait for it, too
    assert len(calls) == 1
    assert not torch.equal(
        first, shared.teacher(train_mode=True).cached(derive, shared.teacher(train_mode=True).feats[-1])
    )


def test_other_tensors_than_the_teachers_are_not_cached(images, teacher):
    streams = CountedStreams()
    features = Teacher(teacher.network, "fp32", streams).forward(images, train_mode=False)
    pooled = functional.adaptive_avg_pool2d(features.feats[-1], 1)
    before = streams.entered
    assert torch.equal(features.cached(torch.neg, pooled), -pooled)
    assert features.cached(torch.neg, pooled) is not features.cached(torch.neg, pooled)
    assert streams.entered == before
    derived = features.cached(torch.neg, features.feats[-1])
    assert features.cached(torch.abs, derived) is features.cached(torch.abs, derived)


def test_reused_features_have_an_empty_cache(images, teacher):
    shared = SharedBatch([images], teacher)
    stale = shared.teacher().cached(torch.neg, shared.teacher().feats[-1])
    with torch.no_grad():
        shared.teacher().feats[-1].mul_(2)
    again = SharedBatch([images], teacher, replayed=shared)
    assert torch.equal(again.teacher().cached(torch.neg, again.teacher().feats[-1]), 2 * stale)
    assert torch.equal(again.teacher().logits, shared.teacher().logits)
    assert again.writes.changed() is None


def test_inner_layers_of_the_teacher_compute_in_the_precision_of_the_networks(teacher_job):
    network = new_network(teacher_job, torch.device("cpu")).eval()
    kinds = []
    convolution = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    convolution.register_forward_hook(lambda *features: kinds.append(features[2].dtype))
    full = network.resume(2, torch.ones(2, 16, 4, 4))
    teacher = Teacher(network, "bf16")
    rectified = torch.ones(2, 16, 4, 4, requires_grad=True)
    logits = teacher.network.resume(2, rectified)
    assert kinds == [torch.float32, torch.bfloat16]
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, full, atol=0.05)
    logits.sum().backward()
    assert rectified.grad.abs().sum() > 0


def test_train_mode_normalises_with_the_batch_and_changes_nothing(images, teacher):
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    features = teacher.forward(images, train_mode=True)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.network.state_dict().items())
    assert torch.equal(features.logits, teacher.forward(images, train_mode=True).logits)
    expected = teacher.network.train()(images)
    torch.testing.assert_close(features.preacts[-1], expected.preacts[-1].detach())


@pytest.mark.parametrize("train_mode", [False, True])
def test_features_have_full_precision_and_no_graph(images, teacher, train_mode):
    features = Teacher(teacher.network, "bf16").forward(images.requires_grad_(), train_mode=train_mode)
    tensors = (features.logits, *features.feats, *features.preacts, features.map, features.embedding)
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert not any(tensor.requires_grad for tensor in tensors)
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
