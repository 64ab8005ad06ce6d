import pytest
import torch

from benchmark.training.randomness import derive, seeded


def test_seeds_follow_from_the_purpose_and_never_change():
    seeds = {derive("weights", 0), derive("weights", 1), derive("draws", 0), derive("weights", "0"), derive("weights0")}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive("draws", 0) == 7713975578234456146
    assert derive("weights", 1) == derive("weights", 1.0) != derive("weights", 1.5)


def test_draws_follow_from_the_purpose_and_leave_no_trace():
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded("test", 3):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(KeyError), seeded("test"):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
