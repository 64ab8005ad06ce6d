"""Optimisers by a recipe's name, and the step schedule."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.runs.recipe import Recipe
from benchmark.training.capture import CAPTURING

# Steps before the capture, and all where nothing is captured, are meant to run without a graph.
warnings.filterwarnings("ignore", ".*capturable=True.*")


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
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on from a checkpoint's state; the rate is set when the epoch begins."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate  # a checkpoint of another device may hold another kind of number


def _rate(recipe: Recipe, parameters: list[nn.Parameter]) -> float | Tensor:
    """Where steps are captured, a number in the device's memory, so that a replay follows its changes."""
    device = parameters[0].device if parameters else torch.device("cpu")
    return torch.tensor(recipe.lr, device=device) if device.type in CAPTURING else recipe.lr


def _sgd(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(
        parameters,
        lr=_rate(recipe, parameters),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=True,
    )
    if recipe.precision == "fp16" and recipe.momentum:
        # A scaled loss often overflows in the first step. That is skipped, and torch would leave its new buffers empty.
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _adam(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    betas = (recipe.momentum, recipe.beta2 or 0.0)
    rate = _rate(recipe, parameters)
    return torch.optim.Adam(
        parameters,
        lr=rate,
        betas=betas,
        weight_decay=recipe.weight_decay,
        fused=True,
        capturable=isinstance(rate, Tensor),
    )


_OPTIMIZERS = {"sgd": _sgd, "adam": _adam}
