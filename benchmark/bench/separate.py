"""One training as the field does it: fp32, PIL images from a DataLoader, the teacher's forward pass in every step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.bench import clock, floor, memory, pipeline
from benchmark.bench.published import form
from benchmark.data import describe
from benchmark.runs.job import Job, Run
from benchmark.training.loss import build_method
from benchmark.training.parts import BACKWARD, DATA, FORWARD, LOSS, OPTIMIZER, TEACHER, part
from benchmark.training.weights import load_weights
from methods import Batch, Method, Pair
from models import Features, Network, create

TRAIN_MODE = "teacher_in_train_mode"


class Separate:
    """A run's training steps.

    Args:
        run: what is trained.
        teacher: whose forward pass is in every step, also where the run's loss has no use for it.
        weights: the teacher's file.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, run: Run, teacher: Job, weights: Path, device: str) -> None:
        self._device = torch.device(device)
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        self._threads = torch.get_num_threads()
        torch.backends.cudnn.benchmark = True  # as the published trainings set it
        self._run = run
        self._student = _network(run).to(self._device).train()
        self._teacher = _network(teacher)
        load_weights(self._teacher, weights, teacher)
        self._teacher.to(self._device).requires_grad_(requires_grad=False)
        split = pipeline.training_split(run.recipe)
        self._terms = self._methods(torch.from_numpy(split.labels))
        negatives = max((form(name).negatives(method) for name, method in self._terms.items()), default=0)
        self._batches = pipeline.batches(run.recipe, split, negatives, self._device)
        # Where a method asks for the teacher's batch statistics, its authors run that pass alone.
        self._teacher.train(any(TRAIN_MODE in method.requires for method in self._terms.values()))
        modules = nn.ModuleList([self._student, *self._terms.values()])
        trained = [parameter for parameter in modules.parameters() if parameter.requires_grad]
        recipe = run.recipe
        self._optimizer = torch.optim.SGD(
            trained, lr=recipe.lr, momentum=recipe.momentum or 0.0, weight_decay=recipe.weight_decay
        )
        self._progress = torch.zeros((), dtype=torch.float64, device=self._device)
        self._losses = 0.0
        self._right = torch.zeros(2, device=self._device)

    def _methods(self, labels: Tensor) -> dict[str, Method]:
        shapes = self._student.shapes(), self._teacher.eval().shapes()
        pair = Pair(*shapes, self._teacher, len(labels), self._teacher.num_classes, labels.to(self._device))
        terms = {term.name: build_method(term, pair, self._run.seed) for term in self._run.objective.terms}
        for method in terms.values():
            method.to(self._device).pretrain_modules().eval().requires_grad_(requires_grad=False)
        return terms

    def step(self) -> None:
        """One step of the published loop, with the meters that it keeps."""
        with part(DATA):
            images, targets, indices, *contrasted = (
                values.to(self._device, non_blocking=True) for values in next(self._batches)
            )
        with part(FORWARD):
            student = self._student(images)
        with part(TEACHER), torch.no_grad():
            teacher = self._teacher(images)
        with part(LOSS):
            batch = Batch(images, targets, indices, progress=self._progress, generator=None)
            loss = self._loss(student, teacher, batch, *contrasted)
        self._meter(loss, student.logits, targets)
        with part(BACKWARD):
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        with part(OPTIMIZER):
            self._optimizer.step()

    def _loss(self, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None = None) -> Tensor:
        objective = self._run.objective
        loss = objective.ce * functional.cross_entropy(student.logits, batch.targets)
        for term in objective.terms:
            value = form(term.name).loss(self._terms[term.name], student, teacher, batch, contrasted)
            loss = loss + term.weight * value
        return loss

    def _meter(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        with torch.no_grad():
            right = logits.topk(5, dim=1).indices.t().eq(targets)
            self._losses += loss.item()
            self._right += torch.stack([right[:1].float().sum(), right.float().sum()])

    # What is asked from outside.

    def block(self, least: float, threads: int | None = None) -> float:
        """Mean seconds of a step, after one that is not timed.

        Args:
            least: seconds to go on for.
            threads: of this process; None for what torch takes by itself.
        """
        torch.set_num_threads(threads or self._threads)
        self.step()
        seconds = clock.seconds(self.step, least, self._device)
        memory.release()
        return seconds

    def parts(self, threads: int | None = None) -> dict[str, float]:
        """Seconds of a step by its parts."""
        torch.set_num_threads(threads or self._threads)
        return clock.parts(self.step, 1, self._device)

    def memory(self) -> dict[str, int]:
        """Peaks in bytes, by kind."""
        return memory.peaks(self._device)

    def matrix_rate(self, precision: str, threads: int | None = None) -> float:
        """Multiply-accumulates a second of this process."""
        torch.set_num_threads(threads or self._threads)
        return floor.matrix_rate(precision, self._device)

    def threads(self) -> int:
        """What torch takes by itself."""
        return self._threads


def _network(job: Job) -> Network:
    """As `new_network`, in torch's default memory layout."""
    recipe = job.recipe
    return create(job.network, describe(recipe.dataset).num_classes, recipe.in_size, recipe.width)
