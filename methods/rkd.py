"""Relational knowledge distillation (RKD): preserves distances and angles between the embeddings of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.teacher_cache import Cached, uncached
from models import Features


def distances(embedding: Tensor) -> Tensor:
    """Euclidean distances ``(B, B)`` between the rows of ``(B, C)``, divided by their mean off the diagonal."""
    size = len(embedding)
    squares = embedding.square().sum(dim=1)
    squared = squares[:, None] + squares[None, :] - 2 * embedding @ embedding.T
    # The derivative of the root is infinite at 0, which clamping and masking keep out of the gradient.
    diagonal = torch.eye(size, dtype=torch.bool, device=embedding.device)
    apart = squared.clamp_min(1e-12).sqrt().masked_fill(diagonal, 0.0)
    return apart * (size * (size - 1)) / apart.sum() if size > 1 else apart


def angles(embedding: Tensor) -> Tensor:
    """Cosines ``(B, B, B)`` of the angle at row ``a`` between the differences to rows ``b`` and ``c``."""
    ways = embedding[None, :, :] - embedding[:, None, :]
    length = torch.linalg.vector_norm(ways, dim=2, keepdim=True)
    # Equal rows have no direction: value and gradient are 0, not 1e12 times the rounding error.
    directions = torch.where(length > 1e-12, ways / length.clamp_min(1e-12), 0.0)
    return torch.bmm(directions, directions.transpose(1, 2))


def distance_loss(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Huber distance of the normalised distances, mean over ``B^2`` (section 3.2.1 of the paper)."""
    with torch.no_grad():
        target = cached(distances, teacher)
    return functional.smooth_l1_loss(distances(student), target)


def angle_loss(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Huber distance of the cosines, mean over ``B^3`` (section 3.2.2 of the paper). Memory: ``B^2 (B + C)``."""
    with torch.no_grad():
        target = cached(angles, teacher)
    return functional.smooth_l1_loss(angles(student), target)


class RKD(Method):
    """Huber distances between the relations of embeddings.

    Options:
        distance: weight of the distances.
        angle: weight of the angles.
    """

    title = "RKD"
    citation = "Park, Kim, Lu & Cho, Relational Knowledge Distillation, CVPR 2019"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    formula = "25 Huber(|h_i - h_j| / mean) + 50 Huber(cos(h_j - h_i, h_k - h_i)), of h_S against h_T"

    def __init__(self, pair: Pair, *, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__(pair)
        self.distance = distance
        self.angle = angle

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        embeddings = student.embedding, teacher.embedding
        return {
            "distance": self.distance * distance_loss(*embeddings, teacher.cached),
            "angle": self.angle * angle_loss(*embeddings, teacher.cached),
        }
