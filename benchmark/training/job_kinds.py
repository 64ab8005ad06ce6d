"""The kinds of jobs that train: a student's run, a method's pretraining stage, a linear probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.data import describe
from benchmark.runs.job import Job, Run, Stage
from benchmark.runs.measurements import Probe
from benchmark.runs.store import Store
from benchmark.training.loss import ObjectiveLoss, build_method, not_applicable_without_parts
from benchmark.training.randomness import seeded
from benchmark.training.teacher import STRONG, WEAK, SharedBatch
from benchmark.training.trainable import Trainable
from benchmark.training.trained_network import trained_network
from benchmark.training.weights import load_weights, new_network, on_device, read_weights, save_state, save_weights
from methods import Batch, NotApplicableError, Pair
from models import Features, Network

FindWeights = Callable[[Job], Path]
"""Returns the file of a job's weights."""


def trainable(job: Job, device: torch.device, find: FindWeights) -> Trainable:
    """The member that trains a job; call its ``setup`` before training.

    Args:
        job: a run, a pretraining stage or a probe.
        device: on which it trains.
        find: returns the weights of jobs that this one needs.
    """
    return _KINDS[job.kind](job, device, find)


class StudentRun(Trainable):
    """Trains a student network and the modules of its objective."""

    network: Network
    loss: ObjectiveLoss

    def __init__(self, job: Run, device: torch.device, find: FindWeights) -> None:
        super().__init__(job, device)
        self._run = job
        self._find = find
        self.network = new_network(job, device).train()

    def setup(self, pair: Pair | None) -> None:
        job = self._run
        self.loss = ObjectiveLoss(job.objective, pair, job.seed, job.recipe.precision).to(self.device)
        if not self._run.applies:
            raise NotApplicableError(f"{self._run.method} does not apply to the networks of {self.job.pair}")
        for stage in self._run.stages:
            state, self.rests_on[stage.id] = read_weights(self._find(stage), stage)
            self.loss.load_pretrained(stage.term.name, _without_prefix(state, "method."))
            if stage.student:
                self.network.load_state_dict(_without_prefix(state, "network."))
        self.network = on_device(self.loss.wrap(self.network), self.device).train()
        self._build_optimizer(self.network, self.loss)

    @property
    def views(self) -> int:
        return self.loss.views

    @property
    def teacher_passes(self) -> frozenset[tuple[bool, int]]:
        return self.loss.teacher_passes

    def losses(self, student: Features | None, shared: SharedBatch, batch: Batch) -> dict[str, Tensor]:
        assert student is not None
        parts: dict[str, Tensor] = self.loss(student, shared, batch)
        return parts

    def save_weights(self, store: Store) -> None:
        path = store.weights_path(self.job)
        save_weights(self.network, path, self.job)
        load_weights(self.network, path, self.job)
        if self.loss.projects:
            save_state(self.loss.state_dict(), store.terms_path(self.job), self.job)

    def result(self) -> dict[str, Any]:
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return {"params": parameters, "last": self.curves.metrics(-1), "best": self.curves.best}


class PretrainStage(Trainable):
    """A method's pretraining stage: trains a student's trunk, the method's ``pretrain_modules``, or both."""

    def __init__(self, job: Stage, device: torch.device, find: FindWeights) -> None:
        del find
        super().__init__(job, device)
        self._stage = job
        self.network = new_network(job, device) if job.student else None

    def setup(self, pair: Pair | None) -> None:
        assert pair is not None
        job = self._stage
        self.loss = self._method = build_method(job.term, pair, job.seed, job.recipe.precision).to(self.device)
        self._method.requires_grad_(requires_grad=False)
        pretrain_modules = self._method.pretrain_modules().requires_grad_()
        with not_applicable_without_parts(self._method):
            trunk = nn.ModuleList(self.network.trunk()) if self.network else nn.ModuleList()
        if self.network:
            # In evaluation mode the layers that are not trained keep their batch-norm statistics too.
            self.network.eval().requires_grad_(requires_grad=False)
            trunk.train().requires_grad_()
        self._build_optimizer(trunk, pretrain_modules)

    @property
    def views(self) -> int:
        return self._method.views

    @property
    def teacher_passes(self) -> frozenset[tuple[bool, int]]:
        strong = {(False, STRONG)} if self._method.views > 1 else set()
        return frozenset({(self._train_mode, WEAK), *strong})

    def losses(self, student: Features | None, shared: SharedBatch, batch: Batch) -> dict[str, Tensor]:
        teacher = shared.teacher(train_mode=self._train_mode)
        with not_applicable_without_parts(self._method):
            return self._method.pretrain_loss(student or teacher, teacher, batch)

    @property
    def needs_test(self) -> bool:
        """False: a trunk has no classifier."""
        return False

    def save_weights(self, store: Store) -> None:
        """Save all weights in full precision, because runs continue from them."""
        network = _with_prefix(self.network.state_dict(), "network.") if self.network else {}
        pretrain_modules = _with_prefix(self._method.pretrain_modules().state_dict(), "method.")
        save_state(network | pretrain_modules, store.weights_path(self.job), self.job)

    def result(self) -> dict[str, Any]:
        losses = [values[-1] for values in self.curves.state["parts"].values()]
        return {"last": {"epoch": self.epoch, "loss": sum(losses)}}

    @property
    def _train_mode(self) -> bool:
        return "teacher_in_train_mode" in self._method.requires


class LinearProbe(Trainable):
    """Trains a linear classifier on a frozen network, whose batch-norms stay in evaluation mode."""

    network: Network

    def __init__(self, job: Probe, device: torch.device, find: FindWeights) -> None:
        super().__init__(job, device)
        self.network = trained_network(job.base, device)
        self.rests_on[job.base.id] = load_weights(self.network, find(job.base), job.base)
        self.network.eval().requires_grad_(requires_grad=False)
        classes = describe(job.recipe.dataset).num_classes
        with seeded("probe", job.network, classes, job.seed):
            self.network.classifier = nn.Linear(self.network.classifier.in_features, classes).to(device)

    def setup(self, pair: Pair | None) -> None:
        del pair
        self.loss = nn.Module()
        self._build_optimizer(self.network)

    def losses(self, student: Features | None, shared: SharedBatch, batch: Batch) -> dict[str, Tensor]:
        del shared
        assert student is not None
        return {"ce": functional.cross_entropy(student.logits, batch.targets)}

    def result(self) -> dict[str, Any]:
        return {"last": self.curves.metrics(-1), "best": self.curves.best}


_KINDS: Mapping[str, Callable[[Any, torch.device, FindWeights], Trainable]] = MappingProxyType(
    {"train": StudentRun, "stage": PretrainStage, "probe": LinearProbe}
)


def _with_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def _without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
