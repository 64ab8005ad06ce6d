"""FT against the known value and the formula, and the layers of its two parts."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from methods import load
from methods.ft import Paraphraser, Translator, ft_loss
from tests.methods.reference import draw, halved


def naive(student, teacher):
    differences = []
    for mine, theirs in zip(student, teacher, strict=True):
        rows = [[np.mean(maps[:, y, x] ** 2) for y, x in np.ndindex(maps.shape[1:])] for maps in (mine, theirs)]
        first, second = ([value / math.sqrt(sum(v**2 for v in row)) for value in row] for row in rows)
        differences += [abs(a - b) for a, b in zip(first, second, strict=True)]
    return sum(differences) / len(differences)


def test_golden(golden, wave):
    assert ft_loss(wave.s(4, 3, 4, 4), wave.t(4, 5, 2, 2)).item() == pytest.approx(golden["FT"], abs=1e-9)


def test_formula_pools_the_larger_factor():
    large, small, other = draw(3, 4, 6, 6), draw(3, 5, 3, 3, seed=1), draw(3, 2, 3, 3, seed=2)
    pooled = halved(large.numpy())
    for student, teacher, expected in (
        (large, small, naive(pooled, small.numpy())),
        (small, large, naive(small.numpy(), pooled)),
        (other, small, naive(other.numpy(), small.numpy())),
    ):
        assert ft_loss(student, teacher).item() == pytest.approx(expected, abs=1e-12)


def test_scaled_copies_cost_nothing(wave):
    assert ft_loss(7 * wave.s(4, 3, 4, 4), wave.s(4, 3, 4, 4)).item() == pytest.approx(0, abs=1e-15)


def geometry(convolution):
    return convolution.kernel_size, convolution.stride, convolution.padding, convolution.bias is not None


def test_paraphraser_has_six_layers_of_leaky_convolutions():
    paraphraser = Paraphraser(6, 3)
    for half, kind, channels in (
        (paraphraser.encoder, nn.Conv2d, [(6, 6), (6, 3), (3, 3)]),
        (paraphraser.decoder, nn.ConvTranspose2d, [(3, 3), (3, 6), (6, 6)]),
    ):
        assert [type(layer) for layer in half] == [kind, nn.LeakyReLU] * 3
        assert [(layer.in_channels, layer.out_channels) for layer in half[::2]] == channels
        assert {geometry(layer) for layer in half[::2]} == {((3, 3), (1, 1), (1, 1), True)}
        assert {layer.negative_slope for layer in half[1::2]} == {0.1}
    assert paraphraser(torch.randn(2, 6, 5, 5)).shape == (2, 6, 5, 5)


def test_translator_has_three_normed_layers():
    translator = list(Translator(5, 3))
    assert [type(layer) for layer in translator] == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3
    assert [(layer.in_channels, layer.out_channels) for layer in translator[::3]] == [(5, 5), (5, 3), (3, 3)]
    assert [layer.num_features for layer in translator[1::3]] == [5, 3, 3]
    assert {geometry(layer) for layer in translator[::3]} == {((3, 3), (1, 1), (1, 1), True)}
    assert {layer.negative_slope for layer in translator[2::3]} == {0.1}


def test_run_compares_factors_of_the_last_feats(make_bench):
    # 4 x 4 of the student against 3 x 3 of the teacher.
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    method, seen = load("ft")(bench.pair), bench.batch()
    with torch.no_grad():
        mine, theirs = method.translator(seen.student.feats[3]), method.paraphraser.encoder(seen.teacher.feats[4])
        loss = method(seen.student, seen.teacher, seen.data)["ft"]
    assert theirs.shape == (4, bench.pair.teacher.feats[-1][0] // 2, 3, 3)
    assert loss.item() == pytest.approx(ft_loss(mine, theirs).item(), rel=1e-5)


def test_pretraining_stage_reconstructs_the_teachers_last_feat(make_bench):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    method, seen = load("ft")(bench.pair), bench.batch()
    loss = method.pretrain_loss(seen.teacher, seen.teacher, seen.data)["reconstruction"]
    target = seen.teacher.feats[-1]
    found = method.paraphraser.decoder(method.paraphraser.encoder(target)).detach().numpy()
    assert loss.item() == pytest.approx(np.mean((found - target.numpy()) ** 2), rel=1e-5)


def test_paraphraser_starts_the_same_for_every_student(make_bench):
    states = []
    for student in ("wrn-10-1", "resnet10-narrow"):
        pair = make_bench(student, "wrn-10-2").pair
        torch.manual_seed(0)
        states.append(load("ft")(pair).pretrain_modules().state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(("rate", "factors"), [(0.5, 16), (0.7, 22), (2.0, 64)])
def test_rate_gives_the_channels_of_the_factor(rate, factors, make_bench):
    method = load("ft")(make_bench("wrn-10-1", "wrn-10-2").pair, rate=rate)
    assert method.paraphraser.encoder[-2].out_channels == factors
    assert method.translator[-3].out_channels == factors


@pytest.mark.parametrize("rate", [0.0, 0.03, -1.0])
def test_rate_that_leaves_no_channel_is_an_error(rate, make_bench):
    with pytest.raises(ValueError, match="ft: rate must leave a channel of the teacher's 32"):
        load("ft")(make_bench("wrn-10-1", "wrn-10-2").pair, rate=rate)
