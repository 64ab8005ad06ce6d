"""SimKD against golden values and NumPy, and the network that it trains in place of the student."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import models
from methods import load
from methods.pooling import pooled
from methods.simkd import map_loss
from models import Features, Network
from models.reused_classifier import ReusedClassifier
from tests.methods import modern
from tests.methods.test_pooling import naive_pooled

METHOD = load("simkd")


class Given(Network):
    """A network whose map is what it is given."""

    def __init__(self, num_classes, channels):
        super().__init__()
        self.name = self.family = "given"
        self.in_size, self.num_classes, self.width = 4, num_classes, 1.0
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, maps):
        embedding = maps.mean((2, 3))
        return Features(self.classifier(embedding), embedding, maps, (maps,), (maps,))


@pytest.fixture
def golden():
    """The network, student's and teacher's map of the golden values."""
    student, teacher, *_, weight, bias = modern.maps()
    network = ReusedClassifier(Given(7, 5), tap="feat", inputs=5, middle=2, outputs=4, size=[4, 4], bias=True).double()
    draws = modern.Draws(47)
    shapes = ((0.5, (2, 5)), (0.3, (2, 2, 3, 3)), (0.5, (4, 2)))
    with torch.no_grad():
        for (scale, shape), (convolution, norm, _) in zip(shapes, network.projector, strict=True):
            convolution.weight.copy_((scale * draws(*shape)).view_as(convolution.weight))
            norm.weight.copy_(1 + 0.1 * draws(shape[0]))
            norm.bias.copy_(0.1 * draws(shape[0]))
        network.classifier.weight.copy_(weight)
        network.classifier.bias.copy_(bias)
    return network, student, teacher


@pytest.fixture
def bench(make_bench):
    return make_bench("wrn-10-1", "wrn-16-2")


def test_golden(golden):
    network, student, teacher = golden
    student.requires_grad_()
    seen = network(student)
    modern.check("simkd", map_loss(seen.map, teacher), student)
    assert seen.logits[0].tolist() == pytest.approx(modern.GOLDEN["simkd.logits[0]"], rel=1e-9)


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (5, 3), (1, 1)])
def test_formula(size):
    _, teacher, *_ = modern.maps()
    mine = torch.randn(6, 4, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.mean((mine.numpy() - naive_pooled(teacher.numpy(), size)) ** 2)
    assert map_loss(mine, teacher).item() == pytest.approx(expected, rel=1e-12)
    assert map_loss(mine.flip(0), teacher.flip(0)).item() == pytest.approx(expected, rel=1e-12)


def test_equal_maps_cost_nothing_and_have_no_slope():
    _, teacher, *_ = modern.maps()
    mine = pooled(teacher, (4, 4)).clone().requires_grad_()
    loss = map_loss(mine, teacher)
    loss.backward()
    assert loss == 0
    assert torch.equal(mine.grad, torch.zeros_like(mine))


def test_the_teachers_pooled_map_is_cached():
    calls = []
    _, teacher, *_ = modern.maps()

    def cached(function, *tensors):
        calls.append((function, tensors))
        return function(*tensors)

    for _ in range(2):
        map_loss(torch.zeros(6, 4, 2, 2, dtype=torch.float64), teacher, cached)
    assert calls[0][0] is calls[1][0]
    assert calls[0][1][0] is teacher


def test_loss_is_that_of_the_maps_alone(bench):
    method = METHOD(bench.pair)
    seen = bench.batch(network=method.wrap(bench.student))
    parts = method(seen.student, seen.teacher, seen.data)
    assert list(parts) == ["simkd"]
    mine, theirs = (each.map.detach().double().numpy() for each in (seen.student, seen.teacher))
    assert parts["simkd"].item() == pytest.approx(np.mean((mine - theirs) ** 2), rel=1e-5)


@pytest.mark.parametrize(
    ("student", "teacher", "sizes", "tap", "size"),
    [
        ("wrn-10-1", "resnet8-A", (16, 16), "map", (4, 4)),
        ("resnet8-A", "wrn-16-2", (16, 32), "feat", (4, 4)),
        ("resnet8-A", "wrn-16-2", (32, 16), "feat", (4, 4)),
        ("mobilenetv2-half", "resnet8x4", (32, 32), "feat", (2, 2)),
        ("shufflenetv2", "vgg8", (32, 32), "feat", (4, 4)),
    ],
)
def test_the_last_tap_is_projected_to_the_teachers_channels_at_the_smaller_size(
    student, teacher, sizes, tap, size, make_bench
):
    bench = make_bench(student, teacher, sizes=sizes)
    network = METHOD(bench.pair).wrap(bench.student)
    mine, theirs = bench.pair.student, bench.pair.teacher
    assert (network.wrapping["tap"], tuple(network.wrapping["size"])) == (tap, size)
    assert network.wrapping["inputs"] == (mine.map if tap == "map" else mine.feats[-1])[0]
    seen = bench.batch(network=network)
    assert seen.student.map.shape == (4, theirs.embedding, *size)
    assert torch.isfinite(METHOD(bench.pair)(seen.student, seen.teacher, seen.data)["simkd"])


@pytest.mark.parametrize(
    ("options", "factor"), [({}, 2), ({"factor": 4}, 4), ({"factor": 8}, 8), ({"factor": 1000}, 1000)]
)
def test_the_factor_narrows_the_projector(options, factor, bench):
    network = METHOD(bench.pair, **options).wrap(bench.student)
    width = bench.pair.teacher.embedding
    assert network.wrapping["middle"] == max(1, math.floor(width / factor))
    assert network.projector[1][0].weight.shape == (*[max(1, width // factor)] * 2, 3, 3)


def test_the_variants_are_other_factors_and_there_is_no_cross_entropy():
    assert METHOD.variants == {"f4": {"factor": 4}, "f8": {"factor": 8}}
    assert METHOD.objective == {"ce": 0.0, "weight": 1.0}


def test_a_factor_below_1_is_refused(bench):
    with pytest.raises(ValueError, match="simkd: factor must be at least 1, not 0"):
        METHOD(bench.pair, factor=0)


def test_the_classifier_is_a_frozen_copy_of_the_teachers(bench):
    network = METHOD(bench.pair).wrap(bench.student)
    theirs = bench.teacher.classifier
    assert torch.equal(network.classifier.weight, theirs.weight)
    assert torch.equal(network.classifier.bias, theirs.bias)
    shared = {each.data_ptr() for each in network.parameters()} & {
        each.data_ptr() for each in bench.teacher.parameters()
    }
    assert not shared
    assert not any(each.requires_grad for each in network.classifier.parameters())
    assert set(map(id, network.modules())).isdisjoint(map(id, bench.teacher.modules()))


def test_a_projector_that_gives_the_teachers_map_gives_the_teachers_logits(bench):
    network = METHOD(bench.pair).wrap(bench.student)
    seen = bench.batch()

    class Exact(nn.Module):
        def forward(self, _maps):
            return seen.teacher.map

    network.projector = Exact()
    torch.testing.assert_close(network(seen.data.images).logits, seen.teacher.logits)


def test_the_gradient_reaches_the_student_and_the_projector_but_no_classifier(bench):
    method = METHOD(bench.pair)
    network = method.wrap(bench.student).train()
    network.zero_grad()
    seen = bench.batch(network=network)
    method(seen.student, seen.teacher, seen.data)["simkd"].backward()
    without = {name for name, each in network.named_parameters() if each.grad is None}
    assert without == {f"{place}classifier.{part}" for place in ("", "student.") for part in ("weight", "bias")}
    assert sum(each.grad.abs().sum() for each in network.student.parameters() if each.grad is not None) > 0
    assert not list(method.parameters())


def test_a_trained_student_goes_on_where_its_weights_are(bench):
    network = METHOD(bench.pair).wrap(copy.deepcopy(bench.student))
    other = models.rewrap(copy.deepcopy(bench.student), network.wrapping)
    other.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(other.eval()(images).logits, network.eval()(images).logits)
