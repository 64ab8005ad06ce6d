"""Precision, graph and cache of features; parts that networks lack."""

from types import SimpleNamespace

import pytest
import torch

from models import Features, FullFeatures, MissingPartError, Network


def features(dtype):
    maps = [torch.ones(2, 3, 4, 4, dtype=dtype, requires_grad=True) for _ in range(3)]
    vectors = [torch.ones(2, 3, dtype=dtype, requires_grad=True) for _ in range(2)]
    return Features(*vectors, maps[0], (maps[1],), (maps[2],))


def tensors(recorded):
    return (recorded.logits, recorded.embedding, recorded.map, *recorded.feats, *recorded.preacts)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64, torch.float64)],
)
def test_full_converts_half_precision_and_keeps_double_and_the_graph(given, expected):
    found = tensors(features(given).full())
    assert {tensor.dtype for tensor in found} == {expected}
    assert all(tensor.requires_grad for tensor in found)


def test_full_converts_a_map_once_and_only_what_is_asked_for():
    given = SimpleNamespace(feats=(torch.ones(2, 3, 4, 4).bfloat16(), None))  # the other features do not exist
    asked = FullFeatures(given)
    assert asked.feats[0] is asked.feats[0:1][0] is asked.feats[-2]
    assert asked.feats[0].dtype == torch.float32
    assert len(asked.feats) == 2


def test_cached_results_are_computed_once_per_function_and_tensor():
    asked, calls = features(torch.float32).full(), []

    def double(tensor):
        calls.append(tensor)
        return 2 * tensor

    assert asked.cached(double, asked.map) is asked.cached(double, asked.map)
    assert asked.cached(double, asked.feats[0]) is not asked.cached(double, asked.map)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("part", "arguments"), [("resume", (1, torch.ones(1, 1, 1, 1))), ("preact_norms", ()), ("trunk", ())]
)
def test_a_missing_part_says_of_which_network_it_is(part, arguments):
    network = Network()
    network.name = "tiny"
    with pytest.raises(MissingPartError, match=rf"^tiny has no {part}\(\)$") as caught:
        getattr(network, part)(*arguments)
    assert (caught.value.network, caught.value.part) == ("tiny", f"{part}()")
    with pytest.raises(NotImplementedError, match=r"^tiny has no forward\(\)$"):
        network(torch.ones(1))
