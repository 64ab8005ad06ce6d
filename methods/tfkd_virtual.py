"""Teacher-free KD by regularisation (Tf-KD): probabilities that are made from the label alone stand for a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Method, Pair
from methods.label_smoothing import smoothed_cross_entropy
from methods.logits import labelled
from methods.masking import restricted
from methods.tfkd import self_loss
from models import Features


def virtual_logits(student: Tensor, targets: Tensor, correct: float, temperature: float) -> Tensor:
    """Logits ``(B, K)`` of the virtual teacher at a temperature: ``correct / temperature`` at the label.

    The other classes have ``(1 - correct) / (K - 1) / temperature``. These are probabilities that go through another
    softmax, as in the authors' code, while the paper softens the distribution itself.

    Args:
        student: logits ``(B, K)``, from which shape, precision and masked classes are taken.
        targets: ``(B,)`` int64 class labels.
        correct: the virtual teacher's probability of the label.
        temperature: divides the probabilities.
    """
    classes = student.shape[1]
    others = student.new_full(student.shape, (1 - correct) / (classes - 1) / temperature)
    return restricted(others.masked_fill(labelled(targets, classes), correct / temperature), student)


class VirtualTfKD(Method):
    """Cross-entropy and the divergence from a virtual teacher, who is nearly always right; the whole loss.

    The student's probabilities are at temperature 1, and no square of the temperature is a factor. With 100 classes
    the virtual teacher at temperature 20 is uniform to within 5 percent. The defaults are the authors' for ResNet-18,
    since they tuned none for the networks of this project.

    Options:
        share: weight of the divergence; cross-entropy has the rest to 1.
        temperature: of the virtual teacher alone.
        multiplier: of the divergence's mean over images and classes.
        correct: the virtual teacher's probability of the label.
    """

    title = "Tf-KD virtual"
    citation = (
        "Yuan, Tay, Li, Wang & Feng, Revisiting Knowledge Distillation via Label Smoothing Regularization, CVPR 2020"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.0, "weight": 1.0}
    teacher = "none"
    published_recipe = "200 epochs in batches of 128 at a rate of 0.1, times 0.2 after 60, 120 and 160, one to warm up"
    formula = "0.9 CE + 0.1 (100 / K) KL(softmax(d / 20) || softmax(z)), d = 0.99 at y, 0.01 / (K - 1) elsewhere"

    def __init__(
        self,
        pair: Pair,
        *,
        share: float = 0.1,
        temperature: float = 20.0,
        multiplier: float = 100.0,
        correct: float = 0.99,
    ) -> None:
        super().__init__(pair)
        self.share = share
        self.temperature = temperature
        self.multiplier = multiplier
        self.correct = correct

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        virtual = virtual_logits(student.logits, batch.targets, self.correct, self.temperature)
        return {
            "ce": (1 - self.share) * smoothed_cross_entropy(student.logits, batch.targets, 0.0),
            "self": self.share * self_loss(student.logits, virtual, 1.0, self.multiplier),
        }
