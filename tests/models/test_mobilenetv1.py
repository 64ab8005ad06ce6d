"""MobileNet against its definition."""

import torch
from torch.nn import functional as F

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
WITH_FEATS = (3, 5, 11, 13)


def layer(state, conv, norm, x, **options):
    x = F.conv2d(x, state[f"{conv}.weight"], **options)
    return F.batch_norm(x, *(state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


def by_hand(state, x):
    """The definition in plain functions, on a network's weights: the stem and every unit, before the ReLU."""
    maps = [layer(state, "stem.0", "stem.1", x, stride=2, padding=1)]
    for index, stride in enumerate(STRIDES):
        key, x = f"stages.{index}.0", maps[-1].relu()
        x = layer(state, f"{key}.filter.0", f"{key}.filter.1", x, stride=stride, padding=1, groups=x.shape[1]).relu()
        maps.append(layer(state, f"{key}.mix", f"{key}.norm", x))
    return maps


def test_maps_are_those_of_the_definition(trained, images):
    network = trained("mobilenet-imagenet")
    with torch.no_grad():
        features = network(images(64))
        expected = by_hand(network.state_dict(), images(64))
    torch.testing.assert_close(features.feats[0], expected[0].relu(), rtol=1e-4, atol=1e-5)
    for place, unit in enumerate(WITH_FEATS, start=1):
        torch.testing.assert_close(features.preacts[place], expected[unit], rtol=1e-4, atol=1e-5)
        assert torch.equal(features.feats[place], features.preacts[place].relu())
    assert features.map is features.feats[-1]


def test_the_margin_norms_end_the_units_with_feats(build):
    network = build("mobilenet-imagenet")
    assert network.preact_norms() == [network.get_submodule(f"stages.{unit - 1}.0.norm") for unit in WITH_FEATS]
