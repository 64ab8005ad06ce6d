"""MobileNetV2 against its definition."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

# Blocks and stride of each stage, the ones with feats, the stem's stride and the activation of each form.
FORMS = {
    "mobilenetv2-cifar": (((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 1), (1, 1)), (1, 2, 3, 7), 1, F.relu6),
    "mobilenetv2-half": (((1, 1), (2, 1), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)), (2, 3, 5, 7), 2, F.relu),
}

both = pytest.mark.parametrize("name", FORMS)


@pytest.fixture
def network(trained, name):
    """A network whose rectified maps reach beyond 6, where ReLU6 differs from ReLU."""
    network = trained(name, in_size=32, width=1.0).double()
    for module in network.modules():
        if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.ReLU | nn.ReLU6):
            module[1].weight.data *= 5
    return network


def layer(state, conv, norm, x, **options):
    """A convolution and its batch-norm."""
    x = F.conv2d(x, state[f"{conv}.weight"], state.get(f"{conv}.bias"), **options)
    return F.batch_norm(x, *(state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


def by_hand(name, state, x):
    """The definition in plain functions, on a network's weights: stem, the stages with feats, the last map."""
    stages, with_feats, stem_stride, activation = FORMS[name]
    x = activation(layer(state, "stem.0", "stem.1", x, padding=1, stride=stem_stride))
    maps = [x]
    for stage, (blocks, first_stride) in enumerate(stages):
        for block in range(blocks):
            key, stride = f"stages.{stage}.{block}", first_stride if block == 0 else 1
            out = activation(layer(state, f"{key}.expand.0", f"{key}.expand.1", x))
            depthwise = {"stride": stride, "padding": 1, "groups": out.shape[1]}
            out = activation(layer(state, f"{key}.filter.0", f"{key}.filter.1", out, **depthwise))
            out = layer(state, f"{key}.project", f"{key}.norm", out)
            x = x + out if block > 0 else out
        maps += [x] if stage + 1 in with_feats else []
    return [*maps, activation(layer(state, "head.0", "head.1", x))]


@both
def test_maps_are_those_of_the_definition(network, images, name):
    with torch.no_grad():
        features = network(images(32).double())
        expected = by_hand(name, network.state_dict(), images(32).double())
    assert features.map.max() >= 6
    for actual, wanted in zip((*features.feats, features.map), expected, strict=True):
        torch.testing.assert_close(actual, wanted)


@both
def test_stage_feats_are_linear(network, images):
    with torch.no_grad():
        features = network(images(32).double())
    assert all(feat is preact for feat, preact in zip(features.feats, features.preacts, strict=True))
    assert all(feat.min() < 0 for feat in features.feats[1:])
    assert features.feats[0].min() == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenetv2-cifar", ["stages.0.0.norm", "stages.1.1.norm", "stages.2.2.norm", "stages.6.0.norm"]),
        ("mobilenetv2-half", ["stages.1.1.norm", "stages.2.2.norm", "stages.4.2.norm", "stages.6.0.norm"]),
    ],
)
def test_the_margin_norms_end_the_stages_with_feats(build, name, expected):
    network = build(name)
    assert network.preact_norms() == [network.get_submodule(key) for key in expected]


@both
def test_the_width_factor_scales_the_head_too(build, name):
    assert build(name, width=0.5).classifier.in_features == 640


@pytest.mark.parametrize(("name", "biased"), [("mobilenetv2-cifar", True), ("mobilenetv2-half", False)])
def test_only_the_larger_form_has_biased_convolutions(build, name, biased):
    convolutions = [module for module in build(name).modules() if isinstance(module, nn.Conv2d)]
    assert {module.bias is not None for module in convolutions} == {biased}


def test_the_smaller_form_starts_as_vgg_does(build):
    network = build("mobilenetv2-half", width=1.0)
    depthwise = network.stages[5][2].filter[0].weight
    assert depthwise.std().item() == pytest.approx((2 / (9 * 480)) ** 0.5, rel=0.05)
    assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not network.classifier.bias.any()
