"""Precision and graph of recorded features."""

import pytest
import torch

from models import Features, MissingPartError, Network


def features(dtype):
    maps = [torch.ones(2, 3, 4, 4, dtype=dtype, requires_grad=True) for _ in range(3)]
    vectors = [torch.ones(2, 3, dtype=dtype, requires_grad=True) for _ in range(2)]
    return Features(*vectors, maps[0], (maps[1],), (maps[2],))


def tensors(recorded):
    return (recorded.logits, recorded.embedding, recorded.map, *recorded.feats, *recorded.preacts)


def test_full_raises_half_precision_and_keeps_double():
    for given, expected in ((torch.bfloat16, torch.float32), (torch.float16, torch.float32)):
        assert {tensor.dtype for tensor in tensors(features(given).full())} == {expected}
    assert {tensor.dtype for tensor in tensors(features(torch.float64).full())} == {torch.float64}


def test_full_keeps_the_graph():
    assert all(tensor.requires_grad for tensor in tensors(features(torch.bfloat16).full()))


def test_full_raises_what_is_asked_for_and_nothing_else():
    given = features(torch.bfloat16)
    asked = given.full()
    assert asked.feats[0] is asked.feats[0:][0] is asked.feats[-1]
    assert len(asked.feats) == 1
    raised = [tensor for tensor, _ in asked._known.values()]
    assert len(raised) == 1
    assert raised[0] is asked.feats[0]


def test_what_follows_from_features_is_computed_once():
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
