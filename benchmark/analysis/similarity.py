"""Table 2: divergence of a student's class probabilities from its teacher's and from the labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.analysis.outputs import Outputs, reference

REVISION = 1
COMPARES = True


def kl_divergence(reference_logits: Tensor, logits: Tensor) -> float:
    """Kullback-Leibler divergence ``1/N * sum_nk P ln(P / Q)`` in nats, without temperature.

    ``P`` is the softmax of the reference, ``Q`` that of the other.

    Args:
        reference_logits: ``(N, K)``; a class that the reference masks by minus infinity adds nothing.
        logits: ``(N, K)``.
    """
    log_p = functional.log_softmax(reference_logits.double(), dim=1)
    log_q = functional.log_softmax(logits.double(), dim=1)
    # Finite values, since a probability of 0 times an infinite logarithm would be NaN.
    masked = log_p == -torch.inf
    log_p, log_q = log_p.clamp_min(torch.finfo(log_p.dtype).min), log_q.masked_fill(masked, 0.0)
    return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True).item()


def cross_entropy(logits: Tensor, targets: Tensor) -> float:
    """Mean of ``-ln softmax(z)[y]`` in nats.

    Args:
        logits: ``(N, K)``.
        targets: ``(N,)``.
    """
    return functional.cross_entropy(logits.double(), targets).item()


def measure(subject: Outputs, teacher: Outputs | None, num_classes: int) -> dict[str, Any]:  # noqa: ARG001
    """``kl_teacher`` is ``KL(teacher || subject)``, ``kl_student`` the reverse, ``cross_entropy`` that with the label.

    The paper does not say which of the divergences it reports.
    """
    other = reference(teacher)
    return {
        "metrics": {
            "kl_teacher": kl_divergence(other.logits, subject.logits),
            "kl_student": kl_divergence(subject.logits, other.logits),
            "cross_entropy": cross_entropy(subject.logits, subject.targets),
        }
    }
