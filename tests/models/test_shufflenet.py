"""ShuffleNets: shuffling, feats and torchvision's units; `test_published_forms` has their definition."""

import pytest
import torch
from torch import nn
from torchvision.models.shufflenetv2 import InvertedResidual

from models.shufflenet import shuffle


def test_shuffling_interleaves_the_groups():
    channels = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 3, 3)
    assert shuffle(channels, 2)[0, :, 0, 0].tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffle(channels, 3)[1, :, 2, 2].tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(shuffle(channels, 1), channels)


def test_feats_of_version_1_are_the_rectified_preacts(trained, images):
    with torch.no_grad():
        features = trained("shufflenetv1")(images())
    assert all(torch.equal(feat, preact.relu()) for feat, preact in zip(features.feats, features.preacts, strict=True))
    assert all(preact.min() < 0 for preact in features.preacts[1:])
    assert features.map is features.feats[-1]


def version2(network):
    """torchvision's units with a network's weights: the stages alone."""
    stages = nn.Sequential()
    for inputs, outputs, units in ((24, 116, 4), (116, 232, 8), (232, 464, 4)):
        rest = (InvertedResidual(outputs, outputs, 1) for _ in range(units - 1))
        stages.append(nn.Sequential(InvertedResidual(inputs, outputs, 2), *rest))
    state = network.stages.state_dict().values()
    stages.load_state_dict(dict(zip(stages.state_dict(), state, strict=True)))
    return stages.eval()


def test_version_2_is_made_of_torchvision_s_units(trained, images):
    network = trained("shufflenetv2", width=1.0)
    with torch.no_grad():
        features = network(images())
        x = features.feats[0]
        for stage, feat in zip(version2(network), features.feats[1:], strict=True):
            x = stage(x)
            torch.testing.assert_close(feat, x, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(features.map, network.head(x), rtol=1e-4, atol=1e-4)


def test_pre_activations_of_version_2_are_not_shuffled(trained, images):
    with torch.no_grad():
        features = trained("shufflenetv2")(images())
    for feat, preact in zip(features.feats[1:], features.preacts[1:], strict=True):
        around, through = preact.chunk(2, 1)
        assert around.min() == 0
        assert through.min() < 0
        assert torch.equal(feat[:, 0::2], around)
        assert torch.equal(feat[:, 1::2], through.relu())


def test_version_2_has_no_margins(build):
    with pytest.raises(NotImplementedError, match=r"shufflenetv2 has no preact_norms\(\): its feats"):
        build("shufflenetv2").preact_norms()
