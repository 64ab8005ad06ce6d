"""DKD against golden values, sums over classes in NumPy and the divergence that it takes apart."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import softmax

from methods import NotApplicableError, load
from methods.dkd import nckd_loss, tckd_loss
from tests.methods import given_logits, modern

METHOD = load("dkd")
parts_of = partial(given_logits.parts, METHOD)


def naive_parts(z, v, y, temperature):
    """Both parts of each row, from probabilities and their ratios."""
    target, others = [], []
    for mine, theirs, label in zip(z.detach().numpy() / temperature, v.numpy() / temperature, y.tolist(), strict=True):
        q, p = softmax(mine)[label], softmax(theirs)[label]
        target.append(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
        q, p = (softmax(np.delete(row, label)) for row in (mine, theirs))
        others.append(np.sum(p * np.log(p / q)))
    return temperature**2 * np.mean(target), temperature**2 * np.mean(others)


def test_golden(seen, pair):
    z, v, y = seen
    modern.check("dkd.tckd.T4", tckd_loss(z, v, y, 4.0), z)
    modern.check("dkd.nckd.T4", nckd_loss(z, v, y, 4.0), z)
    parts = parts_of(pair, z, v, y)
    assert list(parts) == ["tckd", "nckd"]
    modern.check("dkd", sum(parts.values()), z)
    modern.check("ls.dkd", sum(parts_of(pair, z, v, y, **METHOD.variants["ls"]).values()), z)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_parts_are_those_of_probabilities(temperature, seen):
    z, v, y = seen
    target, others = naive_parts(z, v, y, temperature)
    assert tckd_loss(z, v, y, temperature).item() == pytest.approx(target, rel=1e-10)
    assert nckd_loss(z, v, y, temperature).item() == pytest.approx(others, rel=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_of_kd_is_the_target_part_plus_the_other_one_times_what_the_teacher_leaves_to_it(temperature, seen):
    z, v, y = seen
    for row in range(len(z)):
        one = (z[row : row + 1], v[row : row + 1])
        label = y[row : row + 1]
        rest = 1 - softmax(v[row].numpy() / temperature)[label.item()]
        both = tckd_loss(*one, label, temperature) + rest * nckd_loss(*one, label, temperature)
        whole = temperature**2 * given_logits.divergences(*one, temperature).item()
        assert both.item() == pytest.approx(whole, rel=1e-12)


def test_leading_logits_are_finite_in_float32_with_a_finite_gradient():
    z = torch.tensor([[110.0, 0, 0]], requires_grad=True)
    v, y = torch.tensor([[2.0, 0.5, 0.1]]), torch.tensor([0])
    loss = tckd_loss(z, v, y, 1.0) + 8 * nckd_loss(z, v, y, 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(modern.GOLDEN["edge"]["dkd z=(110,0,0) v=(2,.5,.1) y=0 T=1 beta=8"], rel=1e-5)
    assert torch.isfinite(z.grad).all()


def test_equal_logits_cost_nothing_and_have_no_slope(seen):
    z, _, y = seen
    loss = tckd_loss(z, z.detach(), y, 4.0) + nckd_loss(z, z.detach(), y, 4.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert z.grad.abs().max() < 1e-12


def test_of_two_classes_only_the_target_part_is_left(seen):
    z, v, _ = seen
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    assert nckd_loss(z[:, :2], v[:, :2], y, 4.0) == 0
    expected = 4.0**2 * given_logits.divergences(z[:, :2], v[:, :2], 4.0).mean()
    assert tckd_loss(z[:, :2], v[:, :2], y, 4.0).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("loss_of", [tckd_loss, nckd_loss])
def test_classes_that_the_teacher_masks_leave_loss_and_gradient_finite(loss_of, both, masked):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    loss = loss_of(masked(z) if both else z, masked(v), torch.arange(7), 4.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_order_of_images_does_not_matter(seen):
    z, v, y = seen
    for loss_of in (tckd_loss, nckd_loss):
        assert loss_of(z.flip(0), v.flip(0), y.flip(0), 4.0).item() == pytest.approx(loss_of(z, v, y, 4.0).item())


def test_weights_temperature_and_warm_up_are_options(seen, pair):
    z, v, y = seen
    target, others = naive_parts(z, v, y, 2.0)
    options = {"alpha": 0.5, "beta": 3.0, "temperature": 2.0}
    parts = parts_of(pair, z, v, y, epoch=6.0, epochs=240.0, **options)
    assert parts["tckd"].item() == pytest.approx(6 / 20 * 0.5 * target)
    assert parts["nckd"].item() == pytest.approx(6 / 20 * 3 * others)
    parts = parts_of(pair, z, v, y, epoch=6.0, epochs=240.0, warmup=0.0, **options)
    assert parts["nckd"].item() == pytest.approx(3 * others)


def test_standardised_logits_hide_shift_and_scale(seen, pair):
    z, v, y = seen
    first = parts_of(pair, z, v, y, **METHOD.variants["ls"])
    moved = parts_of(pair, 3 * z - 5, 0.5 * v + 2, y, **METHOD.variants["ls"])
    for name, part in first.items():
        assert moved[name].item() == pytest.approx(part.item(), rel=1e-5)


def test_two_classes_are_not_standardised(make_bench):
    two = make_bench("wrn-10-1", "wrn-16-1", classes=2).pair
    with pytest.raises(NotApplicableError, match="DKD standardises logits"):
        METHOD(two, **METHOD.variants["ls"])
