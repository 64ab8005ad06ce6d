"""Names, and what can be asked for."""

import pytest
import torch

import models
from models import Images, Request
from models.registry import register


def test_names_are_sorted_and_filtered_by_wildcard():
    assert models.names() == sorted(models.names())
    assert models.names("resnet*-wide") == ["resnet10-wide", "resnet34-wide"]
    assert models.names("wrn-40-*") == ["wrn-40-1", "wrn-40-2", "wrn-40-4"]
    assert models.names("nothing*") == []


def test_a_network_knows_what_it_was_created_as():
    network = models.create("wrn-10-1", num_classes=7, in_size=12)
    shapes = network.shapes()
    assert (network.name, network.family, network.in_size, network.num_classes) == ("wrn-10-1", "wrn", 12, 7)
    assert (shapes.name, shapes.family, shapes.num_classes, shapes.map) == ("wrn-10-1", "wrn", 7, (64, 3, 3))


def test_measuring_shapes_leaves_mode_and_statistics_alone():
    network = models.create("wrn-10-1", num_classes=7).train()
    network.shapes()
    assert network.training
    assert network.norm.num_batches_tracked == 0


@pytest.mark.parametrize("name", ["resnet10-narow", "wrn-16-0", "wrn-016-2", "WRN-16-2", "wrn-16-2 ", "???"])
def test_an_unknown_name_is_answered_with_similar_ones_or_all_in_one_line(name):
    expected = {"resnet10-narow": "the nearest are resnet10-narrow", "???": "known are mobilenet-imagenet, "}
    with pytest.raises(models.UnknownNetworkError, match=expected.get(name, "the nearest are")) as caught:
        models.create(name, num_classes=10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_size": 7}, "in_size is 7, the smallest is 8"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"width": 0.0}, "width is 0.0"),
        ({"width": float("nan")}, "width is nan"),
        ({"width": float("inf")}, "width is inf"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        models.create("wrn-10-1", **({"num_classes": 10} | changes))


def test_a_network_for_large_images_is_refused_small_ones():
    assert models.made_for("resnet18-imagenet") == Images(in_size=224, num_classes=1000, smallest=32)
    assert models.made_for("wrn-22-3") == Images(in_size=32, num_classes=100, smallest=8)
    with pytest.raises(ValueError, match="in_size is 31, the smallest is 32"):
        models.create("resnet18-imagenet", num_classes=10, in_size=31)


def test_channels_round_to_multiples_halves_up_and_never_to_none():
    request = Request("any", 10, 32, 0.25)
    assert [request.channels(base) for base in (1, 16, 24, 40, 42)] == [4, 4, 8, 12, 12]
    assert request.channels(100, multiple=6) == 24
    assert Request("any", 10, 32, 1.0).channels(58) == 58


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'wrn-16-2' is registered twice"):
        register("new", "wrn-16-2")(lambda request: models.create("wrn-10-1", request.num_classes))
    assert "new" not in models.names()


def test_creation_draws_from_the_global_generator_alone():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        models.create("wrn-10-1", num_classes=7)
        first = torch.rand(1)
        torch.manual_seed(3)
        models.create("wrn-10-1", num_classes=7)
        assert torch.equal(torch.rand(1), first)
