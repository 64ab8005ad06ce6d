"""Contrastive representation distillation: tell a sample's own embedding in a memory bank from those of others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from methods.base import Batch, Method, Pair
from models import Features


class Draw(NamedTuple):
    """What the images of a batch are contrasted with.

    Attributes:
        pool: ``(M,)`` int64, samples.
        counts: ``(B, M)`` float, how often each of them serves each image: ``n`` times in all.
    """

    pool: Tensor
    counts: Tensor


def contrast(embedding: Tensor, own: Tensor, others: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Logarithms ``row . embedding / temperature`` of scores: of each own row ``(B, 1)``, of all others ``(B, M)``.

    Args:
        embedding: ``(B, C)``, unit vectors.
        own: ``(B, C)``, the images' own rows of a bank.
        others: ``(M, C)``, rows of other samples.
        temperature: divides the products.
    """
    scaled = embedding / temperature
    return (scaled * own).sum(dim=1, keepdim=True), scaled @ others.T


def normaliser(unset: Tensor, own: Tensor, others: Tensor, counts: Tensor, num_samples: int) -> Tensor:
    """The constant ``Z`` that makes scores probabilities: as given, or by this batch where it is still 0."""
    drawn = torch.dot(others.detach().exp().flatten(), counts.flatten()) + own.detach().exp().sum()
    return torch.where(unset > 0, unset, drawn / (counts.sum() + len(own)) * num_samples)


def crd_loss(own: Tensor, others: Tensor, counts: Tensor, constant: Tensor, negatives: int, num_samples: int) -> Tensor:
    """Noise-contrastive loss of one own sample against ``n`` others, mean over images.

    ``-ln(P_0 / (P_0 + c + e)) - sum_j ln(c / (P_j + c + e))`` with ``c = n / N`` and ``e = 1e-7`` as in the
    authors' code; probabilities ``P`` are scores over ``Z``. Both are ``ln(1 + exp(x))`` of logarithms, which keeps the
    digits of a ``P`` far below ``c``.

    Args:
        own: ``(B, 1)``, logarithms of the scores of the images' own samples.
        others: ``(B, M)``, those of other samples.
        counts: ``(B, M)``, how often each of those was drawn.
        constant: ``Z``.
        negatives: ``n``.
        num_samples: ``N``.
    """
    noise = negatives / num_samples
    threshold = constant.log() + math.log(noise + 1e-7)
    # ln(1 + P / c + e / c) is that of 1 + e / c, the same for all, and that of 1 + P / (c + e).
    attracted, repelled = _Softplus.apply(threshold - own), _Softplus.apply(others - threshold)
    loss: Tensor = attracted.mean() + torch.dot(repelled.flatten(), counts.flatten()) / len(own)
    return loss + negatives * math.log1p(1e-7 / noise)


class _Softplus(torch.autograd.Function):
    """``ln(1 + exp(x))`` as ``max(x, 0) + 2 artanh(s / (2 + s))`` with ``s = exp(-|x|)``, to the last digits.

    Torch's own rests on ``log1p``, which takes some CPUs more than ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        small = values.abs().neg_().exp_()
        return small.div_(small + 2).atanh_().mul_(2).add_(values.clamp_min(0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return torch.sigmoid(values).mul_(slope)


def remembered(bank: Tensor, indices: Tensor, embedding: Tensor, momentum: float) -> Tensor:
    """The bank's new rows for a batch, ``(B, C)``: unit vectors between the old rows and the embeddings."""
    rows = momentum * bank[indices] + (1 - momentum) * embedding.detach()
    return functional.normalize(rows, dim=1)


def distinct_negatives(
    labels: Tensor, own: Tensor, count: int, generator: torch.Generator | None, *, largest: int
) -> Draw:
    """Draw ``count`` different samples of other classes for each image, uniformly.

    The first ``count`` of a random order that are not of the image's class are such a draw, exactly. The images of a
    batch share one order, as they would share a queue: what depends on them together is noise among thousands.

    Args:
        labels: ``(N,)`` int64, class of every sample; each class must leave ``count`` others.
        own: ``(B,)`` int64, class of every image.
        count: samples to draw for each image.
        generator: random numbers, on the labels' device.
        largest: samples of the largest class.
    """
    order = torch.randperm(len(labels), generator=generator, device=labels.device)
    pool = order[: count + largest]  # no image can need more
    foreign = labels[pool] != own[:, None]
    # Of those behind the first ``count``, an image takes as many as it had to leave out.
    behind = foreign[:, count:]
    lacking = count - foreign[:, :count].sum(dim=1, keepdim=True)
    behind &= behind.cumsum(dim=1) <= lacking
    return Draw(pool, foreign.float())


def repeated_negatives(labels: Tensor, own: Tensor, count: int, generator: torch.Generator | None) -> Draw:
    """The same with replacement, from all samples; others may be fewer than ``count``."""
    ordered, order = labels.sort(stable=True)
    start = torch.searchsorted(ordered, own)[:, None]
    members = torch.searchsorted(ordered, own, right=True)[:, None] - start
    # The remainder of 62 random bits is uniform to one part in 1e12; a float times the number of samples is not.
    draws = torch.randint(2**62, (len(own), count), generator=generator, device=labels.device)
    draws %= len(labels) - members
    places = torch.where(draws >= start, draws + members, draws)
    counts = torch.zeros(len(own), len(labels), device=labels.device)
    return Draw(order, counts.scatter_add_(1, places, torch.ones_like(places, dtype=counts.dtype)))


class CRD(Method):
    """Contrast of both networks' embeddings against each other's memory bank.

    The two linear heads are trained with the student, the teacher's too. Banks and normalisers are state.

    Options:
        dim: width of the contrasted embeddings.
        negatives: samples of other classes that each image is contrasted with.
        temperature: divides the products of embeddings.
        momentum: share of the old row when a bank is updated.
    """

    title = "CRD"
    citation = "Tian, Krishnan & Isola, Contrastive Representation Distillation, ICLR 2020"
    revision = 2
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 0.8}

    bank_student: Tensor
    bank_teacher: Tensor
    normaliser_student: Tensor
    normaliser_teacher: Tensor
    labels: Tensor

    def __init__(
        self,
        pair: Pair,
        *,
        dim: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__(pair)
        self.negatives = negatives
        self.temperature = temperature
        self.momentum = momentum
        self.head_student = nn.Linear(pair.student.embedding, dim)
        self.head_teacher = nn.Linear(pair.teacher.embedding, dim)
        bound = (3 / dim) ** 0.5
        for side in ("student", "teacher"):
            self.register_buffer(f"bank_{side}", torch.empty(pair.num_samples, dim).uniform_(-bound, bound))
            self.register_buffer(f"normaliser_{side}", torch.zeros(()))
        self.register_buffer("labels", pair.labels, persistent=False)
        largest = int(pair.labels.bincount().max())
        fewest_others = pair.num_samples - largest
        if not fewest_others:
            raise ValueError("crd: all samples are of one class, so there are no negatives")
        enough = negatives <= fewest_others
        self.draw = partial(distinct_negatives, largest=largest) if enough else repeated_negatives

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        drawn = self.draw(self.labels, self.labels[batch.indices], self.negatives, batch.generator)
        mine = functional.normalize(self.head_student(student.embedding), dim=1)
        theirs = functional.normalize(self.head_teacher(teacher.embedding), dim=1)
        parts = {
            "student": self._contrast(mine, self.bank_teacher, self.normaliser_student, batch.indices, drawn),
            "teacher": self._contrast(theirs, self.bank_student, self.normaliser_teacher, batch.indices, drawn),
        }
        self.bank_student[batch.indices] = remembered(self.bank_student, batch.indices, mine, self.momentum)
        self.bank_teacher[batch.indices] = remembered(self.bank_teacher, batch.indices, theirs, self.momentum)
        return parts

    def _contrast(self, embedding: Tensor, bank: Tensor, constant: Tensor, indices: Tensor, drawn: Draw) -> Tensor:
        own, others = contrast(embedding, bank[indices], bank.index_select(0, drawn.pool), self.temperature)
        counts = drawn.counts.to(others.dtype)
        constant.copy_(normaliser(constant, own, others, counts, len(bank)))
        return crd_loss(own, others, counts, constant, self.negatives, len(bank))
