"""The precisions of recipes; weights and losses are float32 in all of them.

``bf16`` and ``fp16`` run networks under autocast, ``fp16`` with a loss that is scaled so that small gradients are not
rounded to zero (Micikevicius et al., Mixed Precision Training, ICLR 2018); ``tf32`` and ``fp32`` run them in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from models import Network
from models.features import full

_HALF: Mapping[str, torch.dtype] = MappingProxyType({"bf16": torch.bfloat16, "fp16": torch.float16})
"""Precisions that use autocast."""


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of a network's forward pass."""
    return torch.autocast(device.type, dtype=_HALF.get(precision), enabled=precision in _HALF)


def grad_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """A gradient scaler for ``fp16``: scales the loss and skips steps whose gradients overflow. Disabled otherwise."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def set_matmul_precision(precision: str) -> None:
    """Allow TF32 in convolutions and matrix products for ``tf32``, forbid it otherwise."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def cast_weights(network: Network, precision: str) -> Network:
    """A copy of a frozen network with weights cast to half precision, which autocast would do in every forward pass.

    The outputs are the same, bit for bit.

    Args:
        network: frozen; returned as it is for precisions without autocast.
        precision: of its forward pass.
    """
    if precision not in _HALF:
        return network
    copy = deepcopy(network)
    for module in copy.modules():
        if type(module) in (nn.Conv2d, nn.Linear):  # a subclass may use its weights in other operations
            module.to(_HALF[precision])
    return copy


def autocast_modules(precision: str, method: nn.Module) -> None:
    """Run the submodules of a method under autocast, as networks do, and cast their outputs to float32 for the loss.

    Args:
        precision: of the recipe.
        method: its own ``forward`` stays outside autocast.
    """
    if precision not in _HALF:
        return
    region = _AutocastRegion(precision)
    for module in method.modules():
        if module is not method:
            module.register_forward_pre_hook(region.enter)
            module.register_forward_hook(region.leave, always_call=True)


class _AutocastRegion:
    """Autocast around the outermost of nested module calls."""

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
