"""The connector's structure and initial weights."""

import torch
from torch import nn

from methods.connector import Connector


def test_layers():
    convolution, norm, relu = Connector(3, 8, rectify=True)
    assert isinstance(relu, nn.ReLU)
    assert convolution.bias is None
    assert convolution.weight.shape == (8, 3, 1, 1)
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()
    assert len(Connector(3, 8, rectify=False)) == 2


def test_weights_start_with_the_deviation_of_the_teachers_channels():
    torch.manual_seed(0)
    weight = Connector(300, 50, rectify=False)[0].weight
    assert abs(weight.std().item() - (2 / 50) ** 0.5) < 0.005
