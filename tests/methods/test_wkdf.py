"""WKD-F against golden values, and a statement of its formula in NumPy."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods import load
from methods.wkdf import decayed, moments, wasserstein_loss
from tests.methods import modern
from tests.methods.reference import draw


def regressed():
    """The drawn map of the student, the same behind the regressor, and the teacher's."""
    student, teacher, *_ = modern.maps()
    draws = modern.Draws(41)
    convolution, bias, scale, shift = 0.5 * draws(4, 5), 0.1 * draws(4), 1 + 0.1 * draws(4), 0.1 * draws(4)
    student.requires_grad_()
    maps = functional.conv2d(student, convolution[:, :, None, None], bias)
    maps = functional.batch_norm(maps, None, None, scale, shift, training=True)
    return student, maps.relu(), teacher[:, :, ::2, ::2]


def windows(size, cells):
    return [range(cell * size // cells, math.ceil((cell + 1) * size / cells)) for cell in range(cells)]


def naive(student, teacher, grid, ratio):
    total = 0.0
    for rows in windows(student.shape[2], grid):
        for columns in windows(student.shape[3], grid):
            mine, theirs = (
                each[:, :, rows][:, :, :, columns].reshape(*each.shape[:2], -1) for each in (student, teacher)
            )
            count = mine.shape[2]
            deviations = [
                np.sqrt(((each - each.mean(2, keepdims=True)) ** 2).sum(2) / max(count - 1, 1) + 1e-5)
                for each in (mine, theirs)
            ]
            total += (ratio * (mine.mean(2) - theirs.mean(2)) ** 2 + (deviations[0] - deviations[1]) ** 2).sum()
    return total / (len(student) * grid**2)


def at_epoch(batch, epoch, epochs):
    return dataclasses.replace(batch, epoch=torch.tensor(float(epoch)), epochs=torch.tensor(float(epochs)))


@pytest.mark.parametrize(("grid", "ratio"), [(1, 4), (2, 3)])
def test_golden(grid, ratio):
    student, maps, teacher = regressed()
    modern.check(f"wkd_f.grid{grid}.r{ratio}", wasserstein_loss(maps, teacher, grid, ratio), student)


@pytest.mark.parametrize("grid", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(4, 4), (5, 5), (7, 7), (2, 2), (1, 1), (4, 6), (8, 3)])
def test_formula_with_cells_that_do_and_do_not_divide_the_maps(size, grid):
    student, teacher = draw(2, 3, 5, *size)
    expected = naive(student.numpy(), teacher.numpy(), grid, 4.0)
    assert wasserstein_loss(student, teacher, grid, 4.0).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("grid", [2, 3])
def test_gradient_agrees_with_differences(grid):
    student, teacher = draw(2, 2, 2, 4, 4)
    assert torch.autograd.gradcheck(lambda maps: wasserstein_loss(maps, teacher, grid, 3.0), student.requires_grad_())


def test_means_of_cells_are_those_of_adaptive_pooling():
    maps = draw(2, 3, 7, 5)
    torch.testing.assert_close(moments(maps, 3)[0], functional.adaptive_avg_pool2d(maps, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cell_of_one_position_has_the_smallest_deviation_and_a_finite_gradient(dtype):
    student, teacher = draw(2, 3, 5, 4, 4).to(dtype)
    student.requires_grad_()
    loss = wasserstein_loss(student, teacher, 4, 3.0)
    loss.backward()
    assert loss.item() == pytest.approx(3 * (student - teacher).square().sum().item() / (3 * 16), rel=1e-5)
    assert moments(teacher, 4)[1].unique().tolist() == pytest.approx([1e-5**0.5])
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("grid", [1, 4, 3])
def test_equal_maps_cost_nothing_and_have_no_gradient(grid):
    maps = draw(3, 5, 4, 4).requires_grad_()
    loss = wasserstein_loss(maps, maps.detach().clone(), grid, 4.0)
    loss.backward()
    assert loss == 0
    assert not maps.grad.any()


def test_dead_maps_have_a_finite_gradient():
    maps = torch.zeros(3, 5, 4, 4, requires_grad=True)
    wasserstein_loss(maps, draw(3, 5, 4, 4).float(), 2, 4.0).backward()
    assert torch.isfinite(maps.grad).all()


def test_single_precision_of_maps_far_from_zero_gives_the_value_of_double():
    student, teacher = draw(2, 3, 5, 8, 8) + 100
    expected = wasserstein_loss(student, teacher, 2, 1.0).item()
    assert wasserstein_loss(student.float(), teacher.float(), 2, 1.0).item() == pytest.approx(expected, rel=1e-4)


def test_a_common_order_of_the_images_changes_nothing():
    student, teacher = draw(2, 6, 4, 4, 4)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    loss = wasserstein_loss(student[order], teacher[order], 2, 4.0)
    assert loss.item() == pytest.approx(wasserstein_loss(student, teacher, 2, 4.0).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("epoch", "epochs", "start", "factor"),
    [
        (1, 240, 150, 1),
        (150, 240, 150, 1),
        (165, 240, 150, (1 + math.cos(math.pi / 6)) / 2),
        (195, 240, 150, modern.GOLDEN["wkd.decay.e195"]),
        (240, 240, 150, modern.GOLDEN["wkd.decay.e240"]),
        (5, 8, 150, 1),
        (6.5, 8, 150, 0.5),
        (50, 100, 0, 0.5),
        (65, 100, 72, 0.5),
    ],
)
def test_weight_falls_along_half_a_cosine_from_a_share_of_the_training_on(epoch, epochs, start, factor, make_bench):
    batch = make_bench("wrn-10-1", "wrn-16-1").batch().data
    assert decayed(at_epoch(batch, epoch, epochs), start).item() == pytest.approx(factor, abs=1e-6)
    if start == 150:
        assert decayed(at_epoch(batch, epoch, epochs)).item() == pytest.approx(factor, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "scale", "ratio", "grid"),
    [({}, 0.08, 4, 1), ({"scale": 0.3, "ratio": 3.0, "grid": 2}, 0.3, 3, 2)],
)
@pytest.mark.parametrize(("epoch", "decay"), [(12, 1), (195, 0.5)])
def test_method_compares_the_last_maps_behind_the_rectified_regressor(
    options, scale, ratio, grid, epoch, decay, make_bench
):
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    method, seen = load("wkdf")(bench.pair, **options).double(), bench.batch(dtype=torch.float64)
    parts = method(seen.student, seen.teacher, at_epoch(seen.data, epoch, 240))
    maps = method.regressor(seen.student.feats[-1]).detach().numpy()
    assert maps.min() == 0
    expected = scale * decay * naive(maps, seen.teacher.feats[-1].numpy(), grid, ratio)
    assert list(parts) == ["wkdf"]
    assert parts["wkdf"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "named"), [({"grid": 0}, "grid"), ({"decay": 240.0}, "decay"), ({"decay": -1.0}, "decay")]
)
def test_options_out_of_reach_are_errors(options, named, make_bench):
    with pytest.raises(ValueError, match=f"wkdf: {named}"):
        load("wkdf")(make_bench("wrn-10-1", "wrn-16-1").pair, **options)
