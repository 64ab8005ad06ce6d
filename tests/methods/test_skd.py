"""SKD against golden values, inverted covariances in NumPy, and what cosines cannot see."""

from functools import partial

import numpy as np
import pytest
import torch

from methods import load
from methods.skd import direction_loss, similarities
from tests.methods import given_logits, modern

METHOD = load("skd")
parts_of = partial(given_logits.parts, METHOD)


def naive_direction(z, v, divisor=1.0):
    """Mahalanobis lengths by the inverse of the covariance."""
    sides = z.detach().numpy(), v.numpy()
    tables = [[[a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for b in logits] for a in logits] for logits in sides]
    difference = np.subtract(*tables) / divisor
    inverse = np.linalg.inv(np.cov(difference, rowvar=False) + 0.1 * np.eye(len(difference)))
    return np.mean([np.sqrt(row @ inverse @ row) for row in difference])


def naive_shares(v):
    """Shares of images and of classes up to the median of the teacher's confidence."""
    p = v.softmax(dim=1).numpy()
    values = p.max(axis=1), p.sum(axis=0)
    return [np.mean(each <= np.median(each)) for each in values]


def test_golden(seen, pair):
    z, v, y = seen
    modern.check("skd.dir", direction_loss(z, v), z)
    parts = parts_of(pair, z, v, y)
    assert list(parts) == ["kd", "direction"]
    modern.check("skd.ins", parts["kd"], z)
    modern.check("skd", sum(parts_of(pair, z, v, y).values()), z)
    published = parts_of(pair, z, v, y, **METHOD.variants["published"])
    assert list(published) == ["kd", "direction", "ce"]
    modern.check("skd[published]", sum(published.values()), z)


@pytest.mark.parametrize("divisor", [1, 7])
@pytest.mark.parametrize("size", [2, 5, 6])
def test_rows_are_measured_by_the_inverse_covariance(size, divisor, seen):
    z, v, _ = seen
    found = direction_loss(z[:size], v[:size], divisor)
    assert found.item() == pytest.approx(naive_direction(z[:size], v[:size], divisor), rel=1e-9)


def test_gradient_agrees_with_differences(seen):
    z, v, _ = seen
    assert torch.autograd.gradcheck(lambda logits: direction_loss(logits, v[:4]), z.detach()[:4].requires_grad_())


def test_lengths_and_the_order_of_images_and_classes_do_not_matter(seen):
    z, v, _ = seen
    lengths = torch.tensor([[0.01], [0.5], [1.0], [3.0], [20.0], [1e4]], dtype=torch.float64)
    first = direction_loss(z, v).item()
    assert direction_loss(lengths * z, lengths.flip(0) * v).item() == pytest.approx(first, rel=1e-9)
    assert direction_loss(z.flip(0, 1), v.flip(0, 1)).item() == pytest.approx(first, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_logits_cost_nothing_and_have_no_slope(dtype, seen):
    z = seen[0].detach().to(dtype).requires_grad_()
    loss = direction_loss(z, z.detach())
    loss.backward()
    assert loss == 0
    assert torch.equal(z.grad, torch.zeros(6, 7, dtype=dtype))


def test_a_single_image_costs_nothing(seen):
    z, v, _ = seen
    assert direction_loss(z[:1], v[:1]) == 0


def test_logits_that_are_all_0_have_no_slope_and_leave_the_others_theirs(seen):
    z, v, _ = seen
    z = z.detach().float().index_fill(0, torch.tensor([2]), 0.0).requires_grad_()
    loss = direction_loss(z, v.float())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.equal(z.grad[2], torch.zeros(7))
    assert (z.grad[[0, 1, 3, 4, 5]].abs().sum(dim=1) > 0).all()


def test_masked_classes_count_as_0(seen):
    z, *_ = seen
    masked = z.index_fill(1, torch.tensor([1, 4]), -torch.inf)
    torch.testing.assert_close(similarities(masked), similarities(z[:, [0, 2, 3, 5, 6]]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("variant", [None, "published"])
def test_classes_that_the_teacher_masks_leave_loss_and_gradient_finite(variant, both, masked, pair):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    options = METHOD.variants[variant] if variant else {}
    loss = sum(parts_of(pair, masked(z) if both else z, masked(v), torch.arange(7), **options).values())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_a_batch_of_a_usual_size_is_finite_in_float32():
    z, v = torch.randn(2, 64, 100, generator=torch.Generator().manual_seed(0))
    expected = naive_direction(z.double(), v.double())
    assert direction_loss(z, v).item() == pytest.approx(expected, rel=1e-4)


def test_weights_and_temperature_are_options(seen, pair):
    z, v, y = seen
    parts = parts_of(pair, z, v, y, kd=3.0, direction=0.5, ce=0.2, temperature=2.0)
    assert parts["kd"].item() == pytest.approx(3 * given_logits.divergences(z, v, 2.0).mean())
    assert parts["direction"].item() == pytest.approx(0.5 * naive_direction(z, v))
    assert parts["ce"].item() == pytest.approx(0.2 * given_logits.cross_entropy(z, y))


def test_form_of_the_code_divides_by_the_classes_and_multiplies_by_shares_up_to_the_median(seen, pair):
    z, v, y = seen
    images, classes = naive_shares(v)
    parts = parts_of(pair, z, v, y, form="code")
    assert parts["kd"].item() == pytest.approx(images * given_logits.divergences(z, v, 4.0).mean())
    assert parts["direction"].item() == pytest.approx(classes * naive_direction(z, v, 7.0))
