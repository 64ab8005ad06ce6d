"""Teacher-free KD by self-training (Tf-KD): a network trained alone teaches a student of its own architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.label_smoothing import smoothed_cross_entropy
from methods.logits import divergence
from models import Features


def self_loss(student: Tensor, teacher: Tensor, temperature: float, multiplier: float) -> Tensor:
    """Divergence ``multiplier * temperature^2 / (B K) * sum_bk P ln(P / Q)``.

    The authors' code averages over all elements, and not over the images alone. The multiplier makes up for it.

    Source: the authors' code; Eq. 7 of the paper up to the multiplier.

    Args:
        student: logits ``(B, K)``.
        teacher: logits ``(B, K)``.
        temperature: divides both logits.
        multiplier: of the mean over images and classes.
    """
    return multiplier * temperature**2 / student.shape[1] * divergence(student, teacher, temperature).mean()


class TfKD(Method):
    """Cross-entropy and the divergence from a plain student of another seed; the whole loss.

    The defaults are the authors' for ResNet-18, since they tuned none for the networks of this project.

    Options:
        share: weight of the divergence; cross-entropy has the rest to 1.
        temperature: divides both logits.
        multiplier: of the divergence's mean over images and classes.
    """

    title = "Tf-KD"
    citation = (
        "Yuan, Tay, Li, Wang & Feng, Revisiting Knowledge Distillation via Label Smoothing Regularization, CVPR 2020"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.0, "weight": 1.0}
    teacher = "student"
    published_recipe = "200 epochs in batches of 128 at a rate of 0.1, times 0.2 after 60, 120 and 160, one to warm up"
    formula = "0.05 CE + 0.95 (50 / K) T^2 KL(softmax(v / T) || softmax(z / T)), v of a student trained alone"

    def __init__(self, pair: Pair, *, share: float = 0.95, temperature: float = 6.0, multiplier: float = 50.0) -> None:
        super().__init__(pair)
        self.share = share
        self.temperature = temperature
        self.multiplier = multiplier

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        own = self_loss(student.logits, teacher.logits, self.temperature, self.multiplier)
        return {
            "ce": (1 - self.share) * smoothed_cross_entropy(student.logits, batch.targets, 0.0),
            "self": self.share * own,
        }
