"""Random numbers whose seeds are derived from their purpose, so that no run depends on other runs.

A method draws from its batch's generator. The global generators (Dropout, ``torch.rand``, NumPy, ``random``) are seeded
for every run and step, so that a run draws the same numbers alone, in a cohort and after a restart.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmark.ids import canonical_json

_NUMPY_SEEDS = 2**32


class _Global(NamedTuple):
    """One of the process's global generators."""

    seed: Callable[[int], Any]
    state: Callable[[], Any]
    restore: Callable[[Any], Any]


def derive(*parts: object) -> int:
    """A 63-bit seed from a purpose, as in ``derive("weights", "wrn-16-2", 0)``; 1 and 1.0 are equal, as in ids."""
    return int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest()[:8], "big") >> 1


def seed_globally(*parts: object) -> None:
    """Seed all global generators of this process for a purpose."""
    seed = derive(*parts)
    for each in _generators().values():
        each.seed(seed)


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed the global generators for a purpose, and restore their states at the end."""
    with global_generators_restored():
        seed_globally(*parts)
        yield


@contextmanager
def global_generators_restored() -> Iterator[None]:
    """Restore the states of the global generators at the end."""
    generators = _generators()
    before = {name: each.state() for name, each in generators.items()}
    try:
        yield
    finally:
        for name, each in generators.items():
            each.restore(before[name])


@contextmanager
def global_draws() -> Iterator[list[str]]:
    """A context that yields a list; at its end the list names the global generators that its block drew from."""
    generators, found = _generators(), list[str]()
    before = {name: each.state() for name, each in generators.items()}
    yield found
    found += [name for name, each in generators.items() if not _equal(each.state(), before[name])]


def _generators() -> Mapping[str, _Global]:
    """The global generators by the name used in messages, with the GPU's if CUDA is in use."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return _ON_HOST
    cuda = torch.cuda.default_generators[torch.cuda.current_device()]
    return {**_ON_HOST, "torch's global generator of the GPU": _of_torch(cuda)}


def _of_torch(generator: torch.Generator) -> _Global:
    return _Global(generator.manual_seed, generator.get_state, generator.set_state)


_ON_HOST: Mapping[str, _Global] = MappingProxyType(
    {
        "torch's global generator": _of_torch(torch.default_generator),
        "NumPy's global generator": _Global(
            lambda seed: np.random.seed(seed % _NUMPY_SEEDS),  # noqa: NPY002 - methods may draw from the global one
            np.random.get_state,
            np.random.set_state,
        ),
        "Python's random": _Global(random.seed, random.getstate, random.setstate),
    }
)


def _equal(one: Any, other: Any) -> bool:
    """Whether two states of a generator are equal: tensors, arrays, or tuples of them and plain values."""
    if isinstance(one, tuple) and any(isinstance(part, tuple | np.ndarray) for part in one):
        return all(map(_equal, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
