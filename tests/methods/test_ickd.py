"""ICKD against golden values, and a statement of its formula in NumPy."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods import load
from methods.ickd import correlation_loss
from methods.kd import kd_loss
from tests.methods import modern
from tests.methods.reference import draw


def connected():
    """The drawn map of the student, the same at the teacher's channels, and the teacher's."""
    student, teacher, *_ = modern.maps()
    draws = modern.Draws(43)
    convolution, scale, shift = 0.5 * draws(4, 5), 1 + 0.1 * draws(4), 0.1 * draws(4)
    student.requires_grad_()
    maps = functional.conv2d(student, convolution[:, :, None, None])
    return student, functional.batch_norm(maps, None, None, scale, shift, training=True), teacher


def naive_correlations(maps):
    channels = maps.reshape(*maps.shape[:2], -1)
    products = channels @ channels.transpose(0, 2, 1)
    lengths = np.sqrt((products**2).sum(2, keepdims=True))
    return products / np.where(lengths > 0, lengths, 1)


def naive(student, teacher):
    difference = naive_correlations(student) - naive_correlations(teacher)
    return (difference**2).sum() / (difference.shape[0] * difference.shape[1])


def test_golden():
    student, maps, teacher = connected()
    loss = correlation_loss(maps, teacher)
    modern.check("ickd", loss, student)
    modern.check("ickd[imagenet]", loss / 6)


@pytest.mark.parametrize("sides", [(4, 4), (2, 8), (1, 3), (5, 2)])
@pytest.mark.parametrize("channels", [1, 3, 20])
def test_formula_for_maps_of_any_sizes(channels, sides):
    student, teacher = (draw(3, channels, side, side, seed=seed) for seed, side in enumerate(sides))
    expected = naive(student.numpy(), teacher.numpy())
    assert correlation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-10, abs=1e-13)


def test_gradient_agrees_with_differences():
    student, teacher = draw(2, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda maps: correlation_loss(maps, teacher), student.requires_grad_())


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_equal_and_scaled_maps_cost_nothing_and_have_no_gradient(dtype, digits):
    maps = draw(3, 6, 4, 4).to(dtype).requires_grad_()
    loss = correlation_loss(maps, 3 * maps.detach())
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=digits)
    assert maps.grad.abs().max() < digits


def test_single_precision_gives_the_value_of_double():
    _, maps, teacher = connected()
    assert correlation_loss(maps.float(), teacher.float()).item() == pytest.approx(modern.GOLDEN["ickd"], rel=1e-4)


@pytest.mark.parametrize("dead", ["student", "teacher", "both"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_channel_of_zeros_correlates_with_nothing_and_has_a_bounded_gradient(dtype, dead):
    student, teacher = draw(2, 3, 5, 4, 4).to(dtype)
    for side, maps in (("student", student), ("teacher", teacher)):
        if dead in (side, "both"):
            maps[:, 1] = 0
    student.requires_grad_()
    loss = correlation_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(naive(student.detach().numpy(), teacher.numpy()), rel=1e-5)
    assert student.grad.abs().max() < 10
    # Where the teacher's channel lives, the products of the student's dead one with the others have a gradient.
    assert student.grad[:, 1].any() == (dead != "both")


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_tiny_and_huge_maps_in_single_precision_have_the_loss_of_ordinary_ones(scale):
    student, teacher = draw(2, 3, 5, 4, 4).float()
    expected = correlation_loss(student, teacher).item()
    assert correlation_loss(scale * student, scale * teacher).item() == pytest.approx(expected, rel=1e-5)


def test_a_common_order_of_the_images_changes_nothing():
    student, teacher = draw(2, 6, 4, 3, 3)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    loss = correlation_loss(student[order], teacher[order])
    assert loss.item() == pytest.approx(correlation_loss(student, teacher).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "factor", "kernel"),
    [
        ({}, 1, 1),
        (load("ickd").variants["kd"], 1, 1),
        (load("ickd").variants["imagenet"], 200 / 4, 3),
        ({"scale": 3.0, "squared": True}, 3 / 4, 1),
    ],
)
def test_method_correlates_the_last_maps_behind_the_connector(options, factor, kernel, make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    method, seen = load("ickd")(bench.pair, **options).double(), bench.batch(4, dtype=torch.float64)
    parts = method(seen.student, seen.teacher, seen.data)
    convolution, norm = method.connector
    assert convolution.bias is None
    assert convolution.kernel_size == (kernel, kernel)
    assert isinstance(norm, torch.nn.BatchNorm2d)
    maps = method.connector(seen.student.feats[-1]).detach().numpy()
    assert maps.shape[2:] == seen.student.feats[-1].shape[2:]
    expected = factor * naive(maps, seen.teacher.feats[-1].numpy())
    assert parts.pop("correlation").item() == pytest.approx(expected, rel=1e-9)
    divergence = kd_loss(seen.student.logits, seen.teacher.logits, 4.0).item()
    weights = {"kd": pytest.approx(divergence / method.objective["weight"])} if "kd" in options else {}
    assert {name: part.item() for name, part in parts.items()} == weights


def test_an_even_kernel_is_an_error(make_bench):
    with pytest.raises(ValueError, match="odd"):
        load("ickd")(make_bench("wrn-10-1", "wrn-16-1").pair, kernel=2)
