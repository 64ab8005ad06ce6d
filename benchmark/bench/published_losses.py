"""Losses as published code computes them: by the methods' authors, or in the framework of CRD (RepDistiller).

Only losses that this project computes in a faster way are here; tests hold both forms to the same value and gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from methods import Batch, Method
from methods.alignment import paired_stages, pool_to_smaller
from methods.crd import CRD
from methods.rkd import RKD
from methods.vid import VID
from models import Features

Loss = Callable[[Method, Features, Features, Batch, Tensor | None], Tensor]
"""``(method, student, teacher, batch, contrasted)`` to a scalar; ``contrasted``: indices ``(B, 1 + n)`` for CRD."""


@dataclass(frozen=True)
class Form:
    """A method's published form.

    Attributes:
        loss: without the term's weight.
        negatives: number of samples that the data set draws per image.
    """

    loss: Loss
    negatives: Callable[[Method], int] = lambda _: 0


def published_form(name: str) -> Form:
    """The published form of a method, by its name."""
    return _FORMS.get(name, _SAME)


def _same(method: Method, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None) -> Tensor:
    """The sum of the project's own parts."""
    del contrasted
    return sum(method(student, teacher, batch).values(), start=student.logits.new_zeros(()))


def _nst(method: Method, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None) -> Tensor:
    """Products of all pairs of channels, position by position: ``(B, C, c, P)`` in memory before the sum."""
    del method, batch, contrasted
    total = student.logits.new_zeros(())
    for pair in paired_stages(student.feats, teacher.feats):
        mine, theirs = (
            functional.normalize(maps.reshape(*maps.shape[:2], -1), dim=2) for maps in pool_to_smaller(*pair)
        )
        constant = _squared_products(theirs, theirs).mean().detach()
        total = total + constant + _squared_products(mine, mine).mean() - 2 * _squared_products(mine, theirs).mean()
    return total


def _squared_products(first: Tensor, second: Tensor) -> Tensor:
    return (first.unsqueeze(1) * second.unsqueeze(2)).sum(dim=-1).square()


def _rkd(method: Method, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None) -> Tensor:
    """Distances over the mean of the positive ones, and angles between normalised differences."""
    del batch, contrasted
    options = cast("RKD", method)
    mine, theirs = student.embedding, teacher.embedding
    with torch.no_grad():
        target_distances, target_angles = _distances(theirs), _angles(theirs)
    distance = functional.smooth_l1_loss(_distances(mine), target_distances)
    angle = functional.smooth_l1_loss(_angles(mine), target_angles)
    return options.distance * distance + options.angle * angle


def _distances(embedding: Tensor) -> Tensor:
    squares = embedding.square().sum(dim=1)
    squared = squares.unsqueeze(1) + squares.unsqueeze(0) - 2 * (embedding @ embedding.t())
    apart = squared.clamp(min=1e-12).sqrt().clone()
    apart.fill_diagonal_(0)
    return apart / apart[apart > 0].mean()


def _angles(embedding: Tensor) -> Tensor:
    ways = functional.normalize(embedding.unsqueeze(0) - embedding.unsqueeze(1), dim=2)
    return torch.bmm(ways, ways.transpose(1, 2)).view(-1)


def _vid(method: Method, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None) -> Tensor:
    """The likelihood of every element before the mean."""
    del batch, contrasted
    total = student.logits.new_zeros(())
    gaussians = cast("VID", method).gaussians
    for gaussian, pair in zip(gaussians, paired_stages(student.feats, teacher.feats), strict=True):
        mine, theirs = pool_to_smaller(*pair)
        mean, variance = gaussian(mine)
        variance = variance.view(1, -1, 1, 1)
        total = total + (0.5 * ((mean - theirs) ** 2 / variance + torch.log(variance))).mean()
    return total


def _crd(method: Method, student: Features, teacher: Features, batch: Batch, contrasted: Tensor | None) -> Tensor:
    """Bank rows gathered per image, ``(B, 1 + n, C)``, times the image's embedding."""
    assert contrasted is not None
    crd = cast("CRD", method)
    mine = functional.normalize(crd.head_student(student.embedding), dim=1)
    theirs = functional.normalize(crd.head_teacher(teacher.embedding), dim=1)
    student_scores = _scores(mine, crd.bank_teacher, contrasted, crd.temperature)
    teacher_scores = _scores(theirs, crd.bank_student, contrasted, crd.temperature)
    for constant, scores in (
        (crd.normaliser_student, student_scores),
        (crd.normaliser_teacher, teacher_scores),
    ):
        if constant.item() <= 0:
            constant.fill_(scores.mean().item() * len(crd.bank_student))
    loss = _contrastive(student_scores / crd.normaliser_student, len(crd.bank_student)) + _contrastive(
        teacher_scores / crd.normaliser_teacher, len(crd.bank_student)
    )
    with torch.no_grad():
        _remember(crd.bank_student, batch.indices, mine, crd.momentum)
        _remember(crd.bank_teacher, batch.indices, theirs, crd.momentum)
    return loss


def _scores(embedding: Tensor, bank: Tensor, contrasted: Tensor, temperature: float) -> Tensor:
    rows = torch.index_select(bank, 0, contrasted.view(-1)).detach()
    rows = rows.view(*contrasted.shape, bank.shape[1])
    return torch.exp(torch.bmm(rows, embedding.unsqueeze(2)) / temperature).contiguous()


def _contrastive(probabilities: Tensor, num_samples: int) -> Tensor:
    negatives = probabilities.shape[1] - 1
    noise = negatives / num_samples
    own, others = probabilities.select(1, 0), probabilities.narrow(1, 1, negatives)
    attracted = torch.log(own / (own + noise + 1e-7))
    repelled = torch.log(noise / (others + noise + 1e-7))
    return -(attracted.sum() + repelled.sum()) / len(probabilities)


def _remember(bank: Tensor, indices: Tensor, embedding: Tensor, momentum: float) -> None:
    rows = torch.index_select(bank, 0, indices).mul_(momentum).add_(embedding * (1 - momentum))
    bank.index_copy_(0, indices, rows / rows.pow(2).sum(dim=1, keepdim=True).sqrt())


_SAME = Form(_same)
_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "crd": Form(_crd, lambda method: cast("CRD", method).negatives),
        "nst": Form(_nst),
        "rkd": Form(_rkd),
        "vid": Form(_vid),
    }
)
