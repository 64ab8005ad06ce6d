"""ITRD against golden values, and statements of its formulas in NumPy."""

import math

import numpy as np
import pytest
import torch

from methods import load
from methods.itrd import correlation_loss, mutual_loss
from tests.methods import modern
from tests.methods.reference import draw


def embeddings():
    """The drawn embeddings ``(6, 5)`` of the student and ``(6, 4)`` of teacher and a narrow student, and the layer."""
    draws = modern.Draws(31)
    student, teacher, narrow = draws(6, 5).requires_grad_(), draws(6, 4), draws(6, 4).requires_grad_()
    weight, bias = 0.5 * draws(4, 5), 0.1 * draws(4)
    return student, teacher, narrow, torch.nn.functional.linear(student, weight, bias)


def naive_correlation(student, teacher, alpha):
    size, total = len(student), 0.0
    for mine, theirs in zip(student.T, teacher.T, strict=True):
        constant = np.ptp(mine) == 0 or np.ptp(theirs) == 0
        correlation = 0.0 if constant else np.corrcoef(mine, theirs)[0, 1] * (size - 1) / size
        total += abs(correlation - 1) ** (2 * alpha)
    return math.log2(total)


def naive_cosine(first, second):
    lengths = math.sqrt(first @ first) * math.sqrt(second @ second)
    return first @ second / lengths if lengths else 0.0


def naive_mutual(student, teacher):
    mine, theirs = ([[naive_cosine(a, b) for b in each] for a in each] for each in (student, teacher))
    joint = np.array(mine) * np.array(theirs)
    return sum(((matrix / np.trace(matrix)) ** 2).sum() * sign for sign, matrix in ((1, np.array(mine)), (-1, joint)))


def test_golden_correlation():
    for alpha in (1.5, 1.01):
        student, teacher, _, widened = embeddings()
        modern.check(f"itrd.corr.a{alpha}", correlation_loss(widened, teacher, alpha), student)


def test_golden_mutual_information():
    student, teacher, narrow, widened = embeddings()
    modern.check("itrd.mutual", mutual_loss(widened, teacher), student)
    modern.check("itrd.mutual.equal_widths", mutual_loss(narrow, teacher), narrow)


def test_golden_sum():
    student, teacher, _, widened = embeddings()
    modern.check("itrd", 2 * correlation_loss(widened, teacher, 1.5) + 0.05 * mutual_loss(widened, teacher), student)


@pytest.mark.parametrize("size", [2, 3, 16])
@pytest.mark.parametrize("alpha", [1.01, 1.5, 2.0])
def test_formulas(size, alpha):
    student, teacher = draw(2, size, 7)
    expected = naive_correlation(student.numpy(), teacher.numpy(), alpha)
    assert correlation_loss(student, teacher, alpha).item() == pytest.approx(expected, rel=1e-10)
    assert mutual_loss(student, teacher).item() == pytest.approx(
        naive_mutual(student.numpy(), teacher.numpy()), rel=1e-10
    )


def test_gradients_agree_with_differences():
    student, teacher = draw(2, 5, 3)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda each: correlation_loss(each, teacher, 1.5), student)
    assert torch.autograd.gradcheck(lambda each: mutual_loss(each, teacher), student)


def test_single_precision_gives_the_values_of_double():
    _, teacher, _, widened = embeddings()
    assert correlation_loss(widened.float(), teacher.float(), 1.5).item() == pytest.approx(
        modern.GOLDEN["itrd.corr.a1.5"], rel=1e-3
    )
    assert mutual_loss(widened.float(), teacher.float()).item() == pytest.approx(modern.GOLDEN["itrd.mutual"], rel=1e-3)


def test_equal_embeddings_reach_the_bound_of_the_correlation_loss_but_share_information():
    _, teacher, _, _ = embeddings()
    assert correlation_loss(teacher, teacher, 1.5).item() == pytest.approx(math.log2(4) - 3 * math.log2(6), rel=1e-12)
    edges = modern.GOLDEN["edge"]
    assert correlation_loss(teacher, teacher, 1.5).item() == pytest.approx(
        edges["itrd.corr equal d=4 B=6 a=1.5"], rel=1e-9
    )
    assert mutual_loss(teacher, teacher).item() == pytest.approx(edges["itrd.mutual at f_s=f_t"], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 1 / 3, -2e5])
@pytest.mark.parametrize("constant", ["student", "teacher"])
def test_a_channel_that_does_not_vary_correlates_with_nothing(constant, level, dtype):
    student, teacher = draw(2, 6, 4).to(dtype)
    (student if constant == "student" else teacher)[:, 1] = level
    student.requires_grad_()
    loss = correlation_loss(student, teacher, 1.5)
    loss.backward()
    expected = naive_correlation(student.detach().double().numpy(), teacher.double().numpy(), 1.5)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(student.grad).all()
    assert not student.grad[:, 1].any()


def test_images_without_features_have_similarity_0_and_a_finite_gradient():
    student, teacher = draw(2, 6, 4)
    student[2] = 0
    student.requires_grad_()
    loss = mutual_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(naive_mutual(student.detach().numpy(), teacher.numpy()), rel=1e-10)
    assert torch.isfinite(student.grad).all()
    assert mutual_loss(torch.zeros(6, 4), teacher.float()) == 0


def test_one_image_costs_nothing_and_has_no_gradient():
    student, teacher = draw(2, 1, 4)
    loss = correlation_loss(student.requires_grad_(), teacher, 1.5) + mutual_loss(student, teacher)
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


def test_a_common_order_of_the_images_changes_nothing():
    student, teacher = draw(2, 6, 4)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for loss in (mutual_loss, lambda mine, theirs: correlation_loss(mine, theirs, 1.5)):
        assert loss(student[order], teacher[order]).item() == pytest.approx(loss(student, teacher).item(), rel=1e-12)


@pytest.mark.parametrize("pair", [("wrn-10-1", "wrn-16-2"), ("wrn-10-1", "wrn-16-1")], ids=["widened", "equal-widths"])
@pytest.mark.parametrize(
    ("options", "correlation", "alpha", "mutual"),
    [
        ({}, 2, 1.5, 0.05),
        (load("itrd").variants["same"], 2, 1.01, 1),
        ({"correlation": 0.5, "alpha": 2.0, "mutual": 3.0}, 0.5, 2, 3),
    ],
)
def test_method_weighs_both_losses_and_widens_unequal_embeddings(options, correlation, alpha, mutual, pair, make_bench):
    bench = make_bench(*pair)
    method, seen = load("itrd")(bench.pair, **options).double(), bench.batch(dtype=torch.float64)
    parts = method(seen.student, seen.teacher, seen.data)
    mine, theirs = (each.embedding.detach().numpy() for each in (seen.student, seen.teacher))
    widened = mine @ method.widen.weight.detach().numpy().T + method.widen.bias.detach().numpy()
    compared = mine if mine.shape == theirs.shape else widened
    assert list(parts) == ["correlation", "mutual"]
    expected = correlation * naive_correlation(widened, theirs, alpha)
    assert parts["correlation"].item() == pytest.approx(expected, rel=1e-9)
    assert parts["mutual"].item() == pytest.approx(mutual * naive_mutual(compared, theirs), rel=1e-9)
