"""Inter-channel correlation (ICKD): the student's channels correlate with each other as the teacher's do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from methods.base import Batch, Method, Pair
from methods.kd import kd_loss
from methods.teacher_cache import Cached, uncached
from models import Features

LEAST_LENGTH = 1e-12
"""A row of products that is no longer than this is 0."""
TEMPERATURE = 4.0


def lengths(maps: Tensor) -> Tensor:
    """Lengths ``(B, C)`` of the rows of the products ``X X'`` of the channels of maps ``(B, C, H, W)``.

    The length of a channel of zeros is infinite, so that what it divides is 0 and has no gradient.
    """
    channels = maps.flatten(2)
    products = torch.bmm(channels, torch.bmm(channels.mT, channels))
    squares = (products * channels).sum(dim=2)
    return squares.masked_fill(squares <= LEAST_LENGTH**2, torch.inf).sqrt()


def correlation_loss(student: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Squared difference of the channels' correlations, sum over pairs of channels, mean over images and channels.

    The correlations of a channel are its row of ``X X'`` (the inner products of channels) as a unit vector; those of a
    channel of zeros are 0. The squared difference of unit vectors is 2 minus twice their product, and products of rows
    follow from products of positions, ``sum_d (x_c x_d) (t_c t_d) = x_c (X' T) t_c``. A map has few positions where it
    has many channels, so that this saves the ``C^2`` correlations of every image.

    Args:
        student: ``(B, C, H, W)``.
        teacher: ``(B, C, h, w)``; the size may differ.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    mine, theirs = student.flatten(2), teacher.flatten(2)
    products = (torch.bmm(mine, torch.bmm(mine.mT, theirs)) * theirs).sum(dim=2)
    length, their_length = lengths(student), cached(lengths, teacher)
    # One length after the other, since their product may overflow.
    cosines = products / length / their_length
    squares = (length < torch.inf).to(cosines.dtype) + (their_length < torch.inf).to(cosines.dtype)
    return (squares - 2 * cosines).mean()


class ICKD(Method):
    """Distance of the channels' correlations in the last maps, the student's mapped by a convolution and batch-norm.

    Options:
        scale: factor of the correlations.
        kernel: side of the convolution, odd.
        squared: whether the loss is divided by the batch size once more, as in the authors' code for ImageNet.
        kd: weight of KD's divergence at temperature 4 beside the correlations; the method's weight multiplies both.
    """

    title = "ICKD"
    citation = (
        "Liu, Huang, Lin, Xie, Wang, Chang & Liang, Exploring Inter-Channel Correlation for Diversity-Preserved "
        "Knowledge Distillation, ICCV 2021"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 2.5}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "kd": {"kd": 0.4},
        "imagenet": {"squared": True, "scale": 200.0, "kernel": 3},
    }
    formula = "1 / C sum_cd (I(x_S) - I(x_T))^2, I(x) = x x' with rows of length 1"

    def __init__(
        self, pair: Pair, *, scale: float = 1.0, kernel: int = 1, squared: bool = False, kd: float = 0.0
    ) -> None:
        super().__init__(pair)
        if kernel < 1 or kernel % 2 != 1:
            raise ValueError(f"ickd: kernel must be odd and at least 1, not {kernel}")
        self.scale = scale
        self.squared = squared
        self.kd = kd
        mine, theirs = pair.student.feats[-1][0], pair.teacher.feats[-1][0]
        convolution = nn.Conv2d(mine, theirs, kernel, padding=kernel // 2, bias=False)
        self.connector = nn.Sequential(convolution, nn.BatchNorm2d(theirs))

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        connected = self.connector(student.feats[-1])
        loss = correlation_loss(connected, teacher.feats[-1], teacher.cached)
        parts = {"correlation": self.scale * loss / (len(connected) if self.squared else 1)}
        if self.kd:
            parts["kd"] = self.kd * kd_loss(student.logits, teacher.logits, TEMPERATURE)
        return parts
