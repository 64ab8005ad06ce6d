"""TTM against golden values and powers of probabilities in NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from methods import load
from methods.ttm import ttm_losses
from tests.methods import given_logits, modern

METHOD = load("ttm")
EXPONENTS = pytest.mark.parametrize("exponent", [0.1, 0.2, 1.0])


@pytest.fixture
def seen():
    z, v, *_ = modern.logits()
    return z.requires_grad_(), v


def naive_losses(z, v, exponent):
    powers = softmax(v.numpy(), axis=1) ** exponent
    p = powers / powers.sum(axis=1, keepdims=True)
    return np.sum(p * (np.log(p) - log_softmax(z.detach().numpy(), axis=1)), axis=1)


@pytest.mark.parametrize("exponent", [0.1, 0.2])
def test_golden(exponent, seen):
    z, v = seen
    modern.check(f"ttm.g{exponent}", ttm_losses(z, v, exponent).mean(), z)


@EXPONENTS
def test_teacher_is_its_probabilities_to_a_power_normalised_again(exponent, seen):
    z, v = seen
    assert ttm_losses(z, v, exponent).tolist() == pytest.approx(naive_losses(z, v, exponent), rel=1e-10)


def test_power_of_one_is_the_plain_divergence(seen):
    z, v = seen
    assert ttm_losses(z, v, 1.0).tolist() == pytest.approx(given_logits.divergences(z, v, 1.0), rel=1e-10)


def test_a_student_that_equals_the_teacher_still_pays_as_the_target_is_flatter(seen):
    _, v = seen
    assert ttm_losses(v, v, 0.1).mean().item() == pytest.approx(modern.GOLDEN["edge"]["ttm.g0.1 at z=v"], rel=1e-9)
    assert ttm_losses(v, v, 1.0).mean().item() == pytest.approx(0, abs=1e-12)
    assert ttm_losses(0.1 * v, v, 0.1).mean().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_classes_that_the_teacher_masks_leave_loss_and_gradient_finite(both, masked):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    losses = ttm_losses(masked(z) if both else z, masked(v), 0.1)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(z.grad).all()


def test_huge_logits_have_a_finite_gradient(seen):
    z, v = seen
    student = (1e4 * z.detach().float()).requires_grad_()
    losses = ttm_losses(student, -1e4 * v.float(), 0.1)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize(("options", "exponent", "scale"), [({}, 0.1, 45), ({"exponent": 0.5, "scale": 2.0}, 0.5, 2)])
def test_method_weighs_the_mean_over_images(options, exponent, scale, seen, make_bench):
    z, v = seen
    method = METHOD(make_bench("wrn-10-1", "wrn-16-1").pair, **options)
    parts = method(given_logits.features(z), given_logits.features(v), given_logits.batch(torch.arange(6)))
    assert list(parts) == ["ttm"]
    assert parts["ttm"].item() == pytest.approx(scale * naive_losses(z, v, exponent).mean(), rel=1e-10)
