"""One job that trains inside a cohort: its modules, optimiser, random numbers and place in the schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from benchmark.training.precision import autocast, grad_scaler
from benchmark.training.randomness import derive
from benchmark.training.teacher import SharedBatch
from methods import Batch, Pair
from models import Features, Network
from models.features import resize


class Trainable:
    """A member of a cohort: a job that trains beside others, independently of them.

    Subclasses define what is trained and its loss.

    Attributes:
        network: runs on the images; None where only the teacher does.
        loss: the modules that train beside the network.
        rests_on: SHA-256 of the weights that the run learns from or starts from, by the id of the job that made them.
        passes: forward passes of the network in the latest step.
        machines: conditions of the machines that trained the run so far, in order; this machine is the last.
        same_machine_only: whether the whole run has to be trained on this machine.
    """

    network: Network | None
    loss: nn.Module

    def __init__(self, job: Job, device: torch.device) -> None:
        self.job = job
        self.device = device
        self.epoch = 0
        self.curves = CurveRecorder()
        self.seconds = 0.0
        self.passes = 0
        self.rests_on: dict[str, str] = {}
        self.machines: list[Conditions] = []
        self.same_machine_only = False
        self.generator = torch.Generator(device).manual_seed(derive("draws", job.seed))
        self._scaler = grad_scaler(job.recipe.precision, device)
        self._epochs_done = torch.zeros((), dtype=torch.float64, device=device)
        self._epochs = torch.full((), float(job.recipe.epochs), dtype=torch.float64, device=device)
        self._parts: list[str] = []
        self._sums: Tensor | None = None
        self._optimizer: torch.optim.Optimizer

    # Defined by subclasses.

    def setup(self, pair: Pair | None) -> None:
        """Build ``loss`` and the optimiser."""
        raise NotImplementedError

    @property
    def views(self) -> int:
        """Number of views of each image that the loss uses."""
        return 1

    @property
    def teacher_passes(self) -> frozenset[tuple[bool, int]]:
        """The teacher's forward passes that the loss uses: whether in train mode, and the view of the images."""
        return frozenset()

    def losses(self, student: Features | None, shared: SharedBatch, batch: Batch) -> dict[str, Tensor]:
        """Named parts of one batch's loss: scalars whose sum is the loss."""
        raise NotImplementedError

    def save_weights(self, store: Store) -> None:
        """Save the weights of the finished job that other jobs need; the last test uses them as saved."""

    def result(self) -> dict[str, Any]:
        """The record's metrics, available after the last test."""
        raise NotImplementedError

    # Common to all.

    @property
    def finished(self) -> bool:
        """Whether the last epoch is trained."""
        return self.epoch >= self.job.recipe.epochs

    @property
    def needs_test(self) -> bool:
        """Whether the network is tested after this epoch."""
        return self.network is not None and (self.finished or self.epoch % self.job.recipe.evaluate_every == 0)

    def accumulator(self) -> MetricAccumulator:
        """A new accumulator for a test of the network."""
        assert self.network is not None
        return MetricAccumulator(self.network, self.job.recipe.precision, self.job.recipe.top_k)

    def record_test(self, metrics: Mapping[str, float]) -> None:
        """Add a test's metrics to the curves.

        Raises:
            DivergedError: the outputs are not finite.
        """
        # The last step of an epoch can break weights whose losses were all finite.
        if not math.isfinite(metrics["loss"]):
            raise DivergedError(f"diverged: the outputs on test images are not finite after epoch {self.epoch}")
        self.curves.add_test(self.epoch, metrics)

    def begin_epoch(self) -> None:
        """Set the epoch's learning rate."""
        optimizers.set_learning_rate(self._optimizer, optimizers.learning_rate(self.job.recipe, self.epoch + 1))
        self._epochs_done.fill_(self.epoch)
        if self._sums is not None:
            self._sums.zero_()

    def step(self, batch: Batch, shared: SharedBatch) -> None:
        """Run one optimiser step. It never waits for the device and, after the first one, changes nothing but tensors.

        Args:
            batch: of the stream; its progress is the fraction of the epoch that is done.
            shared: the batch's images at every size, and the teacher's features.
        """
        self.passes = 0
        own = replace(
            batch,
            progress=(self._epochs_done + batch.progress) / self.job.recipe.epochs,
            generator=self.generator,
            epoch=self._epochs_done + 1,
            epochs=self._epochs,
            student=self._run_network,
            teacher=shared.run_teacher,
        )
        parts = self.losses(self._forward(shared), shared, own)
        values = torch.stack(list(parts.values()))
        self._optimizer.zero_grad(set_to_none=True)
        if isinstance(self._optimizer, optimizers.DOT):
            others = [value for name, value in parts.items() if name != "ce"]
            self._optimizer.descend(parts["ce"], torch.stack(others).sum() if others else None)
        else:
            self._scaler.scale(values.sum()).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self._optimizer)
            self._scaler.update()
        self._accumulate(list(parts), values.detach(), len(batch.targets))

    def end_epoch(self, images: int) -> None:
        """Add the epoch's mean losses to the curves: the only place where the loop waits for the device.

        Args:
            images: number of training images of the epoch.

        Raises:
            DivergedError: a part of the loss is not finite.
        """
        assert self._sums is not None
        parts = dict(zip(self._parts, (self._sums / images).tolist(), strict=True))
        self.epoch += 1
        infinite = [name for name, value in parts.items() if not math.isfinite(value)]
        if infinite:
            raise DivergedError(f"diverged: the loss ({', '.join(infinite)}) is not finite in epoch {self.epoch}")
        self.curves.add_training(self.epoch, optimizers.learning_rate(self.job.recipe, self.epoch), parts)

    @property
    def extra_parameters(self) -> int:
        """Number of parameters of the loss, which train beside the student and are dropped afterwards."""
        return sum(parameter.numel() for parameter in self.loss.parameters() if parameter.requires_grad)

    @property
    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser updates."""
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    @property
    def gradient_bytes(self) -> int:
        """Memory of the gradients of all trained parameters."""
        return sum(parameter.nbytes for parameter in self.trained_parameters)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the duration of the block to ``seconds``; on a GPU that is the time to queue its work."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def save(self, path: Path) -> None:
        """Write a checkpoint from which training continues bit for bit."""
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
        """Continue from a checkpoint; return False if there is none of this run.

        Raises:
            StaleCheckpointError: the teacher or a pretraining stage was trained again since, or the whole run has to be
                trained on this machine and was begun on another.
            KeyError, RuntimeError, TypeError, ValueError: the checkpoint does not fit this code; it may be loaded in
                part.
        """
        state = unpack(path)
        if state is None or state["id"] != self.job.id:
            return False
        if state.get("rests_on", {}) != self.rests_on:
            raise StaleCheckpointError("its teacher or a pretraining stage was trained again since")
        before, here = state.get("machines", []), self.machines
        if self.same_machine_only and before != here:
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

    def _build_optimizer(self, *modules: nn.Module) -> None:
        """Build the optimiser over all parameters of these modules that are not frozen."""
        parameters = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        self._optimizer = optimizers.build(self.job.recipe, parameters)

    def _forward(self, shared: SharedBatch) -> Features | None:
        return None if self.network is None else self._run_network(shared.images(self.network.in_size))

    def _run_network(self, images: Tensor) -> Features:
        assert self.network is not None
        self.passes += 1
        with autocast(self.job.recipe.precision, self.device):
            features: Features = self.network(resize(images, self.network.in_size))
        return features.full()

    def _accumulate(self, names: list[str], values: Tensor, images: int) -> None:
        if self._sums is None:
            self._parts, self._sums = names, torch.zeros_like(values, dtype=torch.float64)
        if names != self._parts:
            before, now = ", ".join(self._parts), ", ".join(names)
            raise ValueError(f"the parts of the loss were {before} and are now {now}: return the same in every step")
        self._sums += values.double() * images
