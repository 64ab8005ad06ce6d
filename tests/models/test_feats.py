"""Shapes of the feats and of the penultimate map at the usual input size, against the definitions."""

import pytest
import torch

import models

# Channels and sides of the feats, the stem's first, then of the penultimate map if that is not the last feat.
SHAPES = {
    "resnet??-narrow": "32@32 32@32 32@16 64@8 128@4",
    "resnet??-wide": "64@32 64@32 128@16 256@8 512@4",
    "resnet50-crd": "64@32 256@32 512@16 1024@8 2048@4",
    "resnet*-A": "16@32 16@32 32@16 64@8",
    "resnet[235]?": "16@32 16@32 32@16 64@8",
    "resnet110": "16@32 16@32 32@16 64@8",
    "resnet*x4": "32@32 64@32 128@16 256@8",
    "resnet18-imagenet": "64@56 64@56 128@28 256@14 512@7",
    "resnet34-imagenet": "64@56 64@56 128@28 256@14 512@7",
    "resnet50-imagenet": "64@56 256@56 512@28 1024@14 2048@7",
    "mobilenet-imagenet": "32@112 128@56 256@28 512@14 1024@7",
    "mobilenetv2-cifar": "32@34 16@34 24@17 32@9 320@5 1280@5",
    "mobilenetv2-half": "16@16 12@16 16@8 48@4 160@2 1280@2",
    "shufflenetv1": "24@32 240@16 480@8 960@4",
    "shufflenetv2": "24@32 116@16 232@8 464@4 1024@4",
    "vgg*": "64@32 128@16 256@8 512@4 512@4",
    "resnet34-xnorpp-*": "64@32 64@32 128@16 256@8 512@4",
    "resnet18-xnorpp-*": "64@56 64@56 128@28 256@14 512@7",
    "wrn-*-1": "16@32 16@32 32@16 64@8",
    "wrn-*-2": "16@32 32@32 64@16 128@8",
    "wrn-*-4": "16@32 64@32 128@16 256@8",
    "wrn-*-10": "16@32 160@32 320@16 640@8",
}

WITH_HEAD = {"mobilenetv2-cifar", "mobilenetv2-half", "shufflenetv2"}

CASES = [(name, shapes) for pattern, shapes in SHAPES.items() for name in models.names(pattern)]


@pytest.mark.parametrize(("name", "expected"), CASES)
def test_feats_have_the_shapes_of_the_definition(name, expected):
    with torch.device("meta"):
        shapes = models.create(name, 10, models.made_for(name).in_size).shapes()
    actual = [*shapes.feats, shapes.map] if name in WITH_HEAD else shapes.feats
    assert " ".join(f"{channels}@{side}" for channels, side, _ in actual) == expected
    assert shapes.map == actual[-1]
    assert all(height == width for _, height, width in actual)


def test_every_registered_network_is_checked_once():
    assert sorted(name for name, _ in CASES) == models.names()
