"""The optimisers of recipes, and the step schedule of the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.runs.recipe import Recipe
from benchmark.training.capture import CAPTURE_DEVICES

# A capturable optimiser also runs eager steps, about which torch warns.
warnings.filterwarnings("ignore", ".*capturable=True.*")


def build(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimiser with one parameter group: weight decay applies to all, as in the published trainings."""
    return _OPTIMIZERS[recipe.optimizer](recipe, list(parameters))


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch, counted from 1; a milestone ``E`` lowers it from epoch ``E + 1`` on."""
    drops = sum(epoch > milestone for milestone in recipe.milestones)
    return float(recipe.lr * recipe.lr_decay**drops)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a checkpoint's state but keep the learning rate, which is set at the beginning of the epoch."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = (
            rate  # a checkpoint of another device may hold a float instead of a tensor, or a tensor instead of a float
        )


def initial_rate(recipe: Recipe, parameters: list[nn.Parameter]) -> float | Tensor:
    """The learning rate; a tensor where steps are captured, so that a replay uses its current value."""
    device = parameters[0].device if parameters else torch.device("cpu")
    return torch.tensor(recipe.lr, device=device) if device.type in CAPTURE_DEVICES else recipe.lr


def _sgd(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(
        parameters,
        lr=initial_rate(recipe, parameters),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=True,
    )
    if recipe.precision == "fp16" and recipe.momentum:
        # The first step of a scaled loss often overflows and is skipped: torch would leave new buffers uninitialised.
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _adam(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    betas = (recipe.momentum, recipe.beta2 or 0.0)
    rate = initial_rate(recipe, parameters)
    return torch.optim.Adam(
        parameters,
        lr=rate,
        betas=betas,
        weight_decay=recipe.weight_decay,
        fused=True,
        capturable=isinstance(rate, Tensor),
    )


_OPTIMIZERS = {"sgd": _sgd, "adam": _adam}
