"""Wide residual networks: sizes, shortcuts and feats; `test_published_forms` has their definition."""

import math
import random

import pytest
import torch

import models
from models.describe import parameters


def expected_parameters(depth, factor, num_classes):
    inputs, total = 16, 432
    for base in (16, 32, 64):
        for block in range((depth - 4) // 6):
            i, o = (inputs if block == 0 else base * factor), base * factor
            total += 2 * i + 9 * i * o + 2 * o + 9 * o * o + (i * o if i != o else 0)
        inputs = base * factor
    return total + 2 * inputs + inputs * num_classes + num_classes


@pytest.mark.parametrize("seed", range(6))
def test_any_depth_and_factor_has_the_parameters_of_the_formula(seed):
    draw = random.Random(seed)
    depth, factor, num_classes = 6 * draw.randint(1, 9) + 4, draw.randint(1, 12), draw.randint(1, 200)
    with torch.device("meta"):
        network = models.create(f"wrn-{depth}-{factor}", num_classes)
    assert parameters(network) == expected_parameters(depth, factor, num_classes)


@pytest.mark.parametrize("name", ["wrn-4-2", "wrn-17-2", "wrn-1-1"])
def test_other_depths_are_refused(name):
    with pytest.raises(ValueError, match="6n \\+ 4"):
        models.create(name, num_classes=10)


def test_only_a_change_of_shape_is_projected():
    narrow, wide = models.create("wrn-10-1", 10), models.create("wrn-16-2", 10)
    assert narrow.group1.first.shortcut is None
    assert [wide.get_submodule(f"group{group}.first").shortcut is not None for group in (1, 2, 3)] == [True] * 3
    assert all(wide.get_submodule(f"group{group}.rest.0").shortcut is None for group in (1, 2, 3))


def test_feats_are_raw_and_their_norms_are_the_consumers(trained, images):
    network = trained("wrn-16-2")
    with torch.no_grad():
        features = network(images())
        normed = [norm(feat) for norm, feat in zip(network.preact_norms(), features.feats[1:], strict=True)]
    assert all(feat.min() < 0 for feat in features.feats)
    for actual, expected in zip(features.preacts[1:], normed, strict=True):
        torch.testing.assert_close(actual, expected)
    assert torch.equal(features.preacts[-1].relu(), features.map)


def test_initial_weights_have_the_deviation_of_the_paper():
    network = models.create("wrn-16-10", num_classes=10)
    deviation = network.group3.rest[0].conv1.weight.std().item()
    assert deviation == pytest.approx(math.sqrt(2 / (9 * 640)), rel=0.01)
    assert network.classifier.bias.abs().max() == 0
