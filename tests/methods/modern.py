"""Inputs of ``golden_modern.json``, drawn by NumPy's generator, and a comparison with its values and gradients."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

GOLDEN = json.loads((Path(__file__).parent / "golden_modern.json").read_text(encoding="utf-8"))


class Draws:
    """Normal random numbers in float64, in the order in which they are asked for: ``draws(6, 7)`` is ``(6, 7)``."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.from_numpy(self._generator.standard_normal(shape))


def logits() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``z, v, zs, vs`` (6, 7), student and teacher of a weak and a strong view, and labels ``y`` (6,)."""
    draws = Draws(2026)
    z, v, zs, vs = (factor * draws(6, 7) for factor in (2, 3, 2, 3))
    vs[5] *= 0.05
    ranked = v.argsort(dim=1, descending=True)
    return z, v, zs, vs, ranked[torch.arange(6), torch.tensor([0, 0, 0, 1, 3, 6])]


def maps() -> tuple[Tensor, ...]:
    """Maps of student (6, 5, 4, 4) and teacher (6, 4, 8, 8), ``W_S`` (7, 5), ``b_S``, ``W_T`` (7, 4), ``b_T``."""
    draws = Draws(37)
    mine, theirs = draws(6, 5, 4, 4).clamp_min(0), draws(6, 4, 8, 8).clamp_min(0)
    return mine, theirs, 0.5 * draws(7, 5), 0.1 * draws(7), 0.5 * draws(7, 4), 0.1 * draws(7)


def check(key: str, loss: Tensor, *inputs: Tensor) -> None:
    """Compare a loss and the norm of its gradient by all inputs with the golden values of a key."""
    assert loss.item() == pytest.approx(GOLDEN[key], rel=1e-9, abs=1e-12)
    if f"{key}.grad" in GOLDEN:
        found = torch.autograd.grad(loss, inputs)
        norm = torch.cat([gradient.flatten() for gradient in found]).norm()
        assert norm.item() == pytest.approx(GOLDEN[f"{key}.grad"], rel=1e-9, abs=1e-12)
