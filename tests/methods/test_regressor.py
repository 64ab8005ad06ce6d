"""The regressor's layers and the shapes that it reaches."""

import pytest
import torch
from torch import nn

from methods.regressor import Regressor

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
    assert regressor(torch.randn(2, 3, mine, mine)).shape == (2, 5, theirs, theirs)


def test_layers_after_the_convolution():
    _, norm, relu = Regressor((3, 4, 4), (5, 4, 4), rectify=True)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(relu, nn.ReLU)
    assert len(Regressor((3, 4, 4), (5, 4, 4), rectify=False)) == 2
