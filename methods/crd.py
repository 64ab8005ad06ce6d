"""Contrastive representation distillation (CRD): contrasts embeddings with those of other samples in a memory bank."""

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
    """The negatives of a batch.

    Attributes:
        pools: ``(W, M)`` int64, samples. ``tensor_split`` cuts the batch into ``W`` parts, one for each pool.
        counts: ``(B, M)`` float, how often each sample of its pool is a negative of each image: ``n`` in all.
    """

    pools: Tensor
    counts: Tensor


def crd_loss(
    scaled: Tensor, bank: Tensor, own: Tensor, drawn: Draw, constant: Tensor, negatives: int
) -> tuple[Tensor, Tensor]:
    """Noise-contrastive loss of the own sample against ``n`` negatives, mean over images, and the constant ``Z``.

    ``-ln(P_0 / (P_0 + c + e)) - sum_j ln(c / (P_j + c + e))`` with ``c = n / N`` and ``e = 1e-7`` as in the
    authors' code. Probabilities ``P`` are ``exp(row . embedding / temperature) / Z``.

    Args:
        scaled: ``(B, C)``, embeddings over the temperature.
        bank: ``(N, C)``, a row for every sample.
        own: ``(B,)`` int64, the images' own samples.
        drawn: the negatives.
        constant: ``Z``; 0 if it is not set yet, and then computed from the first pool's images.
        negatives: ``n``.
    """
    noise = negatives / len(bank)
    # ln(1 + P / c + e / c) = ln(1 + e / c), a constant, + ln(1 + P / (c + e)). Working with ln(P / (c + e)) keeps the
    # digits of a P far below c.
    scores = (scaled * bank[own]).sum(dim=1)
    repelled, constant = _Repulsion.apply(scaled, scores.detach(), bank, drawn, constant, noise + 1e-7)
    attracted = functional.logsigmoid(scores - constant.log() - math.log(noise + 1e-7))
    return repelled / len(scaled) - attracted.mean() + negatives * math.log1p(1e-7 / noise), constant


class _Repulsion(torch.autograd.Function):
    """``sum counts * ln(1 + exp(scaled . row) / (Z * level))`` over images and negatives, and ``Z``.

    The gradient is computed in the forward pass, pool by pool: rows kept for the backward pass would take as much
    memory as a bank, and writing and reading them as much time as the products.
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
            del rows, others  # the next ones reuse the memory, which is still in a CPU's cache
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(constant)
        return torch.stack(repelled).sum(), constant

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * slope, None, None, None, None, None


def normaliser(unset: Tensor, own: Tensor, others: Tensor, counts: Tensor, num_samples: int) -> Tensor:
    """The constant ``Z`` that normalises scores to probabilities: ``unset`` unless it is 0, then from these scores."""
    drawn = torch.dot(others.exp().flatten(), counts.flatten()) + own.exp().sum()
    return torch.where(unset > 0, unset, drawn / (counts.sum() + len(own)) * num_samples)


def softplus(values: Tensor) -> Tensor:
    """``ln(1 + exp(x))`` as ``max(x, 0) + 2 artanh(s / (2 + s))`` with ``s = exp(-|x|)``, accurate to the last digits.

    Torch's ``softplus`` uses ``log1p``, which takes more than ten times as long on some CPUs.
    """
    small = values.abs().neg_().exp_()
    return small.div_(small + 2).atanh_().mul_(2).add_(values.clamp_min(0))


def remembered(bank: Tensor, indices: Tensor, embedding: Tensor, momentum: float) -> Tensor:
    """A batch's new rows of the bank, ``(B, C)``: the momentum average of old rows and embeddings, normalised."""
    rows = momentum * bank[indices] + (1 - momentum) * embedding.detach()
    return functional.normalize(rows, dim=1)


def distinct_negatives(
    labels: Tensor, own: Tensor, count: int, generator: torch.Generator | None, *, largest: int
) -> Draw:
    """Draw ``count`` different samples of other classes for each image, uniformly.

    The first ``count`` samples of a random order that are not of the image's class are exactly such a draw. The order
    is cyclic, and the parts of the batch start at equidistant places of it, so that one order serves them all.

    Args:
        labels: ``(N,)`` int64, class of every sample; at least ``count`` samples must be outside each class.
        own: ``(B,)`` int64, class of every image.
        count: samples to draw for each image.
        generator: random numbers, on the labels' device.
        largest: number of samples of the largest class.
    """
    starts = fewest_starts(len(own), count / len(labels))
    step, size = len(labels) // starts, count + largest  # enough for every image
    circle = torch.randperm(len(labels), generator=generator, device=labels.device)
    order = torch.cat([circle, circle])[: (starts - 1) * step + size]
    seen = labels.index_select(0, order).unfold(0, size, step)
    counts = torch.empty(len(own), size, device=labels.device)
    for classes, images, foreign in zip(seen, own.tensor_split(starts), counts.tensor_split(starts), strict=True):
        torch.ne(classes, images[:, None], out=foreign)
    # Each image takes as many samples behind the first ``count`` as it has skipped among them.
    behind = counts[:, count:]
    lacking = count - counts[:, :count].sum(dim=1, keepdim=True)
    behind *= behind.cumsum(dim=1) <= lacking
    return Draw(order.unfold(0, size, step), counts)


MOST_SHARED = 5.0
"""Limit of `shared_variance`. A fifth of the variance of CRD's gradients is common to the images of a batch, so the
noise of their sum stays below 1.5 times that of independent draws."""


def fewest_starts(images: int, share: float) -> int:
    """The fewest starts on the cyclic order for which `shared_variance` is at most `MOST_SHARED`."""
    return next(starts for starts in itertools.count(1) if shared_variance(images, share, starts) <= MOST_SHARED)


def shared_variance(images: int, share: float, starts: int) -> float:
    """Variance of a sum over equal images, as a multiple of the variance with independent draws.

    Equidistant arcs cover a sample ``W p`` times, rounded up or down. With ``f`` the fraction of ``W p``, the multiple
    is ``B f (1 - f) / (W^2 p (1 - p))``: ``B`` for one arc, about ``B / W`` for arcs far apart, 0 for full circles.

    Args:
        images: ``B``, in ``W`` equal parts.
        share: ``p``, the fraction of the cyclic order that an image's arc covers.
        starts: ``W``.
    """
    fraction = starts * share % 1
    return images * fraction * (1 - fraction) / (starts**2 * share * (1 - share))


def repeated_negatives(labels: Tensor, own: Tensor, count: int, generator: torch.Generator | None) -> Draw:
    """As `distinct_negatives`, but with replacement, for classes that leave fewer than ``count`` other samples."""
    ordered, order = labels.sort(stable=True)
    start = torch.searchsorted(ordered, own)[:, None]
    members = torch.searchsorted(ordered, own, right=True)[:, None] - start
    # The remainder of 62 random bits is uniform to one part in 1e12, unlike a random float times the number of samples.
    draws = torch.randint(2**62, (len(own), count), generator=generator, device=labels.device)
    draws %= len(labels) - members
    places = torch.where(draws >= start, draws + members, draws)
    counts = torch.zeros(len(own), len(labels), device=labels.device)
    return Draw(order[None], counts.scatter_add_(1, places, torch.ones_like(places, dtype=counts.dtype)))


class CRD(Method):
    """Contrasts the embeddings of either network with the memory bank of the other one.

    Linear heads on both embeddings are trained with the student. Banks and normalisers are buffers.

    Options:
        dim: size of the contrasted embeddings.
        negatives: number of samples of other classes for each image.
        temperature: divides the products of embeddings.
        momentum: weight of the old row when a bank is updated.
    """

    title = "CRD"
    citation = "Tian, Krishnan & Isola, Contrastive Representation Distillation, ICLR 2020"
    revision = 3
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 0.8}
    formula = "ln (1 + c / P_0) + sum_j ln (1 + P_j / c), P_j = exp(<h, bank_j> / T) / Z, c = n / N, for h_S and h_T"

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
