"""Factor transfer (FT): the student matches a compressed form of the teacher's last map, pretrained without labels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.alignment import pool_to_smaller
from methods.at import attention
from methods.base import Batch, Method, Pair
from models import Features

SLOPE = 0.1


def ft_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Absolute difference of the factors' attentions, mean over images and positions.

    This follows the CRD authors' code; the paper normalises whole factors with their channels.

    Args:
        student: factor ``(B, C, H, W)``.
        teacher: factor ``(B, c, h, w)``; the larger one is pooled to the size of the smaller.
    """
    mine, theirs = pool_to_smaller(student, teacher)
    return functional.l1_loss(attention(mine), attention(theirs))


class Paraphraser(nn.Module):
    """Autoencoder of a teacher's map: six 3x3 convolutions that keep its size, each followed by a leaky ReLU.

    Args:
        channels: ``C``, of the map.
        factors: ``c``, channels of the factor between encoder and decoder.
    """

    def __init__(self, channels: int, factors: int) -> None:
        super().__init__()
        self.encoder = _rectified(nn.Conv2d, (channels, channels, factors, factors))
        self.decoder = _rectified(nn.ConvTranspose2d, (factors, factors, channels, channels))

    def forward(self, maps: Tensor) -> Tensor:
        """The map ``(B, C, H, W)``, reconstructed from its factor."""
        reconstructed: Tensor = self.decoder(self.encoder(maps))
        return reconstructed


def _rectified(layer: type[nn.Conv2d | nn.ConvTranspose2d], channels: tuple[int, ...]) -> nn.Sequential:
    layers = nn.Sequential()
    for width in pairwise(channels):
        layers.append(layer(*width, kernel_size=3, padding=1)).append(nn.LeakyReLU(SLOPE))
    return layers


class Translator(nn.Sequential):
    """Maps a student's map ``(B, C, H, W)`` to a factor ``(B, c, H, W)`` by three 3x3 convolutions with batch-norms.

    Args:
        channels: ``C``, of the map.
        factors: ``c``, of the factor.
    """

    def __init__(self, channels: int, factors: int) -> None:
        super().__init__()
        for width in pairwise((channels, channels, factors, factors)):
            self.append(nn.Conv2d(*width, kernel_size=3, padding=1))
            self.append(nn.BatchNorm2d(width[1])).append(nn.LeakyReLU(SLOPE))


class FT(Method):
    """Distance between the student's translated and the teacher's paraphrased last map.

    A pretraining stage trains the paraphraser to reconstruct the teacher's map; runs keep it frozen. The translator is
    trained with the student.

    Options:
        rate: channels of the factor, as a fraction of those of the teacher's map.
    """

    title = "FT"
    citation = "Kim, Park & Kwak, Paraphrasing Complex Network: Network Compression via Factor Transfer, NeurIPS 2018"
    revision = 2
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 200.0}
    pretrain = "teacher"
    formula = "mean |a(translate(x)) - a(paraphrase(t))|, a(x) = sum_c x_c^2 over positions as a unit vector"

    def __init__(self, pair: Pair, *, rate: float = 0.5) -> None:
        super().__init__(pair)
        channels = pair.teacher.feats[-1][0]
        factors = int(channels * rate)
        if factors < 1:
            raise ValueError(f"ft: rate must leave a channel of the teacher's {channels}, {rate} does not")
        # The paraphraser comes first: its initial weights must not depend on the student.
        self.paraphraser = Paraphraser(channels, factors)
        self.translator = Translator(pair.student.feats[-1][0], factors)

    def pretrain_modules(self) -> nn.Module:
        return self.paraphraser

    def pretrain_loss(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        target = teacher.feats[-1]
        return {"reconstruction": functional.mse_loss(self.paraphraser(target), target)}

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            factor = self.paraphraser.encoder(teacher.feats[-1])
        return {"ft": ft_loss(self.translator(student.feats[-1]), factor)}
