"""Normalised KD (NKD): cross-entropy with the teacher's label, and with the other classes normalised by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.logits import cross_entropy, labelled
from models import Features


def label_loss(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the label, weighted by the teacher's probability of it: mean of ``-p_y ln q_y`` over images.

    Both probabilities are at temperature 1.

    Source: Yang et al., NKD.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        targets: ``(B,)`` int64 labels.
    """
    label = targets[:, None]
    return cross_entropy(student.log_softmax(dim=1).gather(1, label), teacher.softmax(dim=1).gather(1, label)).mean()


def others_loss(student: Tensor, teacher: Tensor, temperature: float, left_out: Tensor | None = None) -> Tensor:
    """Cross-entropy ``-sum_k p_k ln q_k`` between the softmaxes over some classes, mean over images, times ``T^2``.

    Unlike a divergence it is not 0 where both networks agree. With one class left it is 0, and so it is for an image
    of which the teacher masks all classes that are left.

    Source: Yang et al., NKD.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        temperature: ``T``, divides both logits.
        left_out: ``(B, K)`` bool, the classes that do not take part; None if all do.
    """
    if left_out is not None:
        student, teacher = (each.masked_fill(left_out, -torch.inf) for each in (student, teacher))
    empty = (teacher == -torch.inf).all(dim=1, keepdim=True)
    log_q, log_p = ((each.masked_fill(empty, 0.0) / temperature).log_softmax(dim=1) for each in (student, teacher))
    return temperature**2 * cross_entropy(log_q, log_p.exp().masked_fill(empty, 0.0)).mean()


class NKD(Method):
    """Soft cross-entropy of the label and of the other classes.

    The defaults are the authors' values for CIFAR-100; on ImageNet they use a temperature of 1 and a gamma of 1.5.

    Options:
        gamma: weight of the other classes.
        temperature: of the other classes; the label's part is at 1.
        classes: over which the second part is taken: "others" leaves the label out, "all" does not, as in an earlier
            revision of the authors' code.
    """

    title = "NKD"
    citation = (
        "Yang, Zeng, Li, Zhang, Yuan & Li, From Knowledge Distillation to Self-Knowledge Distillation: A Unified "
        "Approach with Normalized Loss and Customized Soft Labels, ICCV 2023"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"allclasses": {"classes": "all"}}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"classes": ("others", "all")}
    published_recipe = "200 epochs, batch 128, rate 0.1, times 0.2 after 60, 120 and 160"
    formula = "-s(v)_y ln s(z)_y - gamma T^2 sum_k p_k ln q_k, p and q without the label y"

    def __init__(self, pair: Pair, *, gamma: float = 3.5, temperature: float = 3.0, classes: str = "others") -> None:
        super().__init__(pair)
        self.gamma = gamma
        self.temperature = temperature
        self.all_classes = classes == "all"

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        left_out = None if self.all_classes else labelled(batch.targets, student.logits.shape[1])
        others = others_loss(student.logits, teacher.logits, self.temperature, left_out)
        return {"label": label_loss(student.logits, teacher.logits, batch.targets), "others": self.gamma * others}
