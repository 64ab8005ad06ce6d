"""The precisions of recipes: ``bf16`` autocast, ``tf32`` and ``fp32``. Weights and losses are float32 in all three."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.features import full


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of a network's forward pass."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def set_matmul_precision(precision: str) -> None:
    """Allow TF32 in convolutions and matrix products, or forbid it."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def compute_in(precision: str, method: nn.Module) -> None:
    """Let the modules that a method trains compute as networks do, and hand float32 to the formula that calls them.

    Args:
        precision: of the recipe.
        method: its modules are meant, not its own ``forward``.
    """
    if precision != "bf16":
        return
    region = _Region(precision)
    for module in method.modules():
        if module is not method:
            module.register_forward_pre_hook(region.enter)
            module.register_forward_hook(region.leave, always_call=True)


class _Region:
    """Autocast around the outermost of the modules that call each other."""

    def __init__(self, precision: str) -> None:
        self._precision = precision
        self._depth = 0
        self._context: torch.autocast | None = None

    def enter(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not self._depth:
            self._context = autocast(self._precision, inputs[0].device)
            self._context.__enter__()  # type: ignore[no-untyped-call]
        self._depth += 1

    def leave(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Any) -> Any:
        self._depth -= 1
        if self._depth or self._context is None:
            return output
        self._context.__exit__(None, None, None)
        return _full(output)


def _full(output: Any) -> Any:
    if isinstance(output, tuple):
        return tuple(map(_full, output))
    return full(output) if isinstance(output, Tensor) else output
