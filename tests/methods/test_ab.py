"""AB against the known value and the formula, and its connectors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.registry import catalog
from methods import load
from methods.ab import ab_loss, boundary_distance
from methods.regressor import Regressor
from models import Shapes
from tests.methods.reference import draw


def naive(student, teacher, margin):
    total = 0.0
    for place, theirs in np.ndenumerate(teacher):
        mine = student[place]
        if theirs <= 0 and mine > -margin:
            total += (mine + margin) ** 2
        elif theirs > 0 and mine <= margin:
            total += (mine - margin) ** 2
    return total


def test_golden(golden, wave):
    shapes = (((4, 3, 4, 4), 0), ((4, 2, 2, 2), 7))
    layers = [(2 * wave.s(*shape, off=off), wave.t(*shape, off=off)) for shape, off in shapes]
    assert ab_loss(layers, 1.0).item() == pytest.approx(golden["AB"], abs=1e-9)


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_formula_weighs_layers_by_powers_of_two(margin):
    shapes = [(3, 2, 4, 4), (3, 5, 2, 2), (3, 4, 1, 3)]
    layers = [(2 * draw(*shape), draw(*shape, seed=1)) for shape in shapes]
    distances = [naive(mine.numpy(), theirs.numpy(), margin) for mine, theirs in layers]
    expected = 3 / 1000 * sum(distance / 2 ** (2 - place) for place, distance in enumerate(distances)) / 3
    assert ab_loss(layers, margin).item() == pytest.approx(expected, abs=1e-12)


def test_a_silent_teacher_is_on_the_lower_side_of_its_boundary():
    student, silent = torch.tensor([[[[-2.0, -1.0, 0.0, 1.0]]]]), torch.zeros(1, 1, 1, 4)
    assert boundary_distance(student, silent, 1.0) == 0 + 0 + 1 + 4


def test_beyond_the_margin_nothing_costs_or_pulls():
    teacher = draw(2, 3, 4, 4)
    student = (1.5 * teacher.sign()).requires_grad_()
    loss = boundary_distance(student, teacher, 1.0)
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


def test_gradient_agrees_with_differences(wave):
    teacher = wave.t(2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda maps: ab_loss([(maps, teacher)], 1.0), wave.s(2, 3, 2, 2).requires_grad_())


def test_pretraining_stage_compares_connected_preactivations(make_bench):
    # Three stages of the student against four of the teacher, of other channels and sizes.
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    method, seen = load("ab")(bench.pair), bench.batch()
    assert all(isinstance(connector, Regressor) and len(connector) == 2 for connector in method.connectors)
    with torch.no_grad():
        layers = [
            (connector(mine), theirs)
            for connector, mine, theirs in zip(
                method.connectors, seen.student.preacts[1:4], seen.teacher.preacts[1:4], strict=True
            )
        ]
        loss = method.pretrain_loss(seen.student, seen.teacher, seen.data)["ab"]
    assert all(mine.shape == theirs.shape for mine, theirs in layers)
    expected = sum(naive(*(m.numpy() for m in pair), 1.0) * 2.0**place for place, pair in enumerate(layers))
    assert loss.item() == pytest.approx(3 / 1000 * expected / 4 / 4, rel=1e-5)


def test_maps_of_equal_shape_are_compared_as_they_are(make_bench):
    alike = load("ab")(make_bench("wrn-10-1", "wrn-16-1").pair)
    assert [type(connector) for connector in alike.connectors] == [nn.Identity] * 3
    assert not list(alike.parameters())
    larger = load("ab")(make_bench("wrn-10-1", "wrn-16-1", sizes=(16, 32)).pair)
    assert [type(connector) for connector in larger.connectors] == [Regressor] * 3


# Tables 11 and 12 of the paper.
PAIRS = (
    "wrn-40-2:wrn-16-2 wrn-40-2:wrn-40-1 resnet56:resnet20 resnet110:resnet20 resnet110:resnet32 "
    "resnet32x4:resnet8x4 vgg13:vgg8 vgg13:mobilenetv2-half resnet50-crd:mobilenetv2-half resnet50-crd:vgg8 "
    "resnet32x4:shufflenetv1 resnet32x4:shufflenetv2 wrn-40-2:shufflenetv1"
)


def shapes(name):
    """A network's shapes with a quarter of the channels: the sizes are what connectors could fail on."""
    feats = [tuple(map(int, feat.split("x"))) for feat in catalog.networks()[name].feats.split()]
    return Shapes(name, "", tuple((channels // 4, *size) for channels, *size in feats), (1, 1, 1), 5)


@pytest.mark.parametrize("names", PAIRS.split())
def test_connectors_reach_the_teachers_shapes(names, make_bench):
    pair = make_bench("wrn-10-1", "wrn-16-1").pair
    teacher, student = map(shapes, names.split(":"))
    connectors = load("ab")(replace(pair, student=student, teacher=teacher)).connectors
    for connector, mine, theirs in zip(connectors, student.feats[1:], teacher.feats[1:], strict=True):
        assert connector(torch.zeros(2, *mine)).shape == (2, *theirs)


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_margin_on_the_wrong_side_is_an_error(margin, make_bench):
    with pytest.raises(ValueError, match="ab: margin must be above 0"):
        load("ab")(make_bench("wrn-10-1", "wrn-16-1").pair, margin=margin)
