"""VGG networks against torchvision's layers."""

import pytest
import torch
from torch import nn
from torchvision.models.vgg import make_layers

STAGES = {
    "vgg8": [64, "M", 128, "M", 256, "M", 512, 512],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, 512, 512],
}
# The last ReLU of every stage, counted.
WITH_FEATS = {"vgg8": (0, 1, 2, 3, 4), "vgg13": (1, 3, 5, 7, 9)}

both = pytest.mark.parametrize("name", STAGES)


@both
def test_maps_are_torchvision_s(trained, images, name):
    network = trained(name, width=1.0)
    twin = make_layers(STAGES[name], batch_norm=True).eval()
    *state, _weight, _bias = network.state_dict().values()
    twin.load_state_dict(dict(zip(twin.state_dict(), state, strict=True)))
    normed, rectified, x = [], [], images()
    with torch.no_grad():
        features = network(images())
        for module in twin:
            normed += [x.clone()] if isinstance(module, nn.ReLU) else []
            x = module(x)
            rectified += [x] if isinstance(module, nn.ReLU) else []
    for place, index in enumerate(WITH_FEATS[name]):
        torch.testing.assert_close(features.feats[place], rectified[index])
        torch.testing.assert_close(features.preacts[place], (normed if place else rectified)[index])
    assert features.map is features.feats[-1]


@both
def test_the_margin_norms_end_the_stages(build, name):
    network = build(name)
    last = {"vgg8": 0, "vgg13": 1}[name]
    assert network.preact_norms() == [network.get_submodule(f"stages.{stage}.{last}.norm") for stage in range(4)]


def test_initial_weights_are_small_and_biases_none(build):
    network = build("vgg8", width=1.0)
    assert network.stages[3][0].conv.weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not network.stem[0][0].bias.any()
    assert not network.stages[0][0].conv.bias.any()
    assert not network.classifier.bias.any()
