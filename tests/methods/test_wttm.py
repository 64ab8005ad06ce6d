"""WTTM against golden values and sums of powers in NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from methods import load
from methods.wttm import powers_sum
from tests.methods import given_logits, modern

METHOD = load("wttm")


@pytest.fixture
def seen():
    z, v, *_ = modern.logits()
    return z.requires_grad_(), v


def parts_of(make_bench, z, v, **options):
    method = METHOD(make_bench("wrn-10-1", "wrn-16-1").pair, **options)
    return method(given_logits.features(z), given_logits.features(v), given_logits.batch(torch.arange(len(z))))


def naive_loss(z, v, exponent):
    """Mean over images of ``sum_k u_k (ln u_k - ln U - ln q_k)``, where ``u`` sums to ``U``."""
    losses = []
    for mine, theirs in zip(z.detach().numpy(), v.numpy(), strict=True):
        u = softmax(theirs) ** exponent
        losses.append(np.sum(u * (np.log(u) - np.log(u.sum()) - log_softmax(mine))))
    return np.mean(losses)


@pytest.mark.parametrize("exponent", [0.1, 0.2])
def test_golden(exponent, seen, make_bench):
    z, v = seen
    parts = parts_of(make_bench, z, v, exponent=exponent, scale=1.0)
    assert list(parts) == ["wttm"]
    modern.check(f"wttm.g{exponent}", parts["wttm"], z)


@pytest.mark.parametrize(("options", "exponent", "scale"), [({}, 0.2, 4), ({"exponent": 0.5, "scale": 2.0}, 0.5, 2)])
def test_method_weighs_images_by_the_sum_of_powers(options, exponent, scale, seen, make_bench):
    z, v = seen
    loss = parts_of(make_bench, z, v, **options)["wttm"]
    assert loss.item() == pytest.approx(scale * naive_loss(z, v, exponent), rel=1e-10)


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0])
def test_weights_are_least_for_a_certain_teacher_and_largest_for_one_that_knows_nothing(exponent, seen):
    _, v = seen
    weights = powers_sum(v, exponent)
    expected = (softmax(v.numpy(), axis=1) ** exponent).sum(axis=1)
    assert weights.tolist() == pytest.approx(expected, rel=1e-12)
    certain, ignorant = torch.tensor([[1e4, 0.0, 0, 0, 0, 0, 0]]), torch.zeros(1, 7)
    assert powers_sum(certain, exponent).item() == pytest.approx(1)
    assert powers_sum(ignorant, exponent).item() == pytest.approx(7 ** (1 - exponent), rel=1e-5)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_classes_that_the_teacher_masks_leave_loss_and_gradient_finite(both, masked, make_bench):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    loss = parts_of(make_bench, masked(z) if both else z, masked(v))["wttm"]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
