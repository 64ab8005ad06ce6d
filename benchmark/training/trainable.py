"""One job inside a cohort: what it trains, its optimiser, random numbers and place in its schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.files import write_atomically
from benchmark.runs.job import Job
from benchmark.runs.record import Conditions
from benchmark.runs.store import Store
from benchmark.training import optimizers
from benchmark.training.checkpoints import StaleCheckpointError, pack, unpack
from benchmark.training.curves import CurveRecorder
from benchmark.training.evaluation import MetricAccumulator
from benchmark.training.failures import DivergedError
from benchmark.training.parts import BACKWARD, FORWARD, LOSS, OPTIMIZER, part
from benchmark.training.precision import autocast, grad_scaler
from benchmark.training.randomness import derive
from benchmark.training.teacher import View
from methods import Batch, Pair
from models import Features, Network


class Trainable:
    """A job that trains beside others and is not touched by them. What is trained, and how, its kinds add.

    Args:
        job: what it trains.
        device: where it trains.

    Attributes:
        network: what sees the images; None where only the teacher does.
        loss: the modules that train beside the network.
        rests_on: SHA-256 of the weights that the run learns from or begins with, by the id of the job that left them.
        machines: the conditions of those it was trained on one after another, this one the last.
        only_here: whether the whole run has to be trained on this machine.
    """

    network: Network | None
    loss: nn.Module

    def __init__(self, job: Job, device: torch.device) -> None:
        self.job = job
        self.device = device
        self.epoch = 0
        self.curves = CurveRecorder()
        self.seconds = 0.0
        self.rests_on: dict[str, str] = {}
        self.machines: list[Conditions] = []
        self.only_here = False
        self.generator = torch.Generator(device).manual_seed(derive("draws", job.seed))
        self._scaler = grad_scaler(job.recipe.precision, device)
        self._done = torch.zeros((), dtype=torch.float64, device=device)
        self._parts: list[str] = []
        self._sums: Tensor | None = None
        self._optimizer: torch.optim.Optimizer

    # What the kinds add.

    def setup(self, pair: Pair | None) -> None:
        """Build ``loss`` and the optimiser over all that is trained."""
        raise NotImplementedError

    @property
    def teacher_modes(self) -> frozenset[bool]:
        """Whether the loss looks at the teacher in train mode (True), in evaluation mode (False), or both."""
        return frozenset()

    def losses(self, student: Features | None, view: View, batch: Batch) -> dict[str, Tensor]:
        """Named parts of the loss of one batch, scalars that sum to it."""
        raise NotImplementedError

    def save_weights(self, store: Store) -> None:
        """Save what others need of the finished job; it is tested as it was saved."""

    def result(self) -> dict[str, Any]:
        """The record's metrics, after the last test."""
        raise NotImplementedError

    # What all do alike.

    @property
    def finished(self) -> bool:
        """Whether the last epoch is trained."""
        return self.epoch >= self.job.recipe.epochs

    @property
    def tested(self) -> bool:
        """Whether the network has to be tested after this epoch."""
        return self.network is not None and (self.finished or self.epoch % self.job.recipe.evaluate_every == 0)

    def accumulator(self) -> MetricAccumulator:
        """What a test of the network adds up in."""
        assert self.network is not None
        return MetricAccumulator(self.network, self.job.recipe.precision, self.job.recipe.top_k)

    def note_test(self, metrics: Mapping[str, float]) -> None:
        """Keep a test's metrics.

        Raises:
            DivergedError: the outputs were not finite.
        """
        # The last step of an epoch can break weights whose losses were all finite.
        if not math.isfinite(metrics["loss"]):
            raise DivergedError(f"diverged: the outputs on test images are not finite after epoch {self.epoch}")
        self.curves.add_test(self.epoch, metrics)

    def begin_epoch(self) -> None:
        """Set the epoch's learning rate."""
        optimizers.set_learning_rate(self._optimizer, optimizers.learning_rate(self.job.recipe, self.epoch + 1))
        self._done.fill_(self.epoch)
        if self._sums is not None:
            self._sums.zero_()

    def step(self, batch: Batch, view: View) -> None:
        """One optimiser step; nothing here waits for the device, and nothing but tensors changes after the first.

        Args:
            batch: the stream's batch; its progress is that of the epoch.
            view: its images at every size, and the teacher's features.
        """
        progress = (self._done + batch.progress) / self.job.recipe.epochs
        own = replace(batch, progress=progress, generator=self.generator)
        with part(FORWARD):
            features = self._forward(view)
        with part(LOSS):
            parts = self.losses(features, view, own)
            values = torch.stack(list(parts.values()))
        with part(BACKWARD):
            self._optimizer.zero_grad(set_to_none=True)
            self._scaler.scale(values.sum()).backward()  # type: ignore[no-untyped-call]
        with part(OPTIMIZER):
            self._scaler.step(self._optimizer)
            self._scaler.update()
        self._note(list(parts), values.detach(), len(batch.targets))

    def end_epoch(self, images: int) -> None:
        """Close the epoch: the one place where the loop waits for the device.

        Args:
            images: that the epoch had.

        Raises:
            DivergedError: a part of the loss was not finite.
        """
        assert self._sums is not None
        parts = dict(zip(self._parts, (self._sums / images).tolist(), strict=True))
        self.epoch += 1
        broken = [name for name, value in parts.items() if not math.isfinite(value)]
        if broken:
            raise DivergedError(f"diverged: the loss ({', '.join(broken)}) is not finite in epoch {self.epoch}")
        self.curves.add_training(self.epoch, optimizers.learning_rate(self.job.recipe, self.epoch), parts)

    @property
    def extra_parameters(self) -> int:
        """Parameters that train beside the student's and are dropped afterwards."""
        return sum(parameter.numel() for parameter in self.loss.parameters() if parameter.requires_grad)

    @property
    def gradient_bytes(self) -> int:
        """What the gradients of all that is trained take."""
        return sum(parameter.nbytes for group in self._optimizer.param_groups for parameter in group["params"])

    def save(self, path: Path) -> None:
        """Write a checkpoint from which the run goes on bit for bit."""
        state = {
            "id": self.job.id,
            "rests_on": self.rests_on,
            "machines": self.machines,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "curves": self.curves.state,
            "network": self.network.state_dict() if self.network else {},
            "loss": self.loss.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "generator": self.generator.get_state(),
        }
        write_atomically(path, pack(state))

    def resume(self, path: Path) -> bool:
        """Go on from a checkpoint; False where there is none, or none of this run.

        Raises:
            StaleCheckpointError: the teacher or a first stage was trained again since, or the whole run has to be
                trained on this machine and was begun on another.
            KeyError, RuntimeError, TypeError, ValueError: the checkpoint is of other code, and may be loaded in part.
        """
        state = unpack(path)
        if state is None or state["id"] != self.job.id:
            return False
        if state.get("rests_on", {}) != self.rests_on:
            raise StaleCheckpointError("what the run learned from was trained again since")
        before, here = state.get("machines", []), self.machines
        if self.only_here and before != here:
            raise StaleCheckpointError("the run was begun on another machine")
        if self.network:
            self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        optimizers.load(self._optimizer, state["optimizer"])
        self._scaler.load_state_dict(state.get("scaler", {}))
        self.generator.set_state(state["generator"].cpu())
        self.curves = CurveRecorder(state["curves"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.machines = before if before[-1:] == here else [*before, *here]
        return True

    def _train(self, *modules: nn.Module) -> None:
        """Let the optimiser have all parameters of these modules that are not frozen."""
        parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        self._optimizer = optimizers.build(self.job.recipe, parameters)

    def _forward(self, view: View) -> Features | None:
        if self.network is None:
            return None
        with autocast(self.job.recipe.precision, self.device):
            features: Features = self.network(view.at(self.network.in_size))
        return features.full()

    def _note(self, names: list[str], values: Tensor, images: int) -> None:
        if self._sums is None:
            self._parts, self._sums = names, torch.zeros_like(values, dtype=torch.float64)
        self._sums += values.double() * images


class Stopwatch:
    """Adds the seconds of a block to a member, on devices where the block's end is the work's end."""

    def __init__(self, member: Trainable) -> None:
        self._member = member

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._member.seconds += time.perf_counter() - self._start
