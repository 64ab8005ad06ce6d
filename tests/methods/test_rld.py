"""RLD against golden values, a loop over images in NumPy, and DKD where the teacher is right."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import softmax

from methods import load
from methods.dkd import nckd_loss, tckd_loss
from methods.rld import mcd_loss, scd_loss
from tests.methods import given_logits, modern

METHOD = load("rld")
parts_of = partial(given_logits.parts, METHOD)


def naive_scd(z, v, y, temperature):
    losses = []
    for mine, theirs, label in zip(z.detach().numpy(), v.numpy(), y.tolist(), strict=True):
        q, p = softmax(mine / temperature)[label], softmax(theirs / temperature).max()
        losses.append(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    return temperature**2 * np.mean(losses)


def naive_mcd(z, v, y, temperature):
    losses = []
    for mine, theirs, label in zip(z.detach().numpy(), v.numpy(), y.tolist(), strict=True):
        below = [k for k in range(len(theirs)) if theirs[k] < theirs[label]]
        q, p = (softmax(row[below] / temperature) if below else np.ones(1) for row in (mine, theirs))
        losses.append(np.sum(p * np.log(p / q)))
    return temperature**2 * np.mean(losses)


def test_golden(seen, pair):
    z, v, y = seen
    modern.check("rld.scd.t1", scd_loss(z, v, y, 1.0), z)
    modern.check("rld.mcd.T4", mcd_loss(z, v, y, 4.0), z)
    parts = parts_of(pair, z, v, y)
    assert list(parts) == ["scd", "mcd"]
    modern.check("rld", sum(parts.values()), z)
    modern.check("rld[same-t]", sum(parts_of(pair, z, v, y, **METHOD.variants["same-t"]).values()), z)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_parts_are_those_of_single_images(temperature, seen):
    z, v, y = seen
    assert scd_loss(z, v, y, temperature).item() == pytest.approx(naive_scd(z, v, y, temperature), rel=1e-10)
    assert mcd_loss(z, v, y, temperature).item() == pytest.approx(naive_mcd(z, v, y, temperature), rel=1e-10)


def test_where_the_teacher_is_right_it_is_dkd(seen):
    z, v, _ = seen
    y = v.argmax(dim=1)
    for mine, theirs in ((scd_loss, tckd_loss), (mcd_loss, nckd_loss)):
        torch.testing.assert_close(mine(z, v, y, 4.0), theirs(z, v, y, 4.0), rtol=1e-12, atol=1e-12)


def test_label_that_the_teacher_ranks_last_leaves_no_class_and_no_slope(seen):
    z, v, _ = seen
    loss = mcd_loss(z, v, v.argmin(dim=1), 4.0)
    loss.backward()
    assert loss.item() == modern.GOLDEN["edge"]["rld.mcd label last"]
    assert torch.equal(z.grad, torch.zeros(6, 7, dtype=torch.float64))


def test_classes_that_tie_with_the_label_are_left_out():
    z = torch.tensor([[0.3, -1.0, 2.0, 0.7]], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[2.0, 2.0, 1.0, -1.0]], dtype=torch.float64)
    loss = mcd_loss(z, v, torch.tensor([0]), 4.0)
    loss.backward()
    assert loss.item() == pytest.approx(16 * given_logits.divergences(z[:, 2:], v[:, 2:], 4.0).item(), rel=1e-12)
    assert torch.equal(z.grad[:, :2], torch.zeros(1, 2, dtype=torch.float64))


def test_of_two_classes_only_the_confidence_is_left(seen):
    z, v, _ = seen
    assert mcd_loss(z[:, :2], v[:, :2], torch.tensor([0, 1, 0, 1, 0, 1]), 4.0) == 0


def test_equal_logits_cost_nothing_where_the_teacher_is_right(seen):
    z, _, y = seen
    right = z.detach().argmax(dim=1)
    assert scd_loss(z, z.detach(), right, 1.0).item() == pytest.approx(0, abs=1e-12)
    assert mcd_loss(z, z.detach(), y, 4.0).item() == pytest.approx(0, abs=1e-12)
    assert scd_loss(z, z.detach(), y, 1.0) > 0.1


def test_leading_logits_are_finite_in_float32_with_a_finite_gradient():
    z = torch.tensor([[110.0, 0, 0], [-2000, 2000, 0]], requires_grad=True)
    v, y = torch.tensor([[2.0, 0.5, 0.1], [3.0, 0, -3]]), torch.tensor([0, 1])
    loss = scd_loss(z, v, y, 1.0) + mcd_loss(z, v, y, 1.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("loss_of", [scd_loss, mcd_loss])
def test_classes_that_the_teacher_masks_leave_loss_and_gradient_finite(loss_of, both, masked):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    loss = loss_of(masked(z) if both else z, masked(v), torch.arange(7), 4.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_an_image_whose_label_the_teacher_masks_adds_nothing(seen):
    z, v, y = seen
    hidden = v.clone()
    hidden[2, y[2]] = -torch.inf
    others = [0, 1, 3, 4, 5]
    for loss_of in (scd_loss, mcd_loss):
        expected = loss_of(z[others], v[others], y[others], 4.0).item() * 5 / 6
        assert loss_of(z, hidden, y, 4.0).item() == pytest.approx(expected, rel=1e-12)


def test_weights_temperatures_and_warm_up_are_options(seen, pair):
    z, v, y = seen
    options = {"alpha": 0.5, "beta": 3.0, "temperature": 2.0, "confidence_temperature": 3.0}
    parts = parts_of(pair, z, v, y, epoch=6.0, epochs=240.0, **options)
    assert parts["scd"].item() == pytest.approx(6 / 20 * 0.5 * naive_scd(z, v, y, 3.0))
    assert parts["mcd"].item() == pytest.approx(6 / 20 * 3 * naive_mcd(z, v, y, 2.0))


def test_standardised_logits_have_their_own_weights_and_temperatures(seen, pair):
    z, v, y = seen
    parts = parts_of(pair, z, v, y, **METHOD.variants["ls"])
    mine, theirs = ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True) for x in (z, v))
    assert parts["scd"].item() == pytest.approx(9 * naive_scd(mine, theirs, y, 2.0), rel=1e-6)
    assert parts["mcd"].item() == pytest.approx(72 * naive_mcd(mine, theirs, y, 2.0), rel=1e-6)
