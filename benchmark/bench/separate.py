"""One training as published code does it: fp32, PIL images from a DataLoader, the teacher's pass in every step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.bench import floor, memory, pipeline, timing
from benchmark.bench.published_losses import published_form
from benchmark.data import describe
from benchmark.runs.job import Job, Run
from benchmark.training.loss import build_method
from benchmark.training.pairs import make_pair
from benchmark.training.weights import load_weights
from methods import Batch, Method
from models import Features, Network, create

TRAIN_MODE = "teacher_in_train_mode"


class SeparateTraining:
    """The training of one run.

    Args:
        run: what is trained.
        teacher: its forward pass is part of every step, even if the run's loss does not use it.
        weights: file with the teacher's weights.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, run: Run, teacher: Job, weights: Path, device: str) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        self._threads = torch.get_num_threads()
        torch.backends.cudnn.benchmark = True  # as published code sets it
        self._run = run
        self._student = _network(run).to(self._device).train()
        self._teacher = _network(teacher)
        load_weights(self._teacher, weights, teacher)
        self._teacher.to(self._device).requires_grad_(requires_grad=False)
        split = pipeline.training_split(run.recipe)
        self._methods = self._build_methods(torch.from_numpy(split.labels))
        negatives = max((published_form(name).negatives(method) for name, method in self._methods.items()), default=0)
        self._batches = pipeline.batches(run.recipe, split, negatives, self._device)
        # For a method that asks for the teacher's batch statistics, published code runs this pass only.
        self._teacher.train(any(TRAIN_MODE in method.requires for method in self._methods.values()))
        modules = nn.ModuleList([self._student, *self._methods.values()])
        trained = [parameter for parameter in modules.parameters() if parameter.requires_grad]
        recipe = run.recipe
        self._optimizer = torch.optim.SGD(
            trained, lr=recipe.lr, momentum=recipe.momentum or 0.0, weight_decay=recipe.weight_decay
        )
        self._progress = torch.zeros((), dtype=torch.float64, device=self._device)
        self._total_loss = 0.0
        self._correct = torch.zeros(2, device=self._device)

    def _build_methods(self, labels: Tensor) -> dict[str, Method]:
        pair = make_pair(
            self._student, self._teacher.eval(), labels.to(self._device), self._run.recipe.batch_size, lambda: ()
        )
        assert pair is not None
        terms = {term.name: build_method(term, pair, self._run.seed) for term in self._run.objective.terms}
        for method in terms.values():
            method.to(self._device).pretrain_modules().eval().requires_grad_(requires_grad=False)
        return terms

    def _step(self) -> None:
        images, targets, indices, *contrasted = (
            values.to(self._device, non_blocking=True) for values in next(self._batches)
        )
        student = self._student(images)
        with torch.no_grad():
            teacher = self._teacher(images)
        batch = Batch(images, targets, indices, progress=self._progress, generator=None)
        loss = self._loss(student, teacher, batch, *contrasted)
        self._count(loss, student.logits, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _loss(self, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None = None) -> Tensor:
        objective = self._run.objective
        loss = objective.ce * functional.cross_entropy(student.logits, batch.targets)
        for term in objective.terms:
            form = published_form(term.name)
            loss = loss + term.weight * form.loss(self._methods[term.name], student, teacher, batch, contrasted)
        return loss

    def _count(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Keep the loss and the top-1 and top-5 counts, as published code does in every step."""
        with torch.no_grad():
            correct = logits.topk(5, dim=1).indices.t().eq(targets)
            self._total_loss += loss.item()
            self._correct += torch.stack([correct[:1].float().sum(), correct.float().sum()])

    def step_seconds(self, least: float, threads: int | None = None) -> float:
        """Mean seconds of a step, after an untimed one.

        Args:
            least: seconds to measure for, at least.
            threads: of this process; None for torch's default.
        """
        torch.set_num_threads(threads or self._threads)
        self._step()
        seconds = timing.mean(self._step, least, self._device)
        memory.release()
        return seconds

    def memory(self) -> dict[str, int]:
        """Peak bytes by kind."""
        return memory.peaks(self._device)

    def matrix_rate(self, precision: str, threads: int | None = None) -> float:
        """Multiply-accumulates per second of a large matrix product."""
        torch.set_num_threads(threads or self._threads)
        return floor.matrix_rate(precision, self._device)


def _network(job: Job) -> Network:
    """The job's network in torch's default memory layout."""
    recipe = job.recipe
    return create(job.network, describe(recipe.dataset).num_classes, recipe.in_size, recipe.width)
