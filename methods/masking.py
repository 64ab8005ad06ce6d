"""Classes that a student masks by logits of minus infinity, for losses in which the other side does not mask them."""

from __future__ import annotations

import torch
from torch import Tensor


def restricted(logits: Tensor, student: Tensor) -> Tensor:
    """Logits ``(B, K)`` with minus infinity also at the classes that the student's ``(B, K)`` mask.

    Without this a divergence would be infinite at a class that only the student masks.
    """
    return logits.masked_fill(student == -torch.inf, -torch.inf)
