"""Knowledge review (ReviewKD): every stage of the student, fused with all deeper ones, matches the teacher's stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.alignment import paired_stages
from methods.base import Batch, Method, Pair
from methods.logits import warmed_up
from models import Features

WIDEST = 512
"""Largest number of channels of the fused maps."""
SIDES = (4, 2, 1)
"""Height and width of the pooled maps that a loss compares beside the whole ones."""


def hierarchical_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Hierarchical context loss: squared differences of two maps and of their poolings, a weighted mean.

    The maps have weight 1, and the poolings to 4x4, 2x2 and 1x1 that are smaller have 1/2, 1/4 and 1/8, in that order.

    Args:
        student: ``(B, C, H, H)``.
        teacher: ``(B, C, H, H)``.
    """
    # Pooling is linear: the pooled difference is the difference of the pooled maps.
    difference = student - teacher
    height = difference.shape[2]
    pooled, loss = difference, difference.square().mean()
    weight = total = 1.0
    for side in SIDES:
        if side < height:
            # Windows that divide the map nest, so that the pooled map holds all that the next one needs.
            source = pooled if height % pooled.shape[2] == 0 else difference
            pooled = functional.adaptive_avg_pool2d(source, side)
            weight /= 2
            total += weight
            loss = loss + weight * pooled.square().mean()
    return loss / total


def review_loss(reviewed: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Sum of `hierarchical_loss` over the levels.

    Args:
        reviewed: at least one map ``(B, C, H, H)``, the student's at the teacher's channels and size.
        teacher: as many maps of the same shapes.
    """
    return torch.stack([hierarchical_loss(*level) for level in zip(reviewed, teacher, strict=True)]).sum()


def _convolution(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Convolution without bias that keeps the size of maps, and batch-norm; uniform weights of variance 1 / fan-in."""
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest neighbours: row ``i`` of the result is row ``floor(i * H / size)`` of ``(B, C, H, W)``."""
    return maps if maps.shape[2:] == size else functional.interpolate(maps, size=size, mode="nearest")


class Fusion(nn.Module):
    """Fuses a student's map with the deeper levels (attention-based fusion) and brings it into the teacher's shape.

    Args:
        student_channels: of the student's map.
        middle: channels of fused maps.
        teacher: ``(C, H, W)`` of the teacher's map.
        deepest: whether there is no deeper level.
    """

    def __init__(self, student_channels: int, middle: int, teacher: tuple[int, int, int], *, deepest: bool) -> None:
        super().__init__()
        self.narrow = _convolution(student_channels, middle, 1)
        self.attention = None if deepest else nn.Conv2d(2 * middle, 2, 1)
        self.widen = _convolution(middle, teacher[0], 3)
        self.size = teacher[1:]

    def forward(self, maps: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """The fused map at the teacher's size ``(B, M, H, W)``, and at its channels too ``(B, C, H, W)``.

        Args:
            maps: ``(B, c, h, w)``, the student's.
            deeper: ``(B, M, *, *)``, the fused map of the next deeper level; None at the deepest.
        """
        fused = self.narrow(maps)
        if self.attention is not None and deeper is not None:
            deeper = _resized(deeper, (maps.shape[2], maps.shape[3]))
            weights = self.attention(torch.cat([fused, deeper], dim=1)).sigmoid()
            fused = weights[:, :1] * fused + weights[:, 1:] * deeper
        fused = _resized(fused, self.size)
        return fused, self.widen(fused)


class Review(nn.Module):
    """Fuses the maps of a student from the deepest level to the shallowest.

    Args:
        student: ``(C, H, W)`` of the student's map at each level, the shallowest first.
        teacher: the same of the teacher.
    """

    def __init__(self, student: Sequence[tuple[int, int, int]], teacher: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        middle, last = min(WIDEST, student[-1][0]), len(student) - 1
        self.levels = nn.ModuleList(
            Fusion(mine[0], middle, theirs, deepest=level == last)
            for level, (mine, theirs) in enumerate(zip(student, teacher, strict=True))
        )

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """The reviewed maps in the teacher's shapes, from those of the student, both with the shallowest first."""
        fused, reviewed = None, list[Tensor]()
        for level, mine in zip(reversed(self.levels), reversed(maps), strict=True):
            fused, widened = level(mine, fused)
            reviewed.append(widened)
        return tuple(reversed(reviewed))


class ReviewKD(Method):
    """Hierarchical context loss of the student's reviewed maps to the teacher's maps before their activation.

    Levels are the paired stages and the embedding, a map of one position. The weight rises in the first epochs. A batch
    of one image costs nothing, since its embedding has no batch statistics.

    Options:
        warmup: epochs of a training of 240 in which the weight rises; 0 for none.
        preactivations: whether the student's maps are those before their activation, as on ImageNet.
    """

    title = "ReviewKD"
    citation = "Chen, Liu, Zhao & Jia, Distilling Knowledge via Knowledge Review, CVPR 2021"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 5.0}
    published_recipe = (
        "batches of 128, learning rate 0.1 (0.02 for MobileNet and ShuffleNet), Nesterov, teacher in train mode; "
        "ImageNet in batches of 256 at 0.1"
    )
    formula = "w(e) sum_i HCL(O_i(x_i), t_i), x_i = g_i A_i(s_i) + h_i x_(i+1)"

    def __init__(self, pair: Pair, *, warmup: float = 20.0, preactivations: bool = False) -> None:
        super().__init__(pair)
        self.warmup = warmup
        self.preactivations = preactivations
        levels = [*paired_stages(pair.student.feats, pair.teacher.feats)]
        levels.append(((pair.student.embedding, 1, 1), (pair.teacher.embedding, 1, 1)))
        student, teacher = zip(*levels, strict=True)
        self.review = Review(student, teacher)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        if len(student.embedding) == 1:
            return {"review": 0.0 * student.embedding.sum()}
        mine = student.preacts if self.preactivations else student.feats
        levels = [*paired_stages(mine, teacher.preacts), (_as_map(student.embedding), _as_map(teacher.embedding))]
        maps, targets = zip(*levels, strict=True)
        return {"review": warmed_up(batch, self.warmup) * review_loss(self.review(*maps), targets)}

    def project(self, student: Features) -> Tensor:
        _, widened = self.review.levels[-1](_as_map(student.embedding), None)
        projected: Tensor = widened[:, :, 0, 0]
        return projected


def _as_map(embedding: Tensor) -> Tensor:
    return embedding[:, :, None, None]
