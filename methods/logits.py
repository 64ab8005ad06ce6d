"""What several losses on logits share: divergences of single images, standardised logits, the warm-up of a weight."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, NotApplicableError, Pair
from models import Features

SCHEDULE = 240
"""Epochs of the training for which published warm-ups are meant."""


def divergence(student: Tensor, teacher: Tensor, temperature: float | Tensor, kept: Tensor | None = None) -> Tensor:
    """Kullback-Leibler divergence ``sum_k P ln(P / Q)`` of every image, ``(B,)``, without a factor of the temperature.

    ``P`` and ``Q`` are the teacher's and the student's softmax at the temperature. A class with ``P = 0``, as one that
    the teacher masks by minus infinity, adds nothing.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        temperature: divides both logits.
        kept: ``(B, K)`` bool, the classes over which both softmaxes are taken; None for all. An image that keeps none
            has divergence 0 and no gradient.
    """
    if kept is not None:
        empty = ~(kept & (teacher > -torch.inf)).any(dim=1, keepdim=True)
        student, teacher = (each.masked_fill(~kept, -torch.inf).masked_fill(empty, 0.0) for each in (student, teacher))
    log_q = functional.log_softmax(student / temperature, dim=1)
    return _expected_ratio(functional.log_softmax(teacher / temperature, dim=1), log_q).sum(dim=1)


def two_class_divergence(
    student: Tensor, teacher: Tensor, student_class: Tensor, teacher_class: Tensor, temperature: float
) -> Tensor:
    """Divergence ``P ln(P / Q) + (1 - P) ln((1 - P) / (1 - Q))`` of every image, ``(B,)``.

    ``P`` and ``Q`` are the teacher's and the student's probability of one class each. Probabilities are kept as
    logarithms, since ``1 - Q`` rounds to 0 where a logit leads by far.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        student_class: ``(B,)`` int64.
        teacher_class: ``(B,)`` int64.
        temperature: divides both logits.
    """
    log_q = _one_and_rest(student / temperature, student_class)
    return _expected_ratio(_one_and_rest(teacher / temperature, teacher_class), log_q).sum(dim=1)


def cross_entropy(log_q: Tensor, p: Tensor) -> Tensor:
    """``-sum_k p ln q`` of every image, ``(B,)``; a class with ``p = 0`` adds nothing.

    Args:
        log_q: logarithms of the student's probabilities ``(B, K)``.
        p: probabilities ``(B, K)``.
    """
    return -(p * log_q.masked_fill(p == 0, 0.0)).sum(dim=1)


def labelled(targets: Tensor, num_classes: int) -> Tensor:
    """``(B, K)`` bool, True at the label of each image."""
    return targets[:, None] == torch.arange(num_classes, device=targets.device)


def standardised(logits: Tensor) -> Tensor:
    """Logits with mean 0 and standard deviation 1 (with ``K - 1``) over the classes of each image.

    Logits that do not vary become 0, without a gradient. Masked classes (minus infinity) stay masked and do not count.

    Source: Sun, Ren, Li, Wang & Cao, Logit Standardization in Knowledge Distillation, CVPR 2024, Algorithm 1.

    Args:
        logits: ``(B, K)``.
    """
    masked = logits == -torch.inf
    known = logits.masked_fill(masked, 0.0)
    count = (~masked).sum(dim=1, keepdim=True)
    centred = (known - known.sum(dim=1, keepdim=True) / count).masked_fill(masked, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)
    # The derivative of the root is infinite at 0, which masking keeps out of the gradient.
    flat = variance <= (1e-6 * known.abs().amax(dim=1, keepdim=True)).square()
    scaled = centred / (variance.masked_fill(flat, 1.0).sqrt() + 1e-7)
    return scaled.masked_fill(flat, 0.0).masked_fill(masked, -torch.inf)


def compared(student: Features, teacher: Features, *, standardise: bool) -> tuple[Tensor, Tensor]:
    """Logits ``(B, K)`` of student and teacher, `standardised` if asked for."""
    if not standardise:
        return student.logits, teacher.logits
    return standardised(student.logits), teacher.cached(standardised, teacher.logits)


def check_standardisable(title: str, pair: Pair, *, standardise: bool) -> None:
    """Check that standardised logits have a gradient.

    Raises:
        NotApplicableError: of two classes, only the sign of their difference would be left.
    """
    if standardise and pair.num_classes == 2:
        raise NotApplicableError(
            f"{title} standardises logits, of which two classes keep only the sign: take it without [ls]"
        )


def warmed_up(batch: Batch, epochs: float) -> Tensor:
    """The factor ``min(epoch / epochs, 1)`` of a weight that rises linearly from the first epoch on, a scalar.

    Args:
        batch: of the current epoch.
        epochs: length of the warm-up in a training of `SCHEDULE` epochs; others warm up for the same share. 0 for none.
    """
    if not epochs:
        return torch.ones_like(batch.epoch)
    return (batch.epoch / batch.epochs * (SCHEDULE / epochs)).clamp(max=1)


def _one_and_rest(logits: Tensor, classes: Tensor) -> Tensor:
    """Logarithms ``(B, 2)`` of the probability of one class and of all others."""
    every = logits.logsumexp(dim=1)
    rest = logits.masked_fill(labelled(classes, logits.shape[1]), -torch.inf).logsumexp(dim=1)
    one = logits.gather(1, classes[:, None]).squeeze(1)
    return torch.stack([one - every, rest - every], dim=1)


def _expected_ratio(log_p: Tensor, log_q: Tensor) -> Tensor:
    """``p ln(p / q)``, 0 where ``p`` is 0."""
    # Finite values, since a probability of 0 times an infinite logarithm would be NaN.
    log_q = log_q.masked_fill(log_p == -torch.inf, 0.0)
    log_p = log_p.clamp_min(torch.finfo(log_p.dtype).min)
    return log_p.exp() * (log_p - log_q)
