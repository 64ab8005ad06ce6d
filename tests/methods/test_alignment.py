"""Pairing of stages and of sizes."""

import torch

from methods.alignment import paired_stages, pool_to_smaller


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
