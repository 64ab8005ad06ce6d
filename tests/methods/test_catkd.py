"""CAT-KD against golden values and loops over classes, and what class activation maps are."""

import math

import numpy as np
import pytest
import torch

from methods import load
from methods.catkd import attention_loss, class_maps
from tests.methods import modern
from tests.methods.test_pooling import naive_pooled

METHOD = load("catkd")


@pytest.fixture
def sides():
    """Map and weight of the student, with a gradient, and of the teacher; and both biases."""
    student, teacher, weight, bias, their_weight, their_bias = modern.maps()
    mine = student.requires_grad_(), weight.requires_grad_()
    return mine, (teacher, their_weight), (bias, their_bias)


def naive_maps(maps, weight, *, normalise):
    """The maps of single classes, one after the other."""
    found = np.stack([np.tensordot(row, maps, (0, 1)) for row in weight], axis=1)
    if normalise:
        for place in np.ndindex(*found.shape[:2]):
            found[place] /= max(math.sqrt((found[place] ** 2).sum()), 1e-12)
    return found


def naive_loss(student, teacher, side, *, normalise):
    mine, theirs = (
        naive_maps(naive_pooled(maps.detach().numpy(), (side, side)), weight.detach().numpy(), normalise=normalise)
        for maps, weight in (student, teacher)
    )
    return np.mean((mine - theirs) ** 2)


@pytest.mark.parametrize(
    ("key", "side", "normalise"),
    [("catkd.r2", 2, False), ("catkd.r2.normalised", 2, True), ("catkd.r4.normalised", 4, True)],
)
def test_golden(key, side, normalise, sides):
    mine, theirs, _ = sides
    modern.check(key, attention_loss(mine, theirs, side, normalise=normalise), mine[0])


def test_golden_gradient_of_the_classifier(sides):
    mine, theirs, _ = sides
    modern.check("catkd.r2/classifier", attention_loss(mine, theirs, 2, normalise=False), mine[1])


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_formula(side, normalise, sides):
    mine, theirs, _ = sides
    expected = naive_loss(mine, theirs, side, normalise=normalise)
    assert attention_loss(mine, theirs, side, normalise=normalise).item() == pytest.approx(expected, rel=1e-12)


def test_the_mean_of_the_class_maps_and_the_bias_are_the_logits(sides):
    (maps, weight), _, (bias, _) = sides
    logits = torch.nn.functional.linear(maps.mean((2, 3)), weight, bias)
    torch.testing.assert_close(class_maps(maps, weight, normalise=False).mean((1, 2)) + bias, logits)


@pytest.mark.parametrize("normalise", [False, True])
def test_equal_networks_pay_nothing_and_have_no_slope(normalise, sides):
    mine, *_ = sides
    constant = tuple(each.detach() for each in mine)
    loss = attention_loss(mine, constant, 2, normalise=normalise)
    assert loss.item() == pytest.approx(0, abs=1e-30)
    assert all(slope.abs().max() < 1e-15 for slope in torch.autograd.grad(loss, mine))


@pytest.mark.parametrize("normalise", [False, True])
def test_the_order_of_the_batch_does_not_matter(normalise, sides):
    mine, theirs, _ = sides
    turned = (mine[0].flip(0), mine[1]), (theirs[0].flip(0), theirs[1])
    first, other = (attention_loss(*each, 2, normalise=normalise).item() for each in ((mine, theirs), turned))
    assert first == pytest.approx(other, rel=1e-12)


def test_normalised_maps_do_not_know_their_scale(sides):
    mine, theirs, _ = sides
    first = attention_loss(mine, theirs, 2, normalise=True).item()
    assert attention_loss((7 * mine[0], mine[1]), theirs, 2, normalise=True).item() == pytest.approx(first, rel=1e-12)


def test_a_map_of_zeros_is_constant_where_maps_are_normalised(sides):
    (maps, weight), theirs, _ = sides
    zeros = torch.zeros_like(maps, requires_grad=True)
    loss = attention_loss((zeros, weight), theirs, 2, normalise=True)
    assert loss.item() == pytest.approx(naive_loss((zeros, weight), theirs, 2, normalise=True), rel=1e-12)
    assert all(torch.equal(slope, torch.zeros_like(slope)) for slope in torch.autograd.grad(loss, (zeros, weight)))


@pytest.mark.parametrize("normalise", [False, True])
def test_gradients_agree_with_differences(normalise, sides):
    (maps, weight), theirs, _ = sides
    few = maps.detach()[:2].requires_grad_(), weight
    assert torch.autograd.gradcheck(
        lambda mine, row: attention_loss((mine, row), (theirs[0][:2], theirs[1]), 2, normalise=normalise), few
    )


@pytest.mark.parametrize(
    ("teacher", "options", "scale", "side", "normalise"),
    [
        ("wrn-16-2", {}, 10, 2, False),
        ("resnet8-A", {}, 80, 2, True),
        ("resnet8-A", {"scale": 2.5, "side": 4, "normalise": False}, 2.5, 4, False),
        ("wrn-16-2", {"normalise": True}, 10, 2, True),
    ],
)
def test_defaults_depend_on_the_families(teacher, options, scale, side, normalise, make_bench):
    bench = make_bench("wrn-10-1", teacher)
    seen = bench.batch(dtype=torch.float64)
    parts = METHOD(bench.pair, **options)(seen.student, seen.teacher, seen.data)
    mine, theirs = (
        (features.map, network.classifier.weight)
        for features, network in ((seen.student, bench.student), (seen.teacher, bench.teacher))
    )
    assert list(parts) == ["catkd"]
    expected = scale * naive_loss(mine, theirs, side, normalise=normalise)
    assert parts["catkd"].item() == pytest.approx(expected, rel=1e-9)


def test_the_classifiers_are_those_of_the_networks_now_and_only_the_students_learns(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-2")
    method, seen = METHOD(bench.pair), bench.batch()
    bench.teacher.classifier.requires_grad_()
    loss = method(seen.student, seen.teacher, seen.data)["catkd"]
    loss.backward()
    assert bench.student.classifier.weight.grad.abs().sum() > 0
    assert bench.student.classifier.bias.grad is None
    assert bench.teacher.classifier.weight.grad is None
    assert not list(method.parameters())
    with torch.no_grad():
        bench.student.classifier.weight.mul_(2)
    assert method(seen.student, seen.teacher, seen.data)["catkd"] != loss


def test_a_side_below_1_is_refused(make_bench):
    with pytest.raises(ValueError, match="catkd: side must be at least 1, not 0"):
        METHOD(make_bench("wrn-10-1", "wrn-16-2").pair, side=0)
