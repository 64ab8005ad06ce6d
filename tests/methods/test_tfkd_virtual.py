"""Tf-KD with a virtual teacher, against golden values and the formula."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from methods import load
from methods.tfkd_virtual import virtual_logits
from tests.methods import given_logits, modern

METHOD = load("tfkd_virtual")


@pytest.fixture(scope="module")
def pair(make_bench):
    return make_bench("wrn-10-1", "wrn-10-1").pair


def parts_of(pair, z, y, **options):
    return METHOD(pair, **options)(given_logits.features(z), given_logits.features(z), given_logits.batch(y))


def naive(z, y, temperature, multiplier, correct):
    """The divergence from the softmax of probabilities, times the multiplier, mean over elements."""
    classes, total = z.shape[1], 0.0
    for row, label in zip(log_softmax(z.detach().double().numpy(), axis=1), y.tolist(), strict=True):
        distribution = [correct if k == label else (1 - correct) / (classes - 1) for k in range(classes)]
        u = softmax(np.array(distribution) / temperature)
        total += sum(b * (math.log(b) - a) for a, b in zip(row, u, strict=True))
    return multiplier * total / z.numel()


def test_golden(pair):
    z, *_, y = modern.logits()
    parts = parts_of(pair, z.requires_grad_(), y)
    assert list(parts) == ["ce", "self"]
    modern.check("tfkd.reg", sum(parts.values()), z)


@pytest.mark.parametrize("classes", [2, 7, 100])
def test_the_virtual_teacher_has_the_label_first_and_all_others_equal(classes):
    y = torch.arange(4) % classes
    virtual = virtual_logits(torch.zeros(4, classes, dtype=torch.float64), y, 0.99, 20.0)
    assert virtual.argmax(dim=1).tolist() == y.tolist()
    assert (20 * virtual).sum(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert virtual.unique().numel() == 2


def test_at_100_classes_and_temperature_20_the_virtual_teacher_is_nearly_uniform():
    u = virtual_logits(torch.zeros(1, 100, dtype=torch.float64), torch.tensor([3]), 0.99, 20.0).softmax(dim=1)
    assert u.max() / u.min() < 1.051


@pytest.mark.parametrize("classes", [2, 9])
@pytest.mark.parametrize(
    ("share", "options"),
    [
        (0.95, {"temperature": 40.0, "multiplier": 1.0, "correct": 0.99}),
        (0.5, {"temperature": 1.0, "multiplier": 10.0, "correct": 0.8}),
    ],
)
def test_formula(share, options, classes, pair):
    z = torch.randn(5, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 1, 0, 1])
    parts = parts_of(pair, z, y, share=share, **options)
    assert parts["ce"].item() == pytest.approx((1 - share) * given_logits.cross_entropy(z, y), abs=1e-12)
    assert parts["self"].item() == pytest.approx(share * naive(z, y, **options), abs=1e-12)


def test_the_student_that_has_the_virtual_probabilities_pays_cross_entropy_alone(pair):
    y = torch.tensor([2, 0, 4])
    z = virtual_logits(torch.zeros(3, 5, dtype=torch.float64), y, 0.99, 20.0)
    assert parts_of(pair, z, y)["self"].item() == pytest.approx(0, abs=1e-12)


def test_classes_that_the_student_masks_are_left_out_of_both_sides(masked, pair):
    z = masked(torch.randn(7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    y = torch.arange(7)
    parts = parts_of(pair, z, y, share=1.0, multiplier=9.0)
    sum(parts.values()).backward()
    assert torch.isfinite(z.grad).all()
    total = 0.0
    for row, label in zip(z.detach().numpy(), y.tolist(), strict=True):
        kept = np.flatnonzero(np.isfinite(row))
        p = softmax(np.where(kept == label, 0.99, 0.01 / 8) / 20)
        total += np.sum(p * (np.log(p) - log_softmax(row[kept])))
    assert parts["self"].item() == pytest.approx(total / 7, abs=1e-12)


def test_no_teacher_is_needed_and_the_loss_is_the_whole():
    assert METHOD.teacher == "none"
    assert METHOD.objective == {"ce": 0, "weight": 1}
