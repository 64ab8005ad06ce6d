"""Cross-view consistency regularisation (CRLD): the student matches a confident teacher within and across two views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.logits import divergence
from methods.masking import restricted
from models import Features


def confidence(logits: Tensor) -> Tensor:
    """The largest probability of every image, ``(B,)``, from logits ``(B, K)``."""
    return logits.softmax(dim=1).amax(dim=1)


def view_losses(
    students: tuple[Tensor, Tensor], teachers: tuple[Tensor, Tensor], counted: tuple[Tensor, Tensor], temperature: float
) -> tuple[Tensor, Tensor]:
    """Divergences, times ``temperature^2``, within and across the views, means over all images.

    Within the views each student is compared with the teacher of its own view, across them with that of the other view.

    Args:
        students: logits ``(B, K)`` of the weak and of the strong view.
        teachers: logits ``(B, K)`` of the weak and of the strong view.
        counted: ``(B,)`` bool; the images that count within and those that count across the views.
        temperature: divides all logits.
    """
    weak, strong = students
    mine, theirs = torch.cat([weak, strong, strong, weak]), torch.cat([*teachers, *teachers])
    apart = divergence(mine, restricted(theirs, mine), temperature).view(2, 2, -1).sum(dim=1)
    within, across = temperature**2 * (apart * torch.stack(counted)).mean(dim=1)
    return within, across


class CRLD(Method):
    """Cross-entropy on both views, and divergences within and across them where the teacher is confident.

    The defaults are those of the copy in DeepKD's code.

    Options:
        within: weight of the divergences within the views.
        across: weight of the divergences across the views.
        temperature: divides all logits.
        weak_threshold: the teacher's probability on the weak view from which an image counts within the views.
        strong_threshold: the teacher's probability on the strong view from which an image counts across the views.
        strong_ce: weight of the strong view's cross-entropy; the weak view's is the objective's.
    """

    title = "CRLD"
    citation = (
        "Zhang, Liu, Cai & Ma, Cross-View Consistency Regularisation for Knowledge Distillation, ACM Multimedia 2024"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    views = 2
    formula = "CE(strong) + 2 T^2 KL within views [max s(v_weak) >= 0.9] + 0.5 T^2 KL across [max s(v_strong) >= 0.2]"

    def __init__(
        self,
        pair: Pair,
        *,
        within: float = 2.0,
        across: float = 0.5,
        temperature: float = 4.0,
        weak_threshold: float = 0.9,
        strong_threshold: float = 0.2,
        strong_ce: float = 1.0,
    ) -> None:
        super().__init__(pair)
        self.within = within
        self.across = across
        self.temperature = temperature
        self.weak_threshold = weak_threshold
        self.strong_threshold = strong_threshold
        self.strong_ce = strong_ce

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        assert batch.strong is not None
        strong, strong_teacher = batch.student(batch.strong), batch.teacher(batch.strong)
        counted = (
            teacher.cached(confidence, teacher.logits) >= self.weak_threshold,
            strong_teacher.cached(confidence, strong_teacher.logits) >= self.strong_threshold,
        )
        within, across = view_losses(
            (student.logits, strong.logits), (teacher.logits, strong_teacher.logits), counted, self.temperature
        )
        return {
            "ce_strong": self.strong_ce * functional.cross_entropy(strong.logits, batch.targets),
            "within": self.within * within,
            "across": self.across * across,
        }
