"""Label smoothing against golden values, sums over classes, and PyTorch's own."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional

from methods import load
from methods.label_smoothing import share_of_all, smoothed_cross_entropy
from tests.methods import modern

METHOD = load("label_smoothing")


def naive(logits, targets, label, others):
    """Cross-entropy with a probability of the label and one of each other class."""
    total = 0.0
    for row, target in zip(log_softmax(logits.detach().double().numpy(), axis=1), targets.tolist(), strict=True):
        total -= sum((label if k == target else others) * value for k, value in enumerate(row))
    return total / len(logits)


@pytest.mark.parametrize(("key", "share"), [("", 0.1), ("[tf-kd]", share_of_all(0.1, 7))])
def test_golden(key, share):
    z, *_, y = modern.logits()
    loss = smoothed_cross_entropy(z.requires_grad_(), y, share)
    modern.check(f"label_smoothing.0.1{key}", loss, z)


def test_no_smoothing_is_cross_entropy():
    z, *_, y = modern.logits()
    modern.check("ce", smoothed_cross_entropy(z.requires_grad_(), y, 0.0), z)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
def test_formula_for_all_classes_and_for_the_others(smoothing):
    z, *_, y = modern.logits()
    found = smoothed_cross_entropy(z, y, smoothing).item()
    assert found == pytest.approx(naive(z, y, 1 - smoothing + smoothing / 7, smoothing / 7), abs=1e-12)
    assert found == pytest.approx(functional.cross_entropy(z, y, label_smoothing=smoothing).item(), abs=1e-12)
    others = smoothed_cross_entropy(z, y, share_of_all(smoothing, 7)).item()
    assert others == pytest.approx(naive(z, y, 1 - smoothing, smoothing / 6), abs=1e-12)


def test_no_logits_cost_less_than_those_of_the_smoothed_label():
    y = torch.tensor([2, 0])
    q = torch.full((2, 5), 0.02, dtype=torch.float64).scatter_(1, y[:, None], 0.92)
    z = q.log().requires_grad_()
    loss = smoothed_cross_entropy(z, y, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(-0.92 * math.log(0.92) - 4 * 0.02 * math.log(0.02), abs=1e-12)
    assert z.grad.abs().max() < 1e-15


def test_a_common_shift_and_a_permutation_of_the_batch_change_nothing():
    z, *_, y = modern.logits()
    first = smoothed_cross_entropy(z, y, 0.1).item()
    assert smoothed_cross_entropy(z + 100, y, 0.1).item() == pytest.approx(first, abs=1e-12)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    assert smoothed_cross_entropy(z[order], y[order], 0.1).item() == pytest.approx(first, abs=1e-12)


def test_classes_that_the_student_masks_add_nothing_even_as_a_label(masked):
    z = masked(torch.randn(7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    y = torch.arange(7)
    loss = smoothed_cross_entropy(z, y, 0.1)
    loss.backward()
    rows = np.nan_to_num(log_softmax(z.detach().numpy(), axis=1), neginf=0.0)
    expected = np.mean([-0.9 * row[target] - 0.1 * row.sum() / 9 for row, target in zip(rows, y, strict=True)])
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert torch.isfinite(z.grad).all()


def test_extreme_logits_have_the_exact_finite_loss_and_a_finite_gradient():
    z = torch.tensor([[1e4, 0.0, 0.0], [-1e4, 1e4, 0.0]], requires_grad=True)
    loss = smoothed_cross_entropy(z, torch.tensor([0, 0]), 0.3)
    loss.backward()
    assert loss.item() == pytest.approx((0.2 * 1e4 + 0.7 * 2e4 + 0.1 * 2e4 + 0.1 * 1e4) / 2, rel=1e-6)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(
    ("options", "smoothing", "among"),
    [({}, 0.1, "all"), ({"smoothing": 0.3}, 0.3, "all"), (METHOD.variants["tf-kd"], 0.1, "others")],
)
def test_method_smooths_as_its_options_say_and_needs_no_teacher(options, smoothing, among, classes, make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1", classes=classes)
    seen = bench.batch()
    parts = METHOD(bench.pair, **options)(seen.student, seen.student, seen.data)
    label, others = (
        (1 - smoothing + smoothing / classes, smoothing / classes)
        if among == "all"
        else (
            1 - smoothing,
            smoothing / (classes - 1),
        )
    )
    assert list(parts) == ["smoothed"]
    expected = naive(seen.student.logits, seen.data.targets, label, others)
    assert parts["smoothed"].item() == pytest.approx(expected, rel=1e-5)
    assert METHOD.teacher == "none"
    assert METHOD.objective == {"ce": 0, "weight": 1}
