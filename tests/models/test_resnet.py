"""Residual networks against torchvision's."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

import models


def torchvision_twin(network, blocks):
    """torchvision's network of the same weights, its ImageNet stem replaced."""
    twin = ResNet(BasicBlock, list(blocks), num_classes=5)
    twin.conv1, twin.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    state = network.state_dict()
    twin.load_state_dict({key.replace("classifier", "fc"): value for key, value in state.items()})
    return twin.eval()


@pytest.mark.parametrize(("name", "blocks"), [("resnet10-wide", (1, 1, 1, 1)), ("resnet34-wide", (3, 4, 6, 3))])
def test_outputs_and_parameter_names_are_torchvision_s(trained, images, name, blocks):
    network = trained(name, width=1.0)
    twin, stages = torchvision_twin(network, blocks), []
    for index in range(1, 5):
        twin.get_submodule(f"layer{index}").register_forward_hook(lambda _m, _i, output: stages.append(output))
    with torch.no_grad():
        features, logits = network(images()), twin(images())
    torch.testing.assert_close(features.logits, logits, rtol=1e-4, atol=1e-5)
    for actual, expected in zip(features.taps[1:], stages, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", models.names("resnet*"))
def test_taps_are_the_rectified_pre_activations(trained, images, name):
    with torch.no_grad():
        features = trained(name)(images())
    for tap, preact in zip(features.taps[1:], features.preacts[1:], strict=True):
        assert preact.min() < 0
        assert torch.equal(preact.relu(), tap)
    assert features.taps[-1] is features.map


def test_the_margin_norms_are_the_last_of_each_stage_s_main_path(build):
    network = build("resnet34-narrow")
    expected = [f"layer{index}.{last}.bn2" for index, last in ((1, 2), (2, 3), (3, 5), (4, 2))]
    assert network.preact_norms() == [network.get_submodule(key) for key in expected]


def test_the_narrow_ones_project_where_they_stride():
    network = models.create("resnet10-narrow", num_classes=10)
    projected = [key for key, _ in network.named_modules() if key.endswith("downsample")]
    assert projected == ["layer2.0.downsample", "layer3.0.downsample", "layer4.0.downsample"]


def test_initial_weights_have_the_deviation_of_he():
    weight = models.create("resnet10-wide", num_classes=10).layer4[0].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)
