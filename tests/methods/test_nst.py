"""NST against the known value and its definition."""

import numpy as np
import pytest
import torch

from methods import load
from methods.nst import nst_loss
from tests.methods.reference import halved

# Channels and sides of student and teacher: many positions, few positions, and both on the edge (2^2 positions, 16).
SHAPES = {"wide": (3, 5, 4), "deep": (9, 7, 2), "edge": (4, 4, 2), "point": (3, 5, 1)}


def naive_kernel(first, second):
    """The mean over images and pairs of channels of the squared product, from the table of all products."""
    unit = [maps.reshape(*maps.shape[:2], -1) for maps in (first, second)]
    unit = [maps / np.maximum(np.sqrt((maps**2).sum(axis=2, keepdims=True)), 1e-12) for maps in unit]
    products = unit[0][:, :, None, :] * unit[1][:, None, :, :]
    return np.mean(products.sum(axis=3) ** 2)


def naive(student, teacher):
    return naive_kernel(teacher, teacher) + naive_kernel(student, student) - 2 * naive_kernel(student, teacher)


def draw(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in shapes]


def test_golden(golden, wave):
    assert nst_loss([(wave.s(4, 3, 4, 4), wave.t(4, 5, 2, 2))]).item() == pytest.approx(golden["NST"], abs=1e-9)


@pytest.mark.parametrize(("mine", "theirs", "side"), SHAPES.values(), ids=SHAPES)
def test_matrix_products_equal_the_definition(mine, theirs, side):
    student, teacher = draw((3, mine, side, side), (3, theirs, side, side))
    expected = naive(student.numpy(), teacher.numpy())
    assert nst_loss([(student, teacher)]).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("channels", "side", "most"), [(64, 2, 64 * 4), (4, 16, 4 * 256)])
def test_no_table_is_larger_than_the_maps_where_channels_and_positions_differ(channels, side, most):
    sizes = []

    def saved(tensor):
        sizes.append(tensor.numel())
        return tensor

    student, teacher = draw((1, channels, side, side), (1, channels, side, side))
    with torch.autograd.graph.saved_tensors_hooks(saved, lambda tensor: tensor):
        nst_loss([(student.requires_grad_(), teacher)])
    assert max(sizes) <= most


def test_sums_over_pairs_of_any_size():
    a, b, c, d = draw((3, 4, 6, 6), (3, 7, 3, 3), (3, 9, 2, 2), (3, 5, 4, 4))
    expected = naive(halved(a.numpy()), b.numpy()) + naive(c.numpy(), halved(d.numpy()))
    assert nst_loss([(a, b), (c, d)]).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 3, 4, 4), (4, 9, 2, 2)])
def test_zero_for_scaled_copies(shape, wave):
    assert nst_loss([(wave.s(*shape), 7 * wave.s(*shape))]).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shape", [(2, 2, 2, 2), (2, 9, 2, 2)])
def test_gradient_agrees_with_differences(shape, wave):
    assert torch.autograd.gradcheck(
        lambda maps: nst_loss([(maps, wave.t(2, 3, 2, 2))]), wave.s(*shape).requires_grad_()
    )


@pytest.mark.parametrize("shape", [(2, 2, 2, 2), (2, 9, 2, 2)])
def test_silent_channels_have_value_and_no_gradient(shape, wave):
    student = torch.zeros(shape, requires_grad=True)
    loss = nst_loss([(student, wave.t(2, 3, 2, 2).float())])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.equal(student.grad, torch.zeros(shape))


def of_size(power, shape, seed):
    """A map of float32 and of that size; without one, of channels from 1e-12 to 1e12."""
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    powers = torch.linspace(-12, 12, shape[1])[:, None, None] if power is None else torch.tensor(float(power))
    return maps * 10**powers


@pytest.mark.parametrize("theirs", [0, -11, 11, None])
@pytest.mark.parametrize("mine", [*range(-14, -7), -3, 3, 8, 9, 10, 12, None])
@pytest.mark.parametrize("shapes", [((3, 5, 4, 4), (3, 4, 4, 4)), ((3, 9, 2, 2), (3, 6, 2, 2))], ids=["wide", "deep"])
def test_channels_of_any_size_have_the_value_of_the_definition_and_a_finite_slope(mine, theirs, shapes):
    student, teacher = (of_size(*each) for each in zip((mine, theirs), shapes, (0, 1), strict=True))
    loss = nst_loss([(student.requires_grad_(), teacher)])
    loss.backward()
    expected = naive(student.detach().double().numpy(), teacher.double().numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(student.grad).all()
    if mine is not None and mine > -11:  # a unit vector does not depend on the size
        unit = (student.detach() / 10.0**mine).requires_grad_()
        nst_loss([(unit, teacher)]).backward()
        assert torch.allclose(10.0**mine * student.grad, unit.grad, rtol=1e-3, atol=1e-6)


def test_method_compares_paired_stages(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    seen = bench.batch()
    loss = load("nst")(bench.pair)(seen.student, seen.teacher, seen.data)["nst"]
    pairs = list(zip(seen.student.feats[1:4], seen.teacher.feats[1:4], strict=True))
    assert loss.item() == pytest.approx(nst_loss(pairs).item())
