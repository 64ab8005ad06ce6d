"""Wasserstein distance of logits (WKD-L): moving probability between classes costs less the more alike they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.class_similarity import cka, class_features, cosines, outputs, positions
from methods.logits import SCHEDULE, labelled
from methods.nkd import label_loss
from methods.wkdf import decayed
from models import Features

ITERATIONS = 10
REGULARISATION = 0.05
LEAST = 1e-8
"""Added to costs and to divisors."""
LARGEST_SMALL = 64
"""Largest side of images, in pixels, of which maps are compared by default."""


def costs(similarities: Tensor, sharpness: float) -> Tensor:
    """Costs ``1 - exp(-sharpness (1 - similarity))`` between classes, ``(K, K)``, 0 on the diagonal.

    Args:
        similarities: ``(K, K)``, at most 1.
        sharpness: kappa in the paper.
    """
    return (1 - torch.exp(-sharpness * (1 - similarities))).clamp_min(0).fill_diagonal_(0)


def transport_losses(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, cost: Tensor) -> Tensor:
    """Cost of the entropic transport between the distributions over the other classes of every image, ``(B,)``.

    Ten iterations of Sinkhorn, through which the gradient flows. The label has no probability on either side, so that
    its row and column of the cost take no part, and all images share one matrix.

    Source: Lv et al., WKD; the constants are those of their code.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        targets: ``(B,)`` int64 labels.
        temperature: divides both logits.
        cost: ``(K, K)``.
    """
    label = labelled(targets, student.shape[1])
    mine, theirs = (_without(label, logits / temperature) for logits in (student, teacher))
    shifted = cost.clamp_min(0) + LEAST
    kernel = torch.exp(-shifted / REGULARISATION)
    rows = (~label).to(student.dtype) / max(1, student.shape[1] - 1)
    columns = rows
    for _ in range(ITERATIONS):
        columns = theirs / (rows @ kernel + LEAST)
        rows = mine / (columns @ kernel.T + LEAST)
    return ((rows @ (kernel * shifted)) * columns).sum(dim=1)


def _without(label: Tensor, logits: Tensor) -> Tensor:
    """Softmax ``(B, K)`` over the classes but the label; 0 where all of these are masked by minus infinity."""
    others = logits.masked_fill(label, -torch.inf)
    empty = (others == -torch.inf).all(dim=1, keepdim=True)
    return others.masked_fill(empty, 0.0).softmax(dim=1).masked_fill(empty, 0.0)


class WKDL(Method):
    """Transport between the distributions over the classes but the label, and cross-entropy of the label.

    Costs follow from the teacher, once before the training. The weight of the transport falls in the last three eighths
    of the training.

    Options:
        gamma: weight of the transport.
        temperature: divides both logits in the transport; the label's part is at 1.
        cost: likeness of classes: "cka" of the teacher's features of their training images, which takes a pass over
            these and holds all features at once, or "fc", the cosine of the rows of its classifier.
        features: those of "cka". "maps" are all positions of the last feat, as the authors take on CIFAR, "logits" are
            theirs on ImageNet. "auto" takes maps where images have up to 64 pixels a side.
        sharpness: kappa, by which costs rise with unlikeness.
        decay: epochs of a training of 240 after which the weight falls.
    """

    title = "WKD-L"
    citation = (
        "Lv, Yang & Li, Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation, "
        "NeurIPS 2024"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"cost": ("cka", "fc"), "features": ("auto", "maps", "logits")}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"fc": {"cost": "fc"}}
    published_recipe = "ImageNet in batches of 256 at learning rate 0.1"
    formula = "-s(v)_y ln s(z)_y + gamma d(e) min_Q <Q, C>, Q between the softmaxes of z / T and v / T without label y"

    def __init__(
        self,
        pair: Pair,
        *,
        gamma: float = 200.0,
        temperature: float = 8.0,
        cost: str = "cka",
        features: str = "auto",
        sharpness: float = 1.0,
        decay: float = 150.0,
    ) -> None:
        super().__init__(pair)
        if not 0 <= decay < SCHEDULE:
            raise ValueError(f"wkdl: decay must be among 0 to {SCHEDULE - 1}, not {decay}")
        self.gamma = gamma
        self.temperature = temperature
        self.decay = decay
        with torch.no_grad():
            alike = cosines(pair.teacher_network.classifier.weight) if cost == "fc" else _alignment(pair, features)
        self.register_buffer("cost", costs(alike, sharpness))
        self.cost: Tensor

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        z, v, targets = student.logits, teacher.logits, batch.targets
        transport = transport_losses(z, v, targets, self.temperature, self.cost).mean()
        return {"label": label_loss(z, v, targets), "transport": self.gamma * decayed(batch, self.decay) * transport}


def _alignment(pair: Pair, features: str) -> Tensor:
    """Alignment of all pairs of classes in the teacher's features of the training images, ``(K, K)``."""
    if features == "auto":
        features = "maps" if pair.teacher_network.in_size <= LARGEST_SMALL else "logits"
    take = positions if features == "maps" else outputs
    return cka(class_features(pair.training_features(), pair.labels, pair.num_classes, take))
