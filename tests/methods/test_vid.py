"""VID against the known value and the formula."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from methods import load
from methods.alignment import pool_to_smaller
from methods.vid import Gaussian, vid_loss


def naive(mean, teacher, variance):
    total = 0.0
    for (image, channel, y, x), value in np.ndenumerate(teacher):
        total += (mean[image, channel, y, x] - value) ** 2 / variance[channel] + math.log(variance[channel])
    return total / 2 / teacher.size


def test_golden(golden, wave):
    loss = vid_loss(wave.s(4, 5, 4, 4), wave.t(4, 5, 4, 4), torch.full((5,), 5.0, dtype=torch.float64))
    assert loss.item() == pytest.approx(golden["VID_givenmu"], abs=1e-9)


def test_formula():
    generator = torch.Generator().manual_seed(0)
    mean, teacher = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, generator=generator)
    variance = torch.rand(4, dtype=torch.float64, generator=generator) + 0.01
    expected = naive(mean.numpy(), teacher.numpy(), variance.numpy())
    assert vid_loss(mean, teacher, variance).item() == pytest.approx(expected, abs=1e-12)


def test_certain_and_right_predictions_are_below_zero(wave):
    assert vid_loss(wave.s(4, 5, 2, 2), wave.s(4, 5, 2, 2), torch.full((5,), 0.1)).item() == pytest.approx(
        math.log(0.1) / 2
    )


def test_mean_has_three_convolutions_without_bias():
    layers = list(Gaussian(3, 5, 5.0).mean)
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d]
    assert [tuple(layer.weight.shape) for layer in layers[::2]] == [(5, 3, 1, 1), (5, 5, 1, 1), (5, 5, 1, 1)]
    assert all(layer.bias is None for layer in layers[::2])


@pytest.mark.parametrize("variance", [5.0, 0.01, 200.0])
def test_variance_starts_as_asked_and_is_trained(variance):
    gaussian = Gaussian(3, 5, variance)
    found = gaussian(torch.zeros(1, 3, 2, 2))[1]
    assert found.tolist() == pytest.approx([variance] * 5, rel=1e-5)
    assert any(parameter is gaussian.spread for parameter in gaussian.parameters())


def test_default_variance_is_that_of_the_crd_authors():
    assert Gaussian(3, 1, 5.0).spread.item() == pytest.approx(4.99323, abs=1e-5)


def test_method_sums_over_paired_stages_of_any_size(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    method, seen = load("vid")(bench.pair), bench.batch()
    expected = 0.0
    for stage, gaussian in enumerate(method.gaussians, start=1):
        mine, theirs = pool_to_smaller(seen.student.feats[stage], seen.teacher.feats[stage])
        mean, variance = (tensor.detach().numpy() for tensor in gaussian(mine))
        expected += naive(mean, theirs.numpy(), variance)
    assert len(method.gaussians) == 3
    assert method(seen.student, seen.teacher, seen.data)["vid"].item() == pytest.approx(expected, rel=1e-5)


def test_variance_out_of_reach_is_an_error(make_bench):
    with pytest.raises(ValueError, match="variance"):
        load("vid")(make_bench("wrn-10-1", "wrn-16-1").pair, variance=0.0)
