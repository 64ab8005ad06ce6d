"""OFD against known values and the formula."""

import math

import numpy as np
import pytest
import torch

from methods import load
from methods.ofd import margins, ofd_loss, partial_distance
from tests.methods.reference import halved

BATCH_NORM = torch.tensor([[1.0, 0.1], [-0.5, -0.3], [0.2, 1.0]], dtype=torch.float64).T


def naive_distance(student, teacher, margin):
    total = 0.0
    for (image, channel, y, x), value in np.ndenumerate(teacher):
        mine, theirs = student[image, channel, y, x], max(value, margin[channel])
        if mine > theirs or theirs > 0:
            total += (mine - theirs) ** 2
    return total


def test_golden(golden, wave):
    margin = margins(*BATCH_NORM)
    assert margin.tolist() == pytest.approx(golden["OFD_margins"], abs=1e-7)
    student, teacher = wave.s(4, 3, 4, 4), wave.t(4, 3, 4, 4)
    assert partial_distance(student, teacher, margin).item() == pytest.approx(golden["OFD_layer_sum"], abs=1e-5)
    total = ofd_loss([(student, teacher, margin)]).item() / 1000
    assert total == pytest.approx(golden["OFD_total_1layer_B_1e-3"], abs=1e-9)


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.2, 0.7), (-2.0, 0.5)])
def test_margin_is_the_mean_of_the_negative_half(mean, deviation):
    points = np.linspace(mean - 12 * deviation, 0, 400_001)
    density = np.exp(-(((points - mean) / deviation) ** 2) / 2)
    expected = (points * density).sum() / density.sum()
    found = margins(torch.tensor([-deviation], dtype=torch.float64), torch.tensor([mean], dtype=torch.float64))
    assert found.item() == pytest.approx(expected, abs=1e-4)


def test_margin_of_channels_that_are_never_negative_or_constant():
    found = margins(torch.tensor([0.1, 0.0, 0.0, 0.0]), torch.tensor([1.0, 0.5, -0.5, 0.0]))
    assert found.tolist() == pytest.approx([-0.3, 0.0, -0.5, 0.0])


def test_formula_weighs_layers_by_powers_of_two_and_pools_the_larger_map():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    sizes = [(4, 4), (6, 3), (2, 4)]
    layers = [(draw(3, 2, a, a), draw(3, 2, b, b), -draw(2).abs()) for a, b in sizes]
    first, second, third = ([tensor.numpy() for tensor in layer] for layer in layers)
    distances = [
        naive_distance(*first),
        naive_distance(halved(second[0]), *second[1:]),
        naive_distance(third[0], halved(third[1]), third[2]),
    ]
    expected = sum(distance / 2 ** (2 - place) for place, distance in enumerate(distances)) / 3
    assert ofd_loss(layers).item() == pytest.approx(expected, abs=1e-9)


def test_student_below_a_silent_teacher_costs_nothing():
    silent = torch.full((1, 1, 2, 2), -2.0)
    margin = torch.tensor([-1.0])
    assert partial_distance(silent - 5, silent, margin) == 0
    assert partial_distance(torch.zeros_like(silent), silent, margin) == 4


def test_method_compares_connected_preactivations_above_the_teachers_margins(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    norms = bench.teacher.preact_norms()
    for place, norm in enumerate(norms):
        torch.nn.init.constant_(norm.weight, -0.5)
        torch.nn.init.constant_(norm.bias, 0.1 * place)
    method, seen = load("ofd")(bench.pair), bench.batch()
    with torch.no_grad():
        loss = method(seen.student, seen.teacher, seen.data)["ofd"]
        layers = [
            (connector(mine), theirs, margins(norm.weight, norm.bias))
            for connector, mine, theirs, norm in zip(
                method.connectors, seen.student.preacts[1:4], seen.teacher.preacts[1:4], norms[:3], strict=True
            )
        ]
    assert loss.item() == pytest.approx(ofd_loss(layers).item(), rel=1e-5)
    assert math.isclose(margins(norms[0].weight, norms[0].bias)[0].item(), -0.5 * (2 / math.pi) ** 0.5, rel_tol=1e-5)
