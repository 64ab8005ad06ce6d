"""KD against known values and the formula."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional

from methods import load
from methods.kd import kd_loss
from tests.methods import given_logits, modern

parts_of = partial(given_logits.parts, load("kd"))


def naive(student, teacher, temperature):
    total = 0.0
    for z_student, z_teacher in zip(student, teacher, strict=True):
        p = [math.exp(z / temperature) for z in z_teacher]
        q = [math.exp(z / temperature) for z in z_student]
        for a, b in zip(p, q, strict=True):
            total += a / sum(p) * math.log((a / sum(p)) / (b / sum(q))) if a else 0.0
    return temperature**2 * total / len(student)


def naive_slope(student, teacher, temperature):
    """By the student's logits: ``temperature / B * (Q - P)``."""
    p, q = ([[math.exp(z / temperature) for z in row] for row in each] for each in (teacher, student))
    return [
        [temperature / len(p) * (b / sum(mine) - a / sum(theirs)) for a, b in zip(theirs, mine, strict=True)]
        for theirs, mine in zip(p, q, strict=True)
    ]


def test_golden(golden, wave):
    student, teacher = 3 * wave.s(4, 5), 3 * wave.t(4, 5)
    loss = kd_loss(student, teacher, 4.0)
    assert loss.item() == pytest.approx(golden["KL_T4"], abs=1e-9)
    ce = functional.cross_entropy(student, torch.arange(4))
    assert ce.item() == pytest.approx(golden["CE"], abs=1e-9)
    assert (0.1 * ce + 0.9 * loss).item() == pytest.approx(golden["KD_0.1_0.9_T4"], abs=1e-9)


def test_method_is_golden_with_plain_and_with_standardised_logits(pair):
    z, v, *_, y = modern.logits()
    z.requires_grad_()
    modern.check("kd.T4", parts_of(pair, z, v, y)["kd"], z)
    modern.check("ls.kd", parts_of(pair, z, v, y, standardise=True, temperature=2.0)["kd"], z)
    variant = parts_of(pair, z, v, y, **load("kd").variants["ls"])["kd"]
    assert variant.item() == pytest.approx(10 * modern.GOLDEN["ls.kd"], rel=1e-9)


def test_standardised_logits_that_do_not_vary_have_no_slope(pair):
    z = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[2.0, 0.5, 0.1]], dtype=torch.float64)
    loss = parts_of(pair, z, v, torch.tensor([0]), standardise=True, temperature=2.0)["kd"]
    loss.backward()
    assert loss.item() == pytest.approx(modern.GOLDEN["edge"]["ls.kd z=(1,1,1) v=(2,.5,.1) T=2"], rel=1e-9)
    assert torch.equal(z.grad, torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_formula(temperature):
    student, teacher = torch.randn(2, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = naive(student.tolist(), teacher.tolist(), temperature)
    assert kd_loss(student, teacher, temperature).item() == pytest.approx(expected, abs=1e-9)


def test_equal_logits_cost_nothing_huge_ones_are_finite_and_masks_of_the_student_alone_infinite(wave, masked):
    assert kd_loss(wave.s(4, 5), wave.s(4, 5), 4.0).item() == pytest.approx(0, abs=1e-15)
    assert torch.isfinite(kd_loss(1e4 * wave.s(4, 5).float(), -1e4 * wave.t(4, 5).float(), 4.0))
    student, teacher = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    assert kd_loss(masked(student), teacher, 4.0) == torch.inf


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classes_that_the_teacher_masks_cost_nothing_and_have_the_slope_of_the_formula(both, dtype, masked):
    student, teacher = torch.randn(2, 7, 9, dtype=dtype, generator=torch.Generator().manual_seed(0))
    student, teacher = (masked(student) if both else student).requires_grad_(), masked(teacher)
    loss = kd_loss(student, teacher, 2.5)
    loss.backward()
    digits = {"rel": 1e-5, "abs": 1e-7} if dtype == torch.float32 else {"rel": 1e-12, "abs": 1e-15}
    assert loss.item() == pytest.approx(naive(student.tolist(), teacher.tolist(), 2.5), **digits)
    for slope, row in zip(naive_slope(student.tolist(), teacher.tolist(), 2.5), student.grad.tolist(), strict=True):
        assert row == pytest.approx(slope, **digits)
