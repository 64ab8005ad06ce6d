"""Random numbers that follow from what they are for, so that no run depends on its neighbours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.canonical import canonical_json


def derive(*parts: object) -> int:
    """A seed of 63 bits from a purpose, as in ``derive("weights", "wrn-16-2", 0)``; 1 and 1.0 alike, as in ids."""
    return int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Draw from torch's global CPU generator, seeded for a purpose; its state before is restored."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(derive(*parts))
    try:
        yield
    finally:
        torch.set_rng_state(before)
