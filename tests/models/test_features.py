"""Precision and graph of recorded features."""

import torch

from models import Features


def features(dtype):
    maps = [torch.ones(2, 3, 4, 4, dtype=dtype, requires_grad=True) for _ in range(3)]
    vectors = [torch.ones(2, 3, dtype=dtype, requires_grad=True) for _ in range(2)]
    return Features(*vectors, maps[0], (maps[1],), (maps[2],))


def tensors(recorded):
    return (recorded.logits, recorded.embedding, recorded.map, *recorded.taps, *recorded.preacts)


def test_full_raises_half_precision_and_keeps_double():
    for given, expected in ((torch.bfloat16, torch.float32), (torch.float16, torch.float32)):
        assert {tensor.dtype for tensor in tensors(features(given).full())} == {expected}
    assert {tensor.dtype for tensor in tensors(features(torch.float64).full())} == {torch.float64}


def test_full_keeps_the_graph():
    assert all(tensor.requires_grad for tensor in tensors(features(torch.bfloat16).full()))
