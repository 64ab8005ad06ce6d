"""RKD against known values and the formula."""

import numpy as np
import pytest
import torch

from methods.rkd import angle_loss, distance_loss


def huber(x):
    return x * x / 2 if abs(x) < 1 else abs(x) - 0.5


def naive_distances(rows):
    size = len(rows)
    table = np.array([[np.linalg.norm(rows[i] - rows[j]) for j in range(size)] for i in range(size)])
    positive = [value for value in table.flat if value > 0]
    return table / (sum(positive) / len(positive))


def naive_angles(rows):
    size = len(rows)
    table = np.zeros((size, size, size))
    for a in range(size):
        for b in range(size):
            for c in range(size):
                u, v = rows[b] - rows[a], rows[c] - rows[a]
                if a not in {b, c}:
                    table[a, b, c] = np.dot(u, v) / np.linalg.norm(u) / np.linalg.norm(v)
    return table


def test_golden(golden, wave):
    distance, angle = (loss(wave.s(4, 6), wave.t(4, 7)).item() for loss in (distance_loss, angle_loss))
    assert distance == pytest.approx(golden["RKD_D"], abs=1e-9)
    assert angle == pytest.approx(golden["RKD_A"], abs=1e-9)
    assert 25 * distance + 50 * angle == pytest.approx(golden["RKD_25_50"], abs=1e-9)


def test_formula():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    # One row far away, so that some differences leave the parabola of Huber's function.
    teacher = (
        torch.randn(6, 5, dtype=torch.float64, generator=generator) + 20 * torch.eye(6, 5, dtype=torch.float64)[:1]
    )
    for loss, table in ((distance_loss, naive_distances), (angle_loss, naive_angles)):
        difference = table(student.numpy()) - table(teacher.numpy())
        expected = np.mean([huber(x) for x in difference.flat])
        assert loss(student, teacher).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_zero_for_scaled_copies(loss, wave):
    assert loss(3 * wave.s(5, 6), wave.s(5, 6)).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_gradient_agrees_with_differences(loss, wave):
    student = wave.s(5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: loss(rows, wave.t(5, 7)), student)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_coinciding_rows_have_value_and_no_gradient(loss, size, wave):
    student = torch.ones(size, 6).requires_grad_()
    value = loss(student, wave.t(size, 7).float())
    value.backward()
    assert torch.isfinite(value)
    assert torch.equal(student.grad, torch.zeros(size, 6))


def test_two_coinciding_rows_do_not_blow_up_the_gradient_of_the_angles(wave):
    student = torch.stack([torch.ones(6), torch.ones(6), torch.zeros(6)]).requires_grad_()
    angle_loss(student, wave.t(3, 7).float()).backward()
    assert 0 < student.grad.abs().max() < 10
