"""Optimisers by a recipe's name, and the step schedule."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from benchmark.recipe import Recipe


def build(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimiser over one group: decay applies to everything, as in the published trainings."""
    return _OPTIMIZERS[recipe.optimizer](recipe, list(parameters))


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The rate of an epoch, counted from 1: a drop "after E" leaves epoch E at the rate before."""
    drops = sum(epoch > milestone for milestone in recipe.milestones)
    return float(recipe.lr * recipe.lr_decay**drops)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use a rate from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _sgd(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=True,
    )


def _adam(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    betas = (recipe.momentum, recipe.beta2 or 0.0)
    return torch.optim.Adam(parameters, lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay, fused=True)


_OPTIMIZERS = {"sgd": _sgd, "adam": _adam}
