"""Streamlined knowledge distillation (SKD): KD, and similarities between a batch's logits compared after whitening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.label_smoothing import smoothed_cross_entropy
from methods.logits import divergence
from methods.mlkd import doubtful_images, rare_classes
from methods.teacher_cache import Cached, uncached
from models import Features

RIDGE = 0.1
"""Added to the variances of the differences, so that the covariance can be inverted."""


def similarities(logits: Tensor) -> Tensor:
    """Cosines ``(B, B)`` between the logits of a batch's images.

    Classes masked by minus infinity count as 0. Logits that are all 0 are similar to none, without a gradient.

    Args:
        logits: ``(B, K)``.
    """
    known = logits.masked_fill(logits == -torch.inf, 0.0)
    length: Tensor = torch.linalg.vector_norm(known, dim=1, keepdim=True)
    rows = known / length.masked_fill(length == 0, torch.inf)
    return rows @ rows.T


def direction_loss(student: Tensor, teacher: Tensor, divisor: int = 1, cached: Cached = uncached) -> Tensor:
    """Mahalanobis length of the rows of the difference of both `similarities`, mean over the images.

    The rows are whitened by the covariance of the columns of that difference plus `RIDGE`, through which the gradient
    flows, too. A single image costs 0.

    Source: the direction loss of SKD, by a Cholesky factor of the covariance.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        divisor: of the difference.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    difference = (similarities(student) - cached(similarities, teacher)) / divisor
    images = len(difference)
    if images == 1:
        return difference.new_zeros(())
    centred = difference - difference.mean(dim=0)
    ridge = RIDGE * torch.eye(images, dtype=difference.dtype, device=difference.device)
    # Without a check on the host: the ridge makes the matrix positive definite.
    factor = torch.linalg.cholesky_ex(centred.T @ centred / (images - 1) + ridge).L
    whitened = torch.linalg.solve_triangular(factor, difference.T, upper=False)
    lengths: Tensor = torch.linalg.vector_norm(whitened, dim=0)
    return lengths.mean()


class SKD(Method):
    """Divergence of single images, and distances between the cosines of a batch's logits.

    ``skd[published]`` is what the authors' code computes. It divides the similarities by the number of classes, so that
    the whitening hardly acts, multiplies both terms by shares of about a half and the divergence by the squared
    temperature, and adds cross-entropy. The default is the loss without these, as torchdistill reads the paper.

    Options:
        kd: weight of the divergence, which has no factor of the temperature.
        direction: weight of the distances between similarities.
        ce: weight of cross-entropy with the labels in this loss, beside the objective's, which is 0.
        temperature: divides both logits in the divergence.
        form: "paper", or "code" to divide the similarities by the number of classes, and to multiply the divergence by
            the share of `doubtful_images` and the distances by that of `rare_classes`.
    """

    title = "SKD"
    citation = "Streamlined Knowledge Distillation, CVPR 2026"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "published": {"ce": 0.1, "kd": 14.4, "direction": 0.9, "form": "code"}
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"form": ("paper", "code")}
    published_recipe = "rate 0.1 for all students, and for the teachers"
    formula = "KL(softmax(v / 4) || softmax(z / 4)) + mean_i ||L^-1 D_i||, D = cos(z) - cos(v), L L^T = cov(D) + 0.1 I"

    def __init__(
        self,
        pair: Pair,
        *,
        kd: float = 1.0,
        direction: float = 1.0,
        ce: float = 0.0,
        temperature: float = 4.0,
        form: str = "paper",
    ) -> None:
        super().__init__(pair)
        self.kd = kd
        self.direction = direction
        self.ce = ce
        self.temperature = temperature
        self.as_code = form == "code"

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        z, v = student.logits, teacher.logits
        kd = self.kd * divergence(z, v, self.temperature).mean()
        divisor = z.shape[1] if self.as_code else 1
        direction = self.direction * direction_loss(z, v, divisor, teacher.cached)
        if self.as_code:
            kd = kd * teacher.cached(doubtful_images, v).mean()
            direction = direction * teacher.cached(rare_classes, v).mean()
        parts = {"kd": kd, "direction": direction}
        return parts | {"ce": self.ce * smoothed_cross_entropy(z, batch.targets, 0.0)} if self.ce else parts
