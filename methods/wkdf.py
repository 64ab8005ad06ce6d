"""Wasserstein distance of features (WKD-F): cells of the maps match in mean and deviation, as normal distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.logits import SCHEDULE
from methods.regressor import Regressor
from methods.teacher_cache import Cached, uncached
from models import Features

LEAST_VARIANCE = 1e-5
DECAY = 150.0
"""Epochs of a training of `SCHEDULE` after which the weight falls."""


def decayed(batch: Batch, start: float = DECAY) -> Tensor:
    """The factor of a weight that is 1 at first and falls to 0 along half a cosine, a scalar.

    Args:
        batch: of the current epoch.
        start: epochs without decay in a training of `SCHEDULE` epochs; others decay from the same share on.
    """
    begin = start / SCHEDULE
    done = ((batch.epoch / batch.epochs - begin) / (1 - begin)).clamp(0, 1)
    return (1 + torch.cos(math.pi * done)) / 2


def moments(maps: Tensor, grid: int) -> Tensor:
    """Mean and standard deviation of every channel of maps ``(B, C, H, W)`` in every cell, ``(2, B, C, g, g)``.

    The deviation is the root of the variance (with ``n - 1``) plus 1e-5. A cell of one position has no variance.

    Args:
        maps: cells that do not divide them are the windows of adaptive pooling, which overlap.
        grid: ``g``, the number of cells along height and along width.
    """
    height, width = maps.shape[2:]
    if height % grid == 0 and width % grid == 0:
        return _moments(maps.reshape(*maps.shape[:2], grid, height // grid, grid, width // grid), (3, 5))
    rows, columns = _windows(height, grid), _windows(width, grid)
    cells = [_moments(maps[:, :, row, column], (2, 3)) for row in rows for column in columns]
    return torch.stack(cells, dim=3).reshape(2, *maps.shape[:2], grid, grid)


def _moments(cells: Tensor, positions: tuple[int, int]) -> Tensor:
    several = math.prod(cells.shape[axis] for axis in positions) > 1
    variance, mean = torch.var_mean(cells, dim=positions, correction=int(several))
    return torch.stack([mean, (variance + LEAST_VARIANCE).sqrt()])


def _windows(size: int, grid: int) -> list[slice]:
    """The windows of adaptive pooling of ``size`` positions to ``grid``."""
    return [slice(cell * size // grid, math.ceil((cell + 1) * size / grid)) for cell in range(grid)]


@cache
def _in_cells(grid: int) -> Callable[[Tensor], Tensor]:
    """`moments` for a grid: one function for all methods, so that they share what they cache of the teacher."""
    return partial(moments, grid=grid)


def wasserstein_loss(student: Tensor, teacher: Tensor, grid: int, ratio: float, cached: Cached = uncached) -> Tensor:
    """``sum ratio (mean_S - mean_T)^2 + (sd_S - sd_T)^2`` over channels and cells, mean over images and cells.

    With a ratio of 1 this is the squared Wasserstein distance of normal distributions with diagonal covariance.

    Args:
        student: ``(B, C, H, W)``.
        teacher: ``(B, C, H, W)``.
        grid: as in `moments`.
        ratio: weight of the means relative to the deviations.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    difference = moments(student, grid) - cached(_in_cells(grid), teacher)
    distance = difference.square().sum(dim=(1, 2, 3, 4))
    return (ratio * distance[0] + distance[1]) / (len(student) * grid**2)


class WKDF(Method):
    """Distance of the moments of the last maps in a grid of cells, the student's mapped by a rectified regressor.

    The weight falls in the last three eighths of the training.

    Options:
        scale: factor of the loss.
        ratio: weight of the means relative to the deviations.
        grid: number of cells along height and along width.
        decay: epochs of a training of 240 after which the weight falls.
    """

    title = "WKD-F"
    citation = (
        "Lv, Yang & Li, Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation, "
        "NeurIPS 2024"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    published_recipe = "ImageNet in batches of 256 at learning rate 0.1, with another projector"
    formula = "w d(e) / g^2 sum_cells (rho (mean_S - mean_T)^2 + (sd_S - sd_T)^2)"

    def __init__(
        self, pair: Pair, *, scale: float = 0.08, ratio: float = 4.0, grid: int = 1, decay: float = 150.0
    ) -> None:
        super().__init__(pair)
        if grid < 1:
            raise ValueError(f"wkdf: grid must be a number of cells, not {grid}")
        if not 0 <= decay < SCHEDULE:
            raise ValueError(f"wkdf: decay must be among 0 to {SCHEDULE - 1}, not {decay}")
        self.scale = scale
        self.ratio = ratio
        self.grid = grid
        self.decay = decay
        self.regressor = Regressor(pair.student.feats[-1], pair.teacher.feats[-1], rectify=True)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        regressed = self.regressor(student.feats[-1])
        loss = wasserstein_loss(regressed, teacher.feats[-1], self.grid, self.ratio, teacher.cached)
        return {"wkdf": self.scale * decayed(batch, self.decay) * loss}
