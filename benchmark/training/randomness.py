"""Random numbers that follow from what they are for, so that no run depends on its neighbours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(*parts: object) -> int:
    """A seed of 63 bits from a purpose, as in ``derive("weights", "wrn-16-2", 0)``."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Draw from torch's global CPU generator, seeded for a purpose; its state before is restored."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(derive(*parts))
    try:
        yield
    finally:
        torch.set_rng_state(before)
