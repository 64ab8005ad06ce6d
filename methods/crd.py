"""Contrastive representation distillation: tell a sample's own embedding in a memory bank from those of others."""

from __future__ import annotations

import itertools
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
        pools: ``(W, M)`` int64, samples. ``tensor_split`` cuts the batch into ``W`` parts, and each pool serves one.
        counts: ``(B, M)`` float, how often each sample of its pool serves each image: ``n`` times in all.
    """

    pools: Tensor
    counts: Tensor


def crd_loss(
    scaled: Tensor, bank: Tensor, own: Tensor, drawn: Draw, constant: Tensor, negatives: int
) -> tuple[Tensor, Tensor]:
    """Noise-contrastive loss of one own sample against ``n`` others, mean over images; and the constant ``Z``.

    ``-ln(P_0 / (P_0 + c + e)) - sum_j ln(c / (P_j + c + e))`` with ``c = n / N`` and ``e = 1e-7`` as in the
    authors' code. Probabilities ``P`` are ``exp(row . embedding / temperature) / Z``.

    Args:
        scaled: ``(B, C)``, embeddings over the temperature.
        bank: ``(N, C)``, a row for every sample.
        own: ``(B,)`` int64, the images' own samples.
        drawn: the other samples.
        constant: ``Z`` so far; 0 where it is not set yet, which the first pool's images do.
        negatives: ``n``.
    """
    noise = negatives / len(bank)
    # ln(1 + P / c + e / c) is that of 1 + e / c, the same for all, and that of 1 + P / (c + e). The logarithms of
    # P / (c + e) keep the digits of a P far below c.
    scores = (scaled * bank[own]).sum(dim=1)
    repelled, constant = _Repulsion.apply(scaled, scores.detach(), bank, drawn, constant, noise + 1e-7)
    attracted = functional.logsigmoid(scores - constant.log() - math.log(noise + 1e-7))
    return repelled / len(scaled) - attracted.mean() + negatives * math.log1p(1e-7 / noise), constant


class _Repulsion(torch.autograd.Function):
    """``sum counts * ln(1 + exp(scaled . row) / (Z * level))`` over images and others, and ``Z``.

    The gradient is computed in the forward pass, pool by pool. Rows kept for the backward pass would take the memory of
    a bank, and writing and reading them as long as the products.
    """

    @staticmethod
    def forward(
        ctx: Any, scaled: Tensor, scores: Tensor, bank: Tensor, drawn: Draw, constant: Tensor, level: float
    ) -> tuple[Tensor, Tensor]:
        gradient = torch.empty_like(scaled)
        repelled: list[Tensor] = []
        split = (each.tensor_split(len(drawn.pools)) for each in (scaled, scores, drawn.counts, gradient))
        for pool, images, own, counts, slope in zip(drawn.pools, *split, strict=True):
            rows = bank.index_select(0, pool)
            others = images @ rows.T
            if not repelled:
                constant = normaliser(constant, own, others, counts, len(bank))
            others -= constant.log() + math.log(level)
            repelled.append(torch.dot(softplus(others).flatten(), counts.flatten()))
            torch.mm(others.sigmoid_().mul_(counts), rows, out=slope)
            del rows, others  # so that the next ones take the same memory, which a CPU still has in its cache
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(constant)
        return torch.stack(repelled).sum(), constant

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * slope, None, None, None, None, None


def normaliser(unset: Tensor, own: Tensor, others: Tensor, counts: Tensor, num_samples: int) -> Tensor:
    """The constant ``Z`` that makes scores probabilities: as given, or by these where it is still 0."""
    drawn = torch.dot(others.exp().flatten(), counts.flatten()) + own.exp().sum()
    return torch.where(unset > 0, unset, drawn / (counts.sum() + len(own)) * num_samples)


def softplus(values: Tensor) -> Tensor:
    """``ln(1 + exp(x))`` as ``max(x, 0) + 2 artanh(s / (2 + s))`` with ``s = exp(-|x|)``, to the last digits.

    Torch's own rests on ``log1p``, which takes some CPUs more than ten times as long.
    """
    small = values.abs().neg_().exp_()
    return small.div_(small + 2).atanh_().mul_(2).add_(values.clamp_min(0))


def remembered(bank: Tensor, indices: Tensor, embedding: Tensor, momentum: float) -> Tensor:
    """The bank's new rows for a batch, ``(B, C)``: unit vectors between the old rows and the embeddings."""
    rows = momentum * bank[indices] + (1 - momentum) * embedding.detach()
    return functional.normalize(rows, dim=1)


def distinct_negatives(
    labels: Tensor, own: Tensor, count: int, generator: torch.Generator | None, *, largest: int
) -> Draw:
    """Draw ``count`` different samples of other classes for each image, uniformly.

    The first ``count`` of a random order that are not of the image's class are such a draw, exactly. The order is a
    circle, on which each part of the batch starts elsewhere, at equal distances: one order serves as several.

    Args:
        labels: ``(N,)`` int64, class of every sample; each class must leave ``count`` others.
        own: ``(B,)`` int64, class of every image.
        count: samples to draw for each image.
        generator: random numbers, on the labels' device.
        largest: samples of the largest class.
    """
    starts = fewest_starts(len(own), count / len(labels))
    step, size = len(labels) // starts, count + largest  # no image can need more
    circle = torch.randperm(len(labels), generator=generator, device=labels.device)
    order = torch.cat([circle, circle])[: (starts - 1) * step + size]
    seen = labels.index_select(0, order).unfold(0, size, step)
    counts = torch.empty(len(own), size, device=labels.device)
    for classes, images, foreign in zip(seen, own.tensor_split(starts), counts.tensor_split(starts), strict=True):
        torch.ne(classes, images[:, None], out=foreign)
    # Of those behind the first ``count``, an image takes as many as it had to leave out.
    behind = counts[:, count:]
    lacking = count - counts[:, :count].sum(dim=1, keepdim=True)
    behind *= behind.cumsum(dim=1) <= lacking
    return Draw(order.unfold(0, size, step), counts)


MOST_SHARED = 5.0
"""Limit of `shared_variance`. A fifth of the variance of CRD's gradients is common to the images of a batch, so that
the noise of their sum stays below 1.5 times that of independent draws."""


def fewest_starts(images: int, share: float) -> int:
    """How many starts on the circle keep `MOST_SHARED`."""
    return next(starts for starts in itertools.count(1) if shared_variance(images, share, starts) <= MOST_SHARED)


def shared_variance(images: int, share: float, starts: int) -> float:
    """Variance of a sum over equal images, as a multiple of that of independent draws.

    Equidistant arcs cover a sample ``W p`` times, rounded up or down. With ``f`` the fraction of ``W p``, the multiple
    is ``B f (1 - f) / (W^2 p (1 - p))``: ``B`` for one arc, about ``B / W`` for arcs far apart, 0 for full circles.

    Args:
        images: ``B``, in ``W`` equal parts.
        share: ``p``, the part of the circle that an image's arc takes.
        starts: ``W``.
    """
    fraction = starts * share % 1
    return images * fraction * (1 - fraction) / (starts**2 * share * (1 - share))


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
    return Draw(order[None], counts.scatter_add_(1, places, torch.ones_like(places, dtype=counts.dtype)))


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
    revision = 3
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
        drawn = drawn._replace(counts=drawn.counts.to(mine.dtype))
        parts = {
            "student": self._contrast(mine, self.bank_teacher, self.normaliser_student, batch.indices, drawn),
            "teacher": self._contrast(theirs, self.bank_student, self.normaliser_teacher, batch.indices, drawn),
        }
        self.bank_student[batch.indices] = remembered(self.bank_student, batch.indices, mine, self.momentum)
        self.bank_teacher[batch.indices] = remembered(self.bank_teacher, batch.indices, theirs, self.momentum)
        return parts

    def _contrast(self, embedding: Tensor, bank: Tensor, constant: Tensor, indices: Tensor, drawn: Draw) -> Tensor:
        loss, found = crd_loss(embedding / self.temperature, bank, indices, drawn, constant, self.negatives)
        constant.copy_(found)
        return loss
