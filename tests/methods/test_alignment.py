"""Pairing and pooling of maps, and the layers that map a student's features to the teacher's shape."""

import pytest
import torch
from torch import nn

from methods.alignment import paired_stages, pool_to_smaller
from methods.connector import Connector
from methods.regressor import Regressor


def test_stages_pair_from_the_front_without_stem_and_unpaired():
    assert paired_stages(["stem", "s1", "s2", "s3"], ["stem", "t1", "t2", "t3", "t4"]) == [
        ("s1", "t1"),
        ("s2", "t2"),
        ("s3", "t3"),
    ]


def test_larger_map_is_pooled_whichever_side_it_is_on():
    large, small = torch.arange(9.0).reshape(1, 1, 3, 3), torch.zeros(1, 1, 2, 2)
    # Windows overlap where 2 does not divide 3: rows 0-1 and 1-2.
    expected = torch.tensor([[[[2.0, 3.0], [5.0, 6.0]]]])
    assert torch.equal(pool_to_smaller(large, small)[0], expected)
    assert torch.equal(pool_to_smaller(small, large)[1], expected)
    assert pool_to_smaller(small, large)[0] is small


def test_layers_of_the_connector():
    convolution, norm, relu = Connector(3, 8, rectify=True)
    assert isinstance(relu, nn.ReLU)
    assert convolution.bias is None
    assert convolution.weight.shape == (8, 3, 1, 1)
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()
    assert len(Connector(3, 8, rectify=False)) == 2


def test_weights_of_the_connector_start_with_the_deviation_of_the_teachers_channels():
    torch.manual_seed(0)
    weight = Connector(300, 50, rectify=False)[0].weight
    assert abs(weight.std().item() - (2 / 50) ** 0.5) < 0.005


LAYERS = {
    (8, 4): (nn.Conv2d, 3, 2, 1),
    (4, 8): (nn.ConvTranspose2d, 4, 2, 1),
    (8, 8): (nn.Conv2d, 1, 1, 0),
    (17, 16): (nn.Conv2d, 2, 1, 0),
    (9, 3): (nn.Conv2d, 7, 1, 0),
    (16, 17): (nn.ConvTranspose2d, 2, 1, 0),
    (8, 12): (nn.ConvTranspose2d, 5, 1, 0),
}


@pytest.mark.parametrize(("sizes", "layer"), LAYERS.items())
def test_any_size_becomes_the_teachers(sizes, layer):
    (mine, theirs), (kind, *geometry) = sizes, layer
    regressor = Regressor((3, mine, mine), (5, theirs, theirs), rectify=True)
    convolution = regressor[0]
    assert type(convolution) is kind
    assert [convolution.kernel_size, convolution.stride, convolution.padding] == [(each, each) for each in geometry]
    assert convolution.bias is not None
    assert [type(layer) for layer in list(regressor)[1:]] == [nn.BatchNorm2d, nn.ReLU]
    assert len(Regressor((3, mine, mine), (5, theirs, theirs), rectify=False)) == 2
    assert regressor(torch.randn(2, 3, mine, mine)).shape == (2, 5, theirs, theirs)
