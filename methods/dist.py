"""DIST: the student's probabilities correlate with the teacher's, between classes and between images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method, Pair
from models import Features


def relation_loss(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """Pearson's distance ``1 - r`` along a dimension of the probabilities ``(B, K)``, mean over the other one.

    Along the classes (``dim=1``) it is the paper's inter-class relation, along the images (``dim=0``) its intra-class
    relation.
    """
    return 1 - (_standardised(student, dim) * _standardised(teacher, dim)).sum(dim).mean()


def _standardised(values: Tensor, dim: int) -> Tensor:
    """The values centred and scaled to unit length along a dimension."""
    centred = values - values.mean(dim, keepdim=True)
    length: Tensor = torch.linalg.vector_norm(centred, dim=dim, keepdim=True)
    # Vectors that are constant up to rounding (columns of a single image, rows of a dead student) correlate with
    # nothing: an infinite length makes value and gradient 0.
    alike = length <= 1e-6 * torch.linalg.vector_norm(values, dim=dim, keepdim=True)
    return centred / length.masked_fill(alike, torch.inf)


class DIST(Method):
    """Relations between the classes of an image and between the images of a batch.

    The authors' code multiplies both by the square of the temperature. The paper and this code do not: unlike a
    divergence, a correlation does not vanish as probabilities flatten. ``dist[published]`` is their code at
    temperature 4.

    Options:
        inter: weight of the inter-class relation, the paper's beta.
        intra: weight of the intra-class relation, the paper's gamma.
        temperature: divides both logits; the paper's 4 on CIFAR-100.
    """

    title = "DIST"
    citation = "Huang, You, Wang, Qian & Xu, Knowledge Distillation from A Stronger Teacher, NeurIPS 2022"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"published": {"inter": 32.0, "intra": 32.0}}
    formula = "beta mean_b (1 - r(p_b, q_b)) + gamma mean_k (1 - r(p_k, q_k)), r Pearson's, p and q at temperature T"

    def __init__(self, pair: Pair, *, inter: float = 2.0, intra: float = 2.0, temperature: float = 4.0) -> None:
        super().__init__(pair)
        self.inter = inter
        self.intra = intra
        self.temperature = temperature

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine, theirs = ((each.logits / self.temperature).softmax(dim=1) for each in (student, teacher))
        return {
            "inter": self.inter * relation_loss(mine, theirs, dim=1),
            "intra": self.intra * relation_loss(mine, theirs, dim=0),
        }
