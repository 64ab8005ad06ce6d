"""DIST against known values, NumPy's and SciPy's correlations, and what a correlation cannot see."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import pearsonr

from methods import load
from methods.dist import relation_loss

DIMS = (0, 1)


def probabilities(logits, temperature=4.0):
    return (logits / temperature).softmax(dim=1)


def random_pair(*shape, dtype=torch.float64):
    logits = torch.randn(2, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return probabilities(3 * logits[0]), probabilities(5 * logits[1])


def test_golden(golden, wave):
    student, teacher = probabilities(3 * wave.s(4, 5)), probabilities(3 * wave.t(4, 5))
    assert relation_loss(student, teacher, dim=1).item() == pytest.approx(golden["DIST_inter_T4"], abs=1e-9)
    assert relation_loss(student, teacher, dim=0).item() == pytest.approx(golden["DIST_intra_T4"], abs=1e-9)


@pytest.mark.parametrize("dim", DIMS)
def test_formula(dim):
    student, teacher = random_pair(7, 9)
    sides = [(values if dim == 1 else values.T).numpy() for values in (student, teacher)]
    expected = np.mean([1 - np.corrcoef(mine, theirs)[0, 1] for mine, theirs in zip(*sides, strict=True)])
    assert relation_loss(student, teacher, dim).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dim", DIMS)
def test_shift_and_positive_scale_of_each_line_do_not_matter_and_order_neither(dim):
    student, teacher = random_pair(6, 8)
    lines = (6, 1) if dim == 1 else (1, 8)
    scale, shift = torch.rand(2, *lines, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    first = relation_loss(student, teacher, dim).item()
    assert relation_loss(scale * student + shift, teacher, dim).item() == pytest.approx(first, abs=1e-12)
    assert relation_loss(student, scale * teacher + shift, dim).item() == pytest.approx(first, abs=1e-12)
    assert relation_loss(student.flip(0, 1), teacher.flip(0, 1), dim).item() == pytest.approx(first, abs=1e-12)
    assert relation_loss(-student, teacher, dim).item() == pytest.approx(2 - first, abs=1e-12)


@pytest.mark.parametrize("dim", DIMS)
def test_copies_cost_nothing(dim):
    student, _ = random_pair(6, 8)
    assert relation_loss(student, student, dim).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dim", DIMS)
def test_gradient_agrees_with_differences(dim):
    student, teacher = random_pair(4, 5)
    assert torch.autograd.gradcheck(lambda values: relation_loss(values, teacher, dim), student.requires_grad_())


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("constant", ["student", "teacher", "both"])
def test_what_does_not_vary_correlates_with_nothing_and_has_no_slope(dim, constant):
    varied, other = random_pair(7, 11, dtype=torch.float32)
    level = torch.full((7, 11), 1 / 3)
    assert (level != level.mean(dim, keepdim=True)).any(), (
        "equals that differ from their rounded mean are what is tested"
    )
    student = (varied if constant == "teacher" else level).clone().requires_grad_()
    loss = relation_loss(student, other if constant == "student" else level, dim)
    loss.backward()
    assert loss == 1
    assert torch.equal(student.grad, torch.zeros(7, 11))


def test_one_constant_line_leaves_the_others_alone():
    student, teacher = random_pair(4, 5)
    student[1] = 0.2
    loss = relation_loss(student, teacher, dim=1)
    others = relation_loss(student[[0, 2, 3]], teacher[[0, 2, 3]], dim=1)
    assert loss.item() == pytest.approx((3 * others.item() + 1) / 4, abs=1e-12)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("power", range(5, 46, 5))
def test_tiny_probabilities_count_as_much_and_have_a_finite_gradient(dim, power):
    pair = random_pair(6, 8, dtype=torch.float32)
    student, teacher = (values * 10.0**-power for values in pair)
    loss = relation_loss(student.requires_grad_(), teacher, dim)
    loss.backward()
    assert torch.isfinite(student.grad).all()
    if power <= 15:  # beyond, squares lose digits
        assert loss.item() == pytest.approx(relation_loss(*pair, dim).item(), abs=1e-4)
    assert torch.isfinite(loss)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_huge_logits_have_a_finite_gradient(size):
    logits = 1e4 * torch.randn(2, size, 6, generator=torch.Generator().manual_seed(0))
    student = logits[0].requires_grad_()
    mine, theirs = probabilities(student), probabilities(logits[1])
    (relation_loss(mine, theirs, 0) + relation_loss(mine, theirs, 1)).backward()
    assert torch.isfinite(student.grad).all()


def naive_distance(student, teacher):
    """Mean of Pearson's distance over rows; 1 where one of them does not vary."""
    varies = [np.ptp(mine) > 0 and np.ptp(theirs) > 0 for mine, theirs in zip(student, teacher, strict=True)]
    pairs = zip(student, teacher, varies, strict=True)
    return np.mean([1 - pearsonr(mine, theirs).statistic if related else 1 for mine, theirs, related in pairs])


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_classes_that_the_teacher_masks_are_improbable_and_nothing_else(both, dim, masked):
    student, teacher = torch.randn(2, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    student, teacher = (masked(student) if both else student).requires_grad_(), masked(teacher)
    mine, theirs = probabilities(student), probabilities(teacher)
    loss = relation_loss(mine, theirs, dim)
    loss.backward()
    lines = [softmax(logits.detach().numpy() / 4, axis=1) for logits in (student, teacher)]
    expected = naive_distance(*(lines if dim == 1 else [values.T for values in lines]))
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert torch.isfinite(student.grad).all()


def test_flat_probabilities_relate_classes_as_the_logits_do():
    """Why no square of the temperature is needed: the loss does not fade as the temperature rises."""
    mine, theirs = torch.randn(2, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hot = relation_loss(probabilities(mine, 1e4), probabilities(theirs, 1e4), dim=1)
    assert hot.item() == pytest.approx(relation_loss(mine, theirs, dim=1).item(), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "weights", "temperature"),
    [
        ({}, (2, 2), 4),
        (load("dist").variants["published"], (2 * 4**2, 2 * 4**2), 4),
        ({"inter": 0.5, "intra": 3.0, "temperature": 1.0}, (0.5, 3), 1),
    ],
)
def test_method_weighs_both_relations_of_softened_probabilities(options, weights, temperature, make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    seen = bench.batch()
    parts = load("dist")(bench.pair, **options)(seen.student, seen.teacher, seen.data)
    mine, theirs = (
        softmax(features.logits.detach().double().numpy() / temperature, axis=1)
        for features in (seen.student, seen.teacher)
    )
    expected = {
        "inter": np.mean([1 - pearsonr(*rows).statistic for rows in zip(mine, theirs, strict=True)]),
        "intra": np.mean([1 - pearsonr(*columns).statistic for columns in zip(mine.T, theirs.T, strict=True)]),
    }
    assert list(parts) == list(expected)
    for weight, (name, value) in zip(weights, expected.items(), strict=True):
        assert parts[name].item() == pytest.approx(weight * value, rel=1e-4)
