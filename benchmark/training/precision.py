"""The precisions of recipes: ``bf16`` autocast, ``tf32`` and ``fp32``. Weights and losses are float32 in all three."""

from __future__ import annotations

import torch


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of a network's forward pass."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def set_matmul_precision(precision: str) -> None:
    """Allow TF32 in convolutions and matrix products, or forbid it."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
