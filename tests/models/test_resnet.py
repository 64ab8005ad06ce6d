"""Residual networks against torchvision's."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import models
from models.describe import parameters
from models.resnet import IMAGENET_PLANS, PLANS, Padding

BLOCKS = {
    "resnet10-wide": (BasicBlock, (1, 1, 1, 1)),
    "resnet34-wide": (BasicBlock, (3, 4, 6, 3)),
    "resnet50-crd": (Bottleneck, (3, 4, 6, 3)),
    "resnet18-imagenet": (BasicBlock, (2, 2, 2, 2)),
    "resnet34-imagenet": (BasicBlock, (3, 4, 6, 3)),
    "resnet50-imagenet": (Bottleneck, (3, 4, 6, 3)),
}


def torchvision_twin(network):
    """torchvision's network of the same weights, its stem replaced in networks for small images."""
    block, blocks = BLOCKS[network.name]
    twin = ResNet(block, list(blocks), num_classes=5)
    if network.name in PLANS:
        twin.conv1, twin.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    state = network.state_dict()
    twin.load_state_dict({key.replace("classifier", "fc"): value for key, value in state.items()})
    return twin.eval()


@pytest.mark.parametrize("name", BLOCKS)
def test_outputs_and_parameter_names_are_torchvision_s(trained, images, name):
    network = trained(name, width=1.0)
    twin, stages = torchvision_twin(network), []
    for part in ("maxpool", "layer1", "layer2", "layer3", "layer4"):
        twin.get_submodule(part).register_forward_hook(lambda _m, _i, output: stages.append(output))
    with torch.no_grad():
        features, logits = network(images(network.in_size)), twin(images(network.in_size))
    torch.testing.assert_close(features.logits, logits, rtol=1e-4, atol=1e-5)
    for actual, expected in zip(features.feats, stages, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*PLANS, *IMAGENET_PLANS])
def test_feats_are_the_rectified_pre_activations(trained, images, name):
    network = trained(name)
    with torch.no_grad():
        features = network(images(network.in_size))
    for feat, preact in zip(features.feats[1:], features.preacts[1:], strict=True):
        assert preact.min() < 0
        assert torch.equal(preact.relu(), feat)
    assert features.feats[-1] is features.map


@pytest.mark.parametrize(("name", "norm"), [("resnet34-narrow", "bn2"), ("resnet50-crd", "bn3")])
def test_the_margin_norms_are_the_last_of_each_stage_s_main_path(build, name, norm):
    network = build(name)
    lasts = [blocks - 1 for blocks in PLANS[name].blocks]
    expected = [f"layer{index}.{last}.{norm}" for index, last in enumerate(lasts, start=1)]
    assert network.preact_norms() == [network.get_submodule(key) for key in expected]


@pytest.mark.parametrize(
    ("name", "stages"), [("resnet10-narrow", (2, 3, 4)), ("resnet8x4", (1, 2, 3)), ("resnet20", (2, 3))]
)
def test_only_a_first_block_that_changes_shape_is_projected(name, stages):
    network = models.create(name, num_classes=10)
    projected = [key for key, _ in network.named_modules() if key.endswith("downsample")]
    assert projected == [f"layer{stage}.0.downsample" for stage in stages]


def test_option_a_keeps_every_second_pixel_between_zeros():
    pixels = torch.arange(2 * 2 * 5 * 5.0).view(2, 2, 5, 5)
    padded = Padding(2, 5, 2)(pixels)
    assert padded.shape == (2, 5, 3, 3)
    assert torch.equal(padded[:, 1:3], pixels[..., [0, 2, 4], :][..., [0, 2, 4]])
    assert not padded[:, [0, 3, 4]].any()


def test_a_block_of_option_a_adds_the_padded_input(trained):
    block = trained("resnet8-A", width=1.0).layer2[0]
    x = torch.rand(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shortcut = block(x) - block.main(x)
    torch.testing.assert_close(shortcut, F.pad(x[..., ::2, ::2], (0, 0, 0, 0, 8, 8)))


def test_option_a_has_2752_parameters_less():
    with torch.device("meta"):
        a, b = models.create("resnet26-A", 10), models.create("resnet20", 10)
    three_more_blocks = 2 * sum(9 * w * w for w in (16, 32, 64)) + 4 * sum((16, 32, 64))
    assert parameters(b) + three_more_blocks - parameters(a) == 2752


def test_initial_weights_have_the_deviation_of_he():
    weight = models.create("resnet10-wide", num_classes=10).layer4[0].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)
