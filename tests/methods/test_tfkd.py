"""Tf-KD with a plain student as teacher, against golden values and a mean over elements."""

from functools import partial

import pytest
import torch

from methods import load
from methods.tfkd import self_loss
from tests.methods import given_logits, modern

METHOD = load("tfkd")
parts_of = partial(given_logits.parts, METHOD)


@pytest.fixture(scope="module")
def pair(make_bench):
    return make_bench("wrn-10-1", "wrn-10-1").pair


def test_golden(pair):
    z, v, *_, y = modern.logits()
    parts = parts_of(pair, z.requires_grad_(), v, y)
    assert list(parts) == ["ce", "self"]
    modern.check("tfkd.self", sum(parts.values()), z)


@pytest.mark.parametrize(("temperature", "multiplier"), [(1.0, 1.0), (6.0, 50.0), (20.0, 100.0)])
def test_self_loss_is_a_mean_over_elements_times_multiplier_and_squared_temperature(temperature, multiplier):
    z, v, *_ = modern.logits()
    expected = multiplier * temperature**2 * given_logits.divergences(z, v, temperature).sum() / z.numel()
    assert self_loss(z, v, temperature, multiplier).item() == pytest.approx(expected, rel=1e-10)


def test_as_many_elements_as_the_multiplier_make_it_the_loss_of_kd():
    z, v, *_ = modern.logits()
    modern.check("kd.T4", self_loss(z.requires_grad_(), v, 4.0, 7.0), z)


def test_equal_logits_cost_nothing_and_have_no_slope():
    z, *_ = modern.logits()
    loss = self_loss(z.requires_grad_(), z.detach(), 6.0, 50.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert z.grad.abs().max() < 1e-12


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_share_divides_the_whole_between_both_parts(share, pair):
    z, v, *_, y = modern.logits()
    parts = parts_of(pair, z, v, y, share=share, temperature=2.0, multiplier=10.0)
    assert parts["ce"].item() == pytest.approx((1 - share) * given_logits.cross_entropy(z, y), abs=1e-12)
    expected = share * 10 / 7 * 2**2 * given_logits.divergences(z, v, 2.0).mean()
    assert parts["self"].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_masked_classes_leave_loss_and_gradient_finite(both, masked, pair):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z = (masked(z) if both else z).requires_grad_()
    loss = sum(parts_of(pair, z, masked(v), torch.arange(7)).values())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_the_teacher_is_the_plain_student_and_the_loss_the_whole():
    assert METHOD.teacher == "student"
    assert METHOD.objective == {"ce": 0, "weight": 1}
