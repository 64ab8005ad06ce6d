"""MobileNetV2 against its definition."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

STAGES = ((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 1), (1, 1))  # blocks and stride


@pytest.fixture
def network(trained):
    """A network whose rectified maps reach beyond 6, where ReLU6 differs from ReLU."""
    network = trained("mobilenetv2-cifar", in_size=32)
    for module in network.modules():
        if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.ReLU6):
            module[1].weight.data *= 5
    return network


def layer(state, conv, norm, x, **options):
    """A biased convolution and its batch-norm."""
    x = F.conv2d(x, state[f"{conv}.weight"], state[f"{conv}.bias"], **options)
    return F.batch_norm(x, *(state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


def by_hand(state, x):
    """The definition in plain functions, on a network's weights: stem, the stages, the last map."""
    x = F.relu6(layer(state, "stem.0", "stem.1", x, padding=1))
    maps = [x]
    for stage, (blocks, first_stride) in enumerate(STAGES):
        for block in range(blocks):
            key, stride = f"stages.{stage}.{block}", first_stride if block == 0 else 1
            out = F.relu6(layer(state, f"{key}.expand.0", f"{key}.expand.1", x))
            depthwise = {"stride": stride, "padding": 1, "groups": out.shape[1]}
            out = F.relu6(layer(state, f"{key}.filter.0", f"{key}.filter.1", out, **depthwise))
            out = layer(state, f"{key}.project", f"{key}.norm", out)
            x = x + out if block > 0 else out
        maps.append(x)
    return [*maps, F.relu6(layer(state, "head.0", "head.1", x))]


def test_maps_are_those_of_the_definition(network, images):
    with torch.no_grad():
        features = network(images(32))
        stem, one, two, three, *_, seven, last = by_hand(network.state_dict(), images(32))
    assert features.taps[0].max() == features.map.max() == 6
    for actual, expected in zip((*features.taps, features.map), (stem, one, two, three, seven, last), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_stage_taps_are_linear(network, images):
    with torch.no_grad():
        features = network(images(32))
    assert all(tap is preact for tap, preact in zip(features.taps, features.preacts, strict=True))
    assert all(tap.min() < 0 for tap in features.taps[1:])
    assert features.taps[0].min() == 0


def test_the_margin_norms_end_the_tapped_stages(network):
    expected = ["stages.0.0.norm", "stages.1.1.norm", "stages.2.2.norm", "stages.6.0.norm"]
    assert network.preact_norms() == [network.get_submodule(key) for key in expected]


def test_the_width_factor_scales_the_head_too(build):
    assert build("mobilenetv2-cifar", width=0.5).classifier.in_features == 640
