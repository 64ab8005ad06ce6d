"""Features and batches of given logits, for methods that use nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor

from methods import Batch, Method, Pair
from models import Features


def features(logits: Tensor) -> Features:
    """Features with these logits; all else is empty."""
    empty = logits.new_zeros(len(logits), 0)
    return Features(logits, empty, empty, (), ())


def batch(targets: Tensor, student: Tensor | None = None, teacher: Tensor | None = None) -> Batch:
    """A batch with these labels, on whose strong view the networks have these logits."""
    strong = torch.zeros(len(targets), 3, 1, 1)
    seen = {"student": student, "teacher": teacher}
    runs = {
        side: (lambda _images, known=logits: features(known)) for side, logits in seen.items() if logits is not None
    }
    return Batch(torch.zeros_like(strong), targets, targets, torch.zeros(()), None, strong=strong, **runs)


def parts(
    method: type[Method],
    pair: Pair,
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    *,
    epoch: float = 1.0,
    epochs: float = 1.0,
    **options: Any,
) -> dict[str, Tensor]:
    """The losses that a method with these options has for given logits in an epoch of a training."""
    times = {"epoch": torch.tensor(epoch), "epochs": torch.tensor(epochs)}
    return method(pair, **options)(features(student), features(teacher), replace(batch(targets), **times))


def cross_entropy(logits: Tensor, targets: Tensor) -> float:
    """Cross-entropy in float64, one row at a time."""
    rows = log_softmax(logits.detach().double().numpy(), axis=1)
    return float(-np.mean([row[target] for row, target in zip(rows, targets.tolist(), strict=True)]))


def divergences(student: Tensor, teacher: Tensor, temperature: float) -> np.ndarray:
    """``sum_k P ln(P / Q)`` of each row, in float64 and without a factor."""
    q, p = (log_softmax(each.detach().double().numpy() / temperature, axis=1) for each in (student, teacher))
    return np.array([sum(np.exp(b) * (b - a) for a, b in zip(*rows, strict=True)) for rows in zip(q, p, strict=True)])
