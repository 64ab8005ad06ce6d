"""SP against the known value and the formula."""

import numpy as np
import pytest
import torch

from methods import load
from methods.sp import sp_loss


def naive_similarity(maps):
    rows = maps.reshape(len(maps), -1)
    table = np.array([[np.dot(a, b) for b in rows] for a in rows])
    return table / np.sqrt((table**2).sum(axis=1))[:, None]


def test_golden(golden, wave):
    assert sp_loss(wave.s(4, 3, 4, 4), wave.t(4, 5, 2, 2)).item() == pytest.approx(golden["SP"], abs=1e-9)


def test_formula():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((5, 2, 3, 3), (5, 4, 2, 2))
    )
    difference = naive_similarity(teacher.numpy()) - naive_similarity(student.numpy())
    assert sp_loss(student, teacher).item() == pytest.approx((difference**2).sum() / 5**2, abs=1e-12)


def test_zero_for_scaled_copies(wave):
    assert sp_loss(3 * wave.s(4, 3, 4, 4), wave.s(4, 3, 4, 4)).item() == pytest.approx(0, abs=1e-15)


def test_gradient_agrees_with_differences(wave):
    assert torch.autograd.gradcheck(lambda maps: sp_loss(maps, wave.t(3, 5, 1, 1)), wave.s(3, 2, 2, 2).requires_grad_())


def test_method_compares_the_last_stage_of_either_network(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    seen = bench.batch()
    loss = load("sp")(bench.pair)(seen.student, seen.teacher, seen.data)["sp"]
    assert loss.item() == pytest.approx(sp_loss(seen.student.feats[3], seen.teacher.feats[4]).item())
