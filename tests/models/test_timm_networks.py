"""timm's networks by name, against timm's own numbers; skipped where timm is not installed."""

import sys

import pytest
import torch

import models
from models.published_weights import load_published
from models.timm_networks import averaged, feats

timm = pytest.importorskip("timm", reason="timm is not installed: pip install timm")

# Sides of the feats at 64 pixels, then the side of the map: one position where no average is classified.
NETWORKS = {
    "test_resnet": ([32, 16, 8, 4, 2], 2),
    "test_efficientnet": ([32, 16, 8, 4, 2], 2),
    "test_convnext": ([16, 16, 8, 4, 2], 1),
    "test_vit": ([4, 4, 4, 4, 4], 1),
    "test_nfnet": ([32, 16, 8, 4, 2], 2),
    "mobilenetv3_small_050": ([32, 16, 8, 4, 2], 1),
    "regnetx_002": ([32, 16, 8, 4, 2], 2),
}


def theirs(name, in_size=64):
    torch.manual_seed(0)
    size = {"img_size": in_size} if name == "test_vit" else {}
    return timm.create_model(name, num_classes=5, **size)


def ours(name, in_size=64):
    torch.manual_seed(0)
    return models.create(f"timm/{name}", num_classes=5, in_size=in_size)


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_timm_s_and_the_map_is_what_is_averaged(name, images):
    network, module = ours(name).eval(), theirs(name).eval()
    with torch.no_grad():
        features, expected = network(images(64)), module(images(64))
    torch.testing.assert_close(features.logits, expected)
    sides, last = NETWORKS[name]
    assert [feat.shape[2] for feat in features.feats] == sides
    assert features.map.shape[2:] == (last, last)
    torch.testing.assert_close(features.map.mean((2, 3)), features.embedding)


def test_creation_draws_the_weights_of_timm_and_nothing_more():
    network, after = ours("test_resnet"), torch.rand(1)
    module = theirs("test_resnet")
    assert torch.equal(after, torch.rand(1))
    own, given = network.wrapped.state_dict(), module.state_dict()
    assert all(torch.equal(tensor, given[key]) for key, tensor in own.items())
    assert network.training


def test_weights_of_timm_are_loaded(images):
    module, network = theirs("test_vit").eval(), models.create("timm/test_vit", num_classes=5, in_size=64).eval()
    assert not torch.equal(
        network(images(64)).embedding, module.forward_head(module.forward_features(images(64)), pre_logits=True)
    )
    load_published(network, module.state_dict())
    torch.testing.assert_close(network(images(64)).logits, module(images(64)))


def test_stages_of_one_resolution_are_the_quarters():
    with torch.device("meta"):
        assert feats(timm.create_model("vit_tiny_patch16_224")) == ("pos_drop", *(f"blocks.{i}" for i in (2, 5, 8, 11)))


def test_a_class_token_is_no_average_and_finding_that_out_changes_nothing():
    module = theirs("test_vit").train()
    assert averaged(module, 64) is None
    assert module.training
    assert not any(part._forward_hooks for part in module.modules())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_channels_of_swin_come_first():
    with torch.device("meta"):
        network = models.create("timm/swin_tiny_patch4_window7_224", num_classes=5, in_size=224)
        shapes = network.shapes()
    assert shapes.feats == ((96, 56, 56), (96, 56, 56), (192, 28, 28), (384, 14, 14), (768, 7, 7))
    assert (shapes.map, shapes.family) == ((768, 7, 7), "swin_transformer")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "unknown network 'timm/resnet19': the nearest are timm/resnet18"),
        ("resnet18.a1_in1k", "write timm/resnet18, since .a1_in1k names weights"),
        ("deit_tiny_distilled_patch16_224", "has 2 classifiers"),
        ("resnetv2_50", "'head.fc' is a Conv2d, not its final Linear layer"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught, torch.device("meta"):
        models.create(f"timm/{name}", num_classes=5, in_size=224)
    assert "\n" not in str(caught.value)


def test_a_width_is_refused():
    with pytest.raises(
        ValueError, match=r"timm/test_resnet: width is 0\.5, but this network has one width: --set width=1"
    ):
        models.create("timm/test_resnet", num_classes=5, in_size=64, width=0.5)


def test_without_timm_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        models.UnknownNetworkError, match=r"^network 'timm/x' needs the package timm: pip install timm$"
    ):
        models.create("timm/x", num_classes=5)
