"""CTKD against golden values, differences, and what a reversed gradient changes."""

import math
from dataclasses import replace

import pytest
import torch

from methods import load
from methods.ctkd import ctkd_loss, reversal, temperature_of, with_gradient
from methods.kd import kd_loss
from tests.methods import given_logits, modern

METHOD = load("ctkd")


@pytest.fixture
def seen():
    z, v, *_ = modern.logits()
    return z.requires_grad_(), v


def run(pair, z, v, *, epoch=240.0, epochs=240.0, **options):
    """The method in float64 and its loss in an epoch."""
    method = METHOD(pair, **options).double()
    times = {"epoch": torch.tensor(epoch).double(), "epochs": torch.tensor(epochs).double()}
    batch = replace(given_logits.batch(torch.arange(len(z))), **times)
    parts = method(given_logits.features(z), given_logits.features(v), batch)
    assert list(parts) == ["ctkd"]
    return method, parts["ctkd"]


def difference(z, v, lowest, width, step=1e-5):
    """Derivative of the loss by theta, at theta 1, from KD at two temperatures."""
    above, below = (lowest + width / (1 + math.exp(-theta)) for theta in (1 + step, 1 - step))
    return ((kd_loss(z, v, above) - kd_loss(z, v, below)) / (2 * step)).item()


def test_golden(seen, pair):
    z, v = seen
    method, loss = run(pair, z, v)
    temperature = temperature_of(method.theta, method.lowest, method.width)
    assert temperature.item() == pytest.approx(modern.GOLDEN["ctkd.T"], rel=1e-9)
    modern.check("ctkd.kd", loss, z)
    _, loss = run(pair, z, v, standardise=True, lowest=2.0)
    modern.check("ls.ctkd.kd", loss, z)


@pytest.mark.parametrize(("epoch", "epochs"), [(1, 240), (5, 240), (10, 240), (11, 240), (0.25, 60), (2.5, 60)])
def test_theta_ascends_by_a_share_that_grows_along_half_a_cosine(epoch, epochs, seen, pair):
    z, v = seen
    method, loss = run(pair, z, v, epoch=float(epoch), epochs=float(epochs))
    loss.backward()
    published = epoch * 240 / epochs
    expected = modern.GOLDEN[f"ctkd.lambda.e{published:.0f}"] * modern.GOLDEN["ctkd.dtheta_raw"]
    assert method.theta.grad.item() == pytest.approx(expected, rel=1e-9)
    assert method.theta.grad > 0  # gradient descent lowers theta and the temperature, and so raises the loss


def test_gradient_of_theta_is_golden_and_that_of_a_difference(seen, pair):
    z, v = seen
    method, loss = run(pair, z, v, epoch=5.0)
    loss.backward()
    assert method.theta.grad.item() == pytest.approx(modern.GOLDEN["ctkd.dtheta_e5"], rel=1e-9)
    assert method.theta.grad.item() == pytest.approx(-0.5 * difference(z, v, 1.0, 20.0), rel=1e-6)


def test_students_gradient_does_not_depend_on_the_epoch(seen, pair):
    z, v = seen
    found = [torch.autograd.grad(run(pair, z, v, epoch=epoch)[1], z)[0] for epoch in (1.0, 5.0, 240.0)]
    for gradient in found[1:]:
        torch.testing.assert_close(gradient, found[0], rtol=1e-12, atol=1e-14)


def test_reversal_is_nothing_at_first_and_full_at_the_end():
    assert reversal(torch.tensor(0.0)) == 0
    assert reversal(torch.tensor(1.0)).item() == pytest.approx(-1)


@pytest.mark.parametrize("factor", [-1.0, -0.25, 0.0, 2.0])
def test_a_value_keeps_its_size_while_its_gradient_is_multiplied(factor):
    value = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
    found = with_gradient(value, torch.tensor(factor))
    (3 * found).sum().backward()
    torch.testing.assert_close(found, value)
    assert value.grad.tolist() == [3 * factor] * 2


@pytest.mark.parametrize("temperature", [1.0, 4.0, 15.6])
def test_at_a_fixed_temperature_it_is_kd(temperature, seen):
    z, v = seen
    loss = ctkd_loss(z, v, torch.tensor(temperature, dtype=torch.float64))
    torch.testing.assert_close(loss, kd_loss(z, v, temperature), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_classes_that_the_teacher_masks_leave_all_gradients_finite(both, masked):
    z, v = torch.randn(2, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    temperature = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    mine, theirs = masked(z) if both else z, masked(v)
    loss = ctkd_loss(mine, theirs, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(kd_loss(mine, theirs, 2.5).item(), abs=1e-12)
    assert torch.isfinite(z.grad).all()
    slope = (kd_loss(mine, theirs, 2.5 + 1e-5) - kd_loss(mine, theirs, 2.5 - 1e-5)) / 2e-5
    assert temperature.grad.item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-8)


def test_equal_logits_cost_nothing_and_move_neither_student_nor_theta(seen, pair):
    z, _ = seen
    method, loss = run(pair, z, z.detach())
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert z.grad.abs().max() < 1e-12
    assert abs(method.theta.grad.item()) < 1e-12


def test_steps_of_gradient_descent_find_the_temperature_of_the_largest_loss(seen, pair):
    z, v = (each.detach() for each in seen)
    method, _ = run(pair, z, v)
    optimizer = torch.optim.SGD(method.parameters(), lr=2.0, momentum=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        batch = given_logits.batch(torch.arange(6))
        method(given_logits.features(z), given_logits.features(v), batch)["ctkd"].backward()
        optimizer.step()
    temperatures = torch.linspace(1, 21, 2001, dtype=torch.float64).tolist()
    worst = max(temperatures, key=lambda temperature: kd_loss(z, v, temperature).item())
    assert 1 < worst < 15  # neither an end nor where theta starts
    assert temperature_of(method.theta, method.lowest, method.width).item() == pytest.approx(worst, abs=0.05)


def test_temperatures_curriculum_and_scale_are_options(seen, pair):
    z, v = seen
    method, loss = run(pair, z, v, epoch=10.0, lowest=3.0, width=5.0, curriculum=20.0, scale=2.0)
    loss.backward()
    assert loss.item() == pytest.approx(2 * kd_loss(z, v, 3 + 5 / (1 + math.exp(-1))).item(), rel=1e-12)
    assert method.theta.grad.item() == pytest.approx(-0.5 * 2 * difference(z, v, 3.0, 5.0), rel=1e-6)


def test_variant_of_standardised_logits_has_a_scale_and_a_higher_lowest_temperature(seen, pair):
    z, v = seen
    _, loss = run(pair, z, v, **METHOD.variants["ls"])
    assert loss.item() == pytest.approx(10 * modern.GOLDEN["ls.ctkd.kd"], rel=1e-9)
