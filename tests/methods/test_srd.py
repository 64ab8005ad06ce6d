"""SRD against golden values, and a statement of its formula in NumPy."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from methods import load
from methods.logits import divergence
from methods.srd import projection_loss
from tests.methods import modern
from tests.methods.reference import draw


def embeddings():
    """The drawn embedding ``(6, 5)`` of the student, ``(6, 4)`` of the teacher, and the student's projected one."""
    draws = modern.Draws(31)
    student, teacher = draws(6, 5).requires_grad_(), draws(6, 4)
    draws(6, 4)
    weight, bias = 0.5 * draws(4, 5), 0.1 * draws(4)
    return student, teacher, torch.nn.functional.linear(student, weight, bias)


def naive(projected, teacher):
    mine, theirs = ((each - each.mean(0)) / np.sqrt(each.var(0) + 1e-4) for each in (projected, teacher))
    return math.log(sum(abs(a - t) ** 4 for a, t in zip(mine.flat, theirs.flat, strict=True)))


def test_golden():
    student, teacher, projected = embeddings()
    modern.check("srd.feature", projection_loss(projected, teacher), student)
    student, teacher, projected = embeddings()
    z, v, *_ = modern.logits()
    modern.check("srd", 2 * projection_loss(projected, teacher) + divergence(z, v, 1.0).mean(), student)


@pytest.mark.parametrize("size", [2, 3, 16])
def test_formula(size):
    projected, teacher = draw(2, size, 7)
    expected = naive(projected.numpy(), teacher.numpy())
    assert projection_loss(projected, teacher).item() == pytest.approx(expected, rel=1e-10)


def test_gradient_agrees_with_differences():
    projected, teacher = draw(2, 5, 3)
    assert torch.autograd.gradcheck(lambda each: projection_loss(each, teacher), projected.requires_grad_())


def test_single_precision_gives_the_value_of_double():
    _, teacher, projected = embeddings()
    loss = projection_loss(projected.float(), teacher.float())
    assert loss.item() == pytest.approx(modern.GOLDEN["srd.feature"], rel=1e-3)


def test_scale_and_shift_of_embeddings_with_large_variance_do_not_matter():
    projected, teacher = 1e4 * draw(2, 6, 4)
    first, second = projection_loss(projected, teacher), projection_loss(3 * projected + 7, 5 * teacher - 2)
    assert first.item() == pytest.approx(second.item(), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_embeddings_cost_the_floor_and_have_no_gradient(dtype):
    embedding = draw(6, 4).to(dtype).requires_grad_()
    loss = projection_loss(embedding, embedding.detach().clone())
    loss.backward()
    assert loss.item() == pytest.approx(math.log(1e-12))
    assert not embedding.grad.any()


def test_one_image_has_no_distance():
    projected, teacher = draw(2, 1, 4)
    loss = projection_loss(projected.requires_grad_(), teacher)
    loss.backward()
    assert loss == 0
    assert not projected.grad.any()


def test_a_dead_channel_has_a_finite_gradient():
    projected, teacher = draw(2, 6, 4)
    projected[:, 1] = 0
    teacher[:, 2] = 0.5
    loss = projection_loss(projected.requires_grad_(), teacher)
    loss.backward()
    assert loss.item() == pytest.approx(naive(projected.detach().numpy(), teacher.numpy()), rel=1e-10)
    assert torch.isfinite(projected.grad).all()


def test_a_common_order_of_the_images_changes_nothing():
    projected, teacher = draw(2, 6, 4)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    loss = projection_loss(projected[order], teacher[order])
    assert loss.item() == pytest.approx(projection_loss(projected, teacher).item(), rel=1e-12)


@pytest.mark.parametrize(("options", "feature", "kd"), [({}, 2, 1), ({"feature": 0.5, "kd": 3.0}, 0.5, 3)])
def test_method_weighs_the_projected_distance_and_the_divergence(options, feature, kd, make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-2")
    method, seen = load("srd")(bench.pair, **options).double(), bench.batch(dtype=torch.float64)
    parts = method(seen.student, seen.teacher, seen.data)
    layer = method.projector
    projected = seen.student.embedding.detach().numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    mine, theirs = (softmax(each.logits.detach().numpy(), axis=1) for each in (seen.student, seen.teacher))
    assert list(parts) == ["feature", "kd"]
    expected = feature * naive(projected, seen.teacher.embedding.numpy())
    assert parts["feature"].item() == pytest.approx(expected, rel=1e-9)
    assert parts["kd"].item() == pytest.approx(kd * rel_entr(theirs, mine).sum(1).mean(), rel=1e-9)


def test_norms_leave_no_state(make_bench):
    assert not list(load("srd")(make_bench("wrn-10-1", "wrn-16-2").pair).buffers())
