import pytest
import torch

from benchmark.training.randomness import derive, seeded


def test_purposes_have_seeds_of_their_own():
    seeds = {derive("weights", 0), derive("weights", 1), derive("draws", 0), derive("weights", "0"), derive("weights0")}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seed_never_changes():
    assert derive("weights", "wrn-16-2", 0.25, 8, 10, 0) == derive("weights", "wrn-16-2", 0.25, 8, 10, 0)
    assert derive("draws", 0) == 7713975578234456146


def test_whole_numbers_and_decimals_alike():
    assert derive("weights", 1) == derive("weights", 1.0) != derive("weights", 1.5)


def test_draws_follow_from_the_purpose_and_leave_no_trace():
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded("test", 3):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)
    assert torch.equal(torch.get_rng_state(), before)


def test_state_is_restored_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded("test"):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
