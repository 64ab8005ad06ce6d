"""FSP against the known value and the formula, and where it cannot be applied."""

import numpy as np
import pytest
import torch

from methods import NotApplicableError, load
from methods.fsp import flow, fsp_loss
from tests.methods.reference import draw, halved


def naive_flow(before, after):
    """Of two maps of one size."""
    batch, channels, height, width = before.shape
    result = np.zeros((batch, after.shape[1], channels))
    for b, c2, c1 in np.ndindex(result.shape):
        result[b, c2, c1] = sum(
            after[b, c2, y, x] * before[b, c1, y, x] for y in range(height) for x in range(width)
        ) / (height * width)
    return result


def test_golden(golden, wave):
    student = [wave.s(4, 3, 4, 4), wave.s(4, 2, 2, 2, off=7)]
    teacher = [wave.t(4, 3, 4, 4), wave.t(4, 2, 2, 2, off=7)]
    assert fsp_loss(student, teacher).item() == pytest.approx(golden["FSP"], abs=1e-9)


def test_formula_sums_over_neighbours_and_pools_the_larger_map():
    shapes = [(2, 3, 4, 4), (2, 5, 4, 4), (2, 4, 2, 2)]
    first, second, third = (draw(*shape) for shape in shapes)
    others = [draw(2, 3, 2, 2, seed=1), draw(2, 5, 4, 4, seed=1), draw(2, 4, 4, 4, seed=1), draw(2, 9, 1, 1, seed=1)]
    a, b, c = (maps.numpy() for maps in (first, second, third))
    d, e, f, _ = (maps.numpy() for maps in others)
    expected = np.mean((naive_flow(a, b) - naive_flow(d, halved(e))) ** 2)
    expected += np.mean((naive_flow(halved(b), c) - naive_flow(e, f)) ** 2)
    assert fsp_loss([first, second, third], others).item() == pytest.approx(expected, abs=1e-12)


def test_flow_is_a_mean_over_positions():
    ones = torch.ones(1, 2, 8, 8)
    assert torch.equal(flow(ones, 3 * torch.ones(1, 5, 4, 4)), 3 * torch.ones(1, 5, 2))


def test_the_same_maps_cost_nothing(wave):
    maps = [wave.s(4, 3, 4, 4), wave.s(4, 2, 2, 2), wave.s(4, 5, 2, 2)]
    assert fsp_loss(maps, maps) == 0


def test_gradient_agrees_with_differences(wave):
    teacher = [wave.t(2, 3, 4, 4), wave.t(2, 2, 2, 2)]
    given = [wave.s(2, 3, 4, 4).requires_grad_(), wave.s(2, 2, 2, 2).requires_grad_()]
    assert torch.autograd.gradcheck(lambda *maps: fsp_loss(maps, teacher), given)


def test_pretraining_stage_compares_feats_from_the_stem_on(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    seen = bench.batch()
    loss = load("fsp")(bench.pair).pretrain_loss(seen.student, seen.teacher, seen.data)["fsp"]
    (s0, s1, s2, s3), (t0, t1, t2, t3) = (
        [maps.detach().double().numpy() for maps in features.feats] for features in (seen.student, seen.teacher)
    )
    expected = np.mean((naive_flow(s0, s1) - naive_flow(t0, t1)) ** 2)
    expected += np.mean((naive_flow(halved(s1), s2) - naive_flow(halved(t1), t2)) ** 2)
    expected += np.mean((naive_flow(halved(s2), s3) - naive_flow(halved(t2), t3)) ** 2)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_unequal_channels_are_refused_in_one_sentence(make_bench):
    message = r"^FSP needs maps of equal channels, but wrn-10-1 has 4, 4, 8, 16 where wrn-10-2 has 4, 8, 16, 32$"
    with pytest.raises(NotApplicableError, match=message):
        load("fsp")(make_bench("wrn-10-1", "wrn-10-2").pair)


def test_stems_alone_can_be_unequal(make_bench):
    with pytest.raises(NotApplicableError, match=r"resnet8x4 has 8, 16, 32, 64 where wrn-10-4 has 4, 16, 32, 64$"):
        load("fsp")(make_bench("resnet8x4", "wrn-10-4").pair)
