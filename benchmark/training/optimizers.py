"""The optimisers of recipes, and the schedule of the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.runs.recipe import Recipe
from benchmark.training.capture import CAPTURE_DEVICES

# A capturable optimiser also runs eager steps, about which torch warns.
warnings.filterwarnings("ignore", ".*capturable=True.*")


class DOT(torch.optim.Optimizer):
    """Distillation-oriented trainer: SGD with one momentum for cross-entropy and a larger one for the other losses.

    A parameter that one of the two losses does not reach has the momentum between them. Weight decay belongs to the
    gradient of cross-entropy; a parameter that only the other losses reach decays from the second step on, as in the
    authors' code.

    Source: Zhao, Song & Liang, DOT: A Distillation-Oriented Trainer, ICCV 2023, Algorithm 1.

    Args:
        parameters: to train.
        lr: learning rate; a tensor where steps are captured.
        momentum: the mean of both momenta.
        delta: half of their difference.
        weight_decay: factor of the parameters in the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float | Tensor,
        momentum: float,
        delta: float,
        weight_decay: float,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "delta": delta, "weight_decay": weight_decay})
        for parameter in self._parameters():
            self.state[parameter] = {
                "ce": torch.zeros_like(parameter),
                "other": torch.zeros_like(parameter),
                "decay": torch.zeros((), device=parameter.device),
            }

    @torch.no_grad()
    def descend(self, ce: Tensor, other: Tensor | None) -> None:
        """Run one step down the gradients of two losses, which are both taken before it.

        Args:
            ce: cross-entropy, a scalar with a graph.
            other: all other losses; None if there are none.
        """
        parameters = self._parameters()
        first = _gradients(ce, parameters, retain_graph=other is not None)
        second = _gradients(other, parameters) if other is not None else [None] * len(parameters)
        group = self.param_groups[0]
        for parameter, mine, theirs in zip(parameters, first, second, strict=True):
            state, momentum, rate = self.state[parameter], group["momentum"], group["lr"]
            delta = group["delta"] if mine is not None and theirs is not None else 0.0
            if mine is not None:
                _move(parameter, state["ce"], mine + group["weight_decay"] * parameter, momentum - delta, rate)
            if theirs is not None:
                decayed = theirs if mine is not None else theirs + state["decay"] * parameter
                _move(parameter, state["other"], decayed, momentum + delta, rate)
                state["decay"].fill_(group["weight_decay"])

    def _parameters(self) -> list[nn.Parameter]:
        found: list[nn.Parameter] = self.param_groups[0]["params"]
        return found


def _gradients(loss: Tensor, parameters: Sequence[nn.Parameter], *, retain_graph: bool = False) -> list[Tensor | None]:
    """Gradients of a loss, None where it does not reach a parameter."""
    if not loss.requires_grad:
        return [None] * len(parameters)
    return [*torch.autograd.grad(loss, parameters, retain_graph=retain_graph, allow_unused=True)]


def _move(parameter: Tensor, buffer: Tensor, gradient: Tensor, momentum: float, rate: float | Tensor) -> None:
    buffer.mul_(momentum).add_(gradient)
    parameter.sub_(buffer * rate)


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


def _dot(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return DOT(parameters, initial_rate(recipe, parameters), recipe.momentum, recipe.delta or 0.0, recipe.weight_decay)


_OPTIMIZERS = {"sgd": _sgd, "adam": _adam, "dot": _dot}
