"""Table 3: the distance between the embeddings of student and teacher."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from benchmark.analysis.outputs import Outputs, reference

REVISION = 1
COMPARES = True


def squared_distance(one: Tensor, other: Tensor) -> float:
    """Mean over images of ``||h_T - h_S||^2``, the squared difference summed over channels.

    Args:
        one: ``(N, C)``.
        other: ``(N, C)``.
    """
    return (one.double() - other.double()).square().sum(dim=1).mean().item()


def normalised_distance(one: Tensor, other: Tensor) -> float:
    """`squared_distance` between embeddings of unit length: ``2 - 2 cos``.

    Args:
        one: ``(N, C)``; a row of zeros stays zero.
        other: ``(N, C)``.
    """
    return squared_distance(functional.normalize(one.double()), functional.normalize(other.double()))


def measure(subject: Outputs, teacher: Outputs | None, num_classes: int) -> dict[str, Any]:  # noqa: ARG001
    """``l2`` and ``l2_normalised`` of the bare embeddings, ``l2_connected`` with the subject's after its connector.

    Without a connector only the first two exist, and embeddings of different sizes have no distance; such metrics are
    left out.
    """
    target = reference(teacher).embedding
    metrics = {}
    if subject.embedding.shape == target.shape:
        metrics["l2"] = squared_distance(subject.embedding, target)
        metrics["l2_normalised"] = normalised_distance(subject.embedding, target)
    if subject.connected is not None:
        metrics["l2_connected"] = squared_distance(subject.connected, target)
    return {"metrics": metrics}
