"""Semantic calibration (SemCKD): each stage of the student learns from all of the teacher's, weighted by attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.alignment import pool_to_smaller
from methods.base import Batch, Method, Pair
from methods.kd import kd_loss
from models import Features

LEAST_LENGTH = 1e-12
TEMPERATURE = 4.0


def gram(maps: Tensor) -> Tensor:
    """Inner products ``(B, B)`` of the images of a map ``(B, C, H, W)``."""
    flat = maps.flatten(1)
    return flat @ flat.T


def attention(queries: Tensor, keys: Tensor) -> Tensor:
    """Weights ``(B, S, T)`` of the teacher's ``T`` stages for each of ``S`` of the student, a softmax over ``T``.

    Args:
        queries: ``(S, B, D)``, unit vectors.
        keys: ``(T, B, D)``, unit vectors.
    """
    return torch.einsum("sbd,tbd->bst", queries, keys).softmax(dim=2)


def calibrated_loss(weights: Tensor, distances: Tensor) -> Tensor:
    """Sum of the distances by their weights over the teacher's stages, mean over images and the student's stages.

    Source: Chen et al., SemCKD.

    Args:
        weights: ``(B, S, T)``.
        distances: ``(B, S, T)``.
    """
    return (weights * distances).sum(dim=2).mean()


class Embedding(nn.Module):
    """Embeds the images of a batch by their inner products: a perceptron of two layers for each stage, unit vectors.

    Inner products grow with the size of maps, so that half precision could not hold them: all is computed in the
    precision of the argument. Weights start as those of ``nn.Linear``.

    Args:
        stages: number of stages, ``S``.
        images: size of a batch, ``B``, which is part of the weights' shapes.
    """

    def __init__(self, stages: int, images: int) -> None:
        super().__init__()
        width = max(1, images // 4)
        self.weight1, self.bias1 = _linear(stages, images, 2 * width)
        self.weight2, self.bias2 = _linear(stages, 2 * width, width)

    def forward(self, grams: Tensor) -> Tensor:
        """Unit vectors ``(S, B, D)`` from inner products ``(S, B, B)``."""
        with torch.autocast(grams.device.type, enabled=False):
            hidden = torch.baddbmm(self.bias1, grams, self.weight1.mT).relu()
            embedded = torch.baddbmm(self.bias2, hidden, self.weight2.mT)
            return functional.normalize(embedded, dim=2, eps=LEAST_LENGTH)


def _linear(stages: int, inputs: int, outputs: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight ``(S, outputs, inputs)`` and bias ``(S, 1, outputs)`` of a linear layer for each stage."""
    bound = 1 / math.sqrt(inputs)
    shapes = (stages, outputs, inputs), (stages, 1, outputs)
    weight, bias = (nn.Parameter(torch.empty(shape).uniform_(-bound, bound)) for shape in shapes)
    return weight, bias


def projection(student_channels: int, teacher_channels: int) -> nn.Sequential:
    """Convolutions 1x1, 3x3 and 1x1 without bias; batch-norm and ReLU follow the first two."""
    middle = 2 * teacher_channels
    return nn.Sequential(
        nn.Conv2d(student_channels, middle, kernel_size=1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, middle, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, teacher_channels, kernel_size=1, bias=False),
    )


class SemCKD(Method):
    """Squared differences of all pairs of stages, weighted by attention, beside KD at temperature 4.

    Attention compares the images' inner products within a batch, by weights for one size of batch: a batch of another
    size, as the last one of an epoch, has KD alone. The authors' code leaves out the whole step there.

    Options:
        kd: weight of KD's divergence; the method's weight, 400, multiplies it, too.
    """

    title = "SemCKD"
    citation = (
        "Chen, Mei, Zhang, Wang, Wang, Feng & Chen, Cross-Layer Distillation with Semantic Calibration, AAAI 2021"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 400.0}
    formula = "1 / S sum_ij A_ij mean (r_ij(x_i) - t_j)^2 + KD / 400, A the softmax of <query_i, key_j> over j"

    def __init__(self, pair: Pair, *, kd: float = 0.0025) -> None:
        super().__init__(pair)
        mine, theirs = pair.student.feats[1:], pair.teacher.feats[1:]
        self.kd = kd
        self.queries = Embedding(len(mine), pair.batch_size)
        self.keys = Embedding(len(theirs), pair.batch_size)
        self.projections = nn.ModuleList(
            nn.ModuleList(projection(student[0], teacher[0]) for teacher in theirs) for student in mine
        )

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        whole = len(student.logits) == self.pair.batch_size
        return {
            "semckd": self._calibrated(student, teacher) if whole else student.logits.new_zeros(()),
            "kd": self.kd * kd_loss(student.logits, teacher.logits, TEMPERATURE),
        }

    def _calibrated(self, student: Features, teacher: Features) -> Tensor:
        """The loss of a batch of the size that the attention is made for."""
        mine, theirs = student.feats[1:], teacher.feats[1:]
        queries = self.queries(torch.stack([gram(maps) for maps in mine]))
        keys = self.keys(torch.stack([teacher.cached(gram, maps) for maps in theirs]))
        return calibrated_loss(attention(queries, keys), self._distances(mine, theirs))

    def _distances(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Squared difference of each pair of maps, mean over channels and positions, ``(B, S, T)``."""
        rows = []
        for maps, projections in zip(student, self.projections, strict=True):
            row = [
                stage_distance(maps, target, project)
                for target, project in zip(teacher, cast("nn.ModuleList", projections), strict=True)
            ]
            rows.append(torch.stack(row, dim=1))
        return torch.stack(rows, dim=1)


def stage_distance(student: Tensor, teacher: Tensor, project: nn.Module) -> Tensor:
    """Mean squared difference of each image's maps, ``(B,)``, of which the larger one is pooled to the smaller one.

    Args:
        student: ``(B, C_S, H, W)``, to be projected after it is pooled.
        teacher: ``(B, C_T, h, w)``.
        project: maps ``(B, C_S, *, *)`` to ``(B, C_T, *, *)``.
    """
    smaller, target = pool_to_smaller(student, teacher)
    difference: Tensor = project(smaller) - target
    return difference.square().mean(dim=(1, 2, 3))
