"""AT against known values and the formula."""

import math

import numpy as np
import pytest
import torch

from methods import load
from methods.at import at_loss
from tests.methods.reference import halved


def naive_attention(maps):
    batch, channels, height, width = maps.shape
    rows = []
    for image in range(batch):
        row = [
            sum(maps[image, c, y, x] ** 2 for c in range(channels)) / channels
            for y in range(height)
            for x in range(width)
        ]
        length = math.sqrt(sum(value**2 for value in row))
        rows.append([value / max(length, 1e-12) for value in row])
    return np.array(rows)


def test_golden(golden, wave):
    assert at_loss([(wave.s(4, 3, 4, 4), wave.t(4, 5, 2, 2))]).item() == pytest.approx(golden["AT"], abs=1e-9)
    assert at_loss([(wave.s(4, 3, 4, 4), wave.t(4, 3, 4, 4))]).item() == pytest.approx(golden["AT_same"], abs=1e-9)


def test_formula_sums_over_pairs_of_any_size():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 6, 6), (3, 7, 3, 3), (3, 2, 2, 2), (3, 5, 4, 4)]
    a, b, c, d = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in shapes)
    expected = sum(
        np.mean((naive_attention(mine) - naive_attention(theirs)) ** 2)
        for mine, theirs in ((halved(a.numpy()), b.numpy()), (c.numpy(), halved(d.numpy())))
    )
    assert at_loss([(a, b), (c, d)]).item() == pytest.approx(expected, abs=1e-12)


def test_zero_for_scaled_copies(wave):
    assert at_loss([(wave.s(4, 3, 4, 4), 7 * wave.s(4, 3, 4, 4))]).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("theirs", [0, None], ids=["teacher-ordinary", "teacher-alike"])
@pytest.mark.parametrize("power", [*range(-14, -5), -3, 3, 6, 8, 9, 10, 12])
def test_activations_of_any_size_have_the_value_of_the_formula_and_a_finite_slope(power, theirs):
    generator = torch.Generator().manual_seed(0)
    shapes = (3, 16, 4, 4), (3, 5, 4, 4)
    student, teacher = (
        10.0**size * torch.randn(shape, generator=generator)
        for size, shape in zip((power, power if theirs is None else theirs), shapes, strict=True)
    )
    loss = at_loss([(student.requires_grad_(), teacher)])
    loss.backward()
    attentions = [naive_attention(maps.detach().double().numpy()) for maps in (student, teacher)]
    assert loss.item() == pytest.approx(np.mean((attentions[0] - attentions[1]) ** 2), rel=1e-5)
    assert torch.isfinite(student.grad).all()
    if power > -6:  # a unit vector does not depend on the size
        unit = (student.detach() / 10.0**power).requires_grad_()
        at_loss([(unit, teacher)]).backward()
        assert torch.allclose(10.0**power * student.grad, unit.grad, rtol=1e-3, atol=1e-7)


def test_last_counts_after_pairing(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    seen = bench.batch()
    both = [(mine, theirs) for mine, theirs in zip(seen.student.feats, seen.teacher.feats, strict=False)]
    for last, pairs in ((0, both[1:]), (2, both[2:4]), (1, both[3:4]), (9, both[1:])):
        loss = load("at")(bench.pair, last=last)(seen.student, seen.teacher, seen.data)["at"]
        assert loss.item() == pytest.approx(at_loss(pairs).item())
    with pytest.raises(ValueError, match="last"):
        load("at")(bench.pair, last=-1)
