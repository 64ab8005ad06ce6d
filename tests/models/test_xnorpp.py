"""Binary networks against their definition."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import models
from models.xnorpp import IMAGENET_PLANS, PLANS, BinaryConv2d, sign

SIZES = {"resnet34": (3, 4, 6, 3), "resnet18": (2, 2, 2, 2)}

every = pytest.mark.parametrize("name", [*PLANS, *IMAGENET_PLANS])


def test_the_sign_of_zero_is_one_and_gradients_pass_strictly_below_one():
    values = torch.tensor([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    signs = sign(values)
    (signs * torch.arange(1.0, 9.0)).sum().backward()
    assert signs.tolist() == [-1, -1, -1, 1, 1, 1, 1, 1]
    assert values.grad.tolist() == [0, 0, 3, 4, 5, 6, 0, 0]
    assert sign(values.bfloat16()).dtype == torch.bfloat16


def norm(state, key, x):
    return F.batch_norm(x, *(state[f"{key}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


def convolve(state, key, x, **options):
    """A real convolution, or a binary one if it has scales."""
    weight = state[f"{key}.weight"]
    if f"{key}.row_scale" not in state:
        return F.conv2d(x, weight, **options)
    x, weight = (torch.where(tensor < 0, -1.0, 1.0).to(tensor) for tensor in (x, weight))
    scales = [state[f"{key}.{part}_scale"].flatten() for part in ("channel", "row", "column")]
    return F.conv2d(x, weight, **options) * torch.einsum("c,h,w->chw", *scales)


def by_hand(name, state, x):
    """The definition in plain functions, on a network's weights: the feats, and the logits."""
    large = name in IMAGENET_PLANS
    x = F.conv2d(x, state["stem.0.weight"], stride=2 if large else 1, padding=3 if large else 1)
    x = norm(state, "stem.1", x).relu()
    x = F.max_pool2d(x, 3, 2, 1) if large else x
    feats = [x]
    for stage, blocks in enumerate(SIZES[name.split("-")[0]]):
        for block in range(blocks):
            key = f"stages.{stage}." + (f"rest.{block - 1}" if block else "first")
            stride = 2 if stage and not block else 1
            out = convolve(state, f"{key}.conv1", norm(state, f"{key}.norm1", x), stride=stride, padding=1)
            out = F.prelu(out, state[f"{key}.slope1.weight"])
            out = convolve(state, f"{key}.conv2", norm(state, f"{key}.norm2", out), padding=1)
            out = F.prelu(out, state[f"{key}.slope2.weight"])
            if stride == 2:
                x = norm(state, f"{key}.shortcut.2", convolve(state, f"{key}.shortcut.1", F.avg_pool2d(x, 2)))
            x = x + out
        feats.append(x)
    rectified = norm(state, "norm", x).relu()
    return feats, F.linear(rectified.mean((2, 3)), state["classifier.weight"], state["classifier.bias"])


@every
def test_outputs_are_those_of_the_definition(trained, images, name):
    network = trained(name).double()
    generator = torch.Generator().manual_seed(3)
    for key, parameter in network.named_parameters():
        if "scale" in key or "slope" in key:
            parameter.data.mul_(torch.rand(parameter.shape, generator=generator, dtype=torch.double) + 0.5)
    with torch.no_grad():
        features = network(images(network.in_size).double())
        feats, logits = by_hand(name, network.state_dict(), images(network.in_size).double())
    torch.testing.assert_close(features.logits, logits)
    for actual, expected in zip(features.feats, feats, strict=True):
        torch.testing.assert_close(actual, expected)
    for feat, preact, batch_norm in zip(features.feats[1:], features.preacts[1:], network.preact_norms(), strict=True):
        torch.testing.assert_close(preact, batch_norm(feat))


# Binary weights, scales, and the millions of real and of binary multiply-accumulates.
COUNTS = [
    ("resnet34-xnorpp-binary", 21258240, 9384, 1.821, 1157.628),
    ("resnet18-xnorpp-binary", 11157504, 5674, 118.526, 1695.547),
    ("resnet34-xnorpp-real", 0, 0, 1159.449, 0),
    ("resnet18-xnorpp-real", 0, 0, 1814.073, 0),
]


@pytest.mark.parametrize(("name", "weights", "scales", "real", "binary"), COUNTS)
def test_what_is_binary_has_the_size_of_the_definition(name, weights, scales, real, binary):
    images = models.made_for(name)
    with torch.device("meta"):
        network = models.create(name, images.num_classes, images.in_size)
    costs = {True: 0, False: 0}

    def count(layer, _, output):
        costs[isinstance(layer, BinaryConv2d)] += output.numel() * layer.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network.shapes()
    layers = [module for module in network.modules() if isinstance(module, BinaryConv2d)]
    assert sum(layer.weight.numel() for layer in layers) == weights
    assert sum(p.numel() for layer in layers for key, p in layer.named_parameters() if key != "weight") == scales
    assert (costs[False] / 1e6, costs[True] / 1e6) == pytest.approx((real, binary), abs=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_only_the_shortcuts_of_the_variant_are_real(size):
    with torch.device("meta"):
        both = [models.create(f"{size}-xnorpp-binary{end}", 10) for end in ("", "-real-shortcut")]
    usual, variant = (
        {key for key, module in network.named_modules() if isinstance(module, BinaryConv2d)} for network in both
    )
    assert usual - variant == {f"stages.{stage}.first.shortcut.1" for stage in (1, 2, 3)}


def test_channel_scales_start_at_the_mean_magnitude_of_their_weights(build):
    layer = build("resnet18-xnorpp-binary").stages[2].first.conv1
    torch.testing.assert_close(layer.channel_scale[3, 0, 0], layer.weight[3].abs().mean())
    assert layer.row_scale.eq(1).all()
    assert layer.column_scale.eq(1).all()


def test_a_fresh_binary_network_is_about_as_wrong_as_chance(images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.create("resnet34-xnorpp-binary", num_classes=100, width=0.25)
    loss = F.cross_entropy(network(images(32, count=8)).logits, torch.arange(8))
    assert 4 < loss.item() < 5.5


def test_latent_weights_learn_only_below_one(build, images):
    network = build("resnet18-xnorpp-binary")
    weight = network.stages[0].first.conv1.weight
    weight.data[0] = 1.5
    network(images(64)).logits.square().sum().backward()
    assert not weight.grad[0].any()
    assert weight.grad[1].any()
