"""Contrastive representation distillation: tell a sample's own embedding in a memory bank from those of others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.base import Batch, Method, Pair
from models import Features


class Draw(NamedTuple):
    """What the images of a batch are contrasted with.

    Attributes:
        pool: ``(M,)`` int64, the samples that serve some image.
        columns: ``(B, n)`` int64, for each image its ``n`` samples as places in the pool.
    """

    pool: Tensor
    columns: Tensor


def contrast(embedding: Tensor, own: Tensor, others: Tensor, columns: Tensor, temperature: float) -> Tensor:
    """Scores ``exp(row . embedding / temperature)`` of each image's own row and of others, ``(B, 1 + n)``.

    One product with all the rows and a choice of its columns: choosing rows for each image first would take ``C`` times
    the memory.

    Args:
        embedding: ``(B, C)``, unit vectors.
        own: ``(B, C)``, the images' own rows of a bank.
        others: ``(M, C)``, rows of other samples.
        columns: ``(B, n)`` int64, which of them serve which image.
        temperature: divides the products.
    """
    mine = (embedding * own).sum(dim=1, keepdim=True)
    theirs = (embedding @ others.T).gather(1, columns)
    return torch.exp(torch.cat([mine, theirs], dim=1) / temperature)


def normaliser(unset: Tensor, scores: Tensor, num_samples: int) -> Tensor:
    """The constant ``Z`` that makes scores probabilities: as given, or by this batch where it is still 0."""
    return torch.where(unset > 0, unset, scores.detach().mean() * num_samples)


def crd_loss(probabilities: Tensor, num_samples: int) -> Tensor:
    """Noise-contrastive loss of one own sample against ``n`` others, mean over images.

    ``-ln(P_0 / (P_0 + c + e)) - sum_j ln(c / (P_j + c + e))`` with ``c = n / N`` and ``e = 1e-7`` as in the
    authors' code.

    Args:
        probabilities: ``(B, 1 + n)``, the own sample first.
        num_samples: ``N``.
    """
    noise = (probabilities.shape[1] - 1) / num_samples
    own, others = probabilities[:, 0], probabilities[:, 1:]
    # ln((P + c + e) / c) by log1p: P is far below c, and the sum would lose its digits in float32.
    repelled = torch.log1p((others + 1e-7) / noise).sum(dim=1)
    return (torch.log((own + noise + 1e-7) / own) + repelled).mean()


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
    # The places of an image's samples, in order; those behind and those of its own class end in a last column.
    rank = foreign.cumsum(dim=1).masked_fill_(~foreign, count + 1).clamp_(max=count + 1) - 1
    places = torch.arange(len(pool), device=labels.device).expand_as(rank)
    return Draw(pool, torch.empty_like(rank).scatter_(1, rank, places)[:, :count])


def repeated_negatives(labels: Tensor, own: Tensor, count: int, generator: torch.Generator | None) -> Draw:
    """The same with replacement, from all samples; others may be fewer than ``count``."""
    ordered, order = labels.sort(stable=True)
    start = torch.searchsorted(ordered, own)[:, None]
    members = torch.searchsorted(ordered, own, right=True)[:, None] - start
    # The remainder of 62 random bits is uniform to one part in 1e12; a float times the number of samples is not.
    draws = torch.randint(2**62, (len(own), count), generator=generator, device=labels.device)
    draws %= len(labels) - members
    return Draw(order, torch.where(draws >= start, draws + members, draws))


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
        scores = contrast(embedding, bank[indices], bank[drawn.pool], drawn.columns, self.temperature)
        constant.copy_(normaliser(constant, scores, len(bank)))
        return crd_loss(scores / constant, len(bank))
