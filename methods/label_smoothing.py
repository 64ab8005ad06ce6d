"""Label smoothing: the student learns labels that leave a small share of the probability to the other classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from models import Features


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with ``q = (1 - smoothing) onehot + smoothing / K``, mean over the batch.

    A class that the student masks by minus infinity adds nothing, also where it is the label.

    Source: Szegedy et al., section 7.

    Args:
        logits: ``(B, K)``.
        targets: ``(B,)`` int64 class labels.
        smoothing: share of the probability that all classes get in equal parts; 0 for plain cross-entropy.
    """
    log_q = functional.log_softmax(logits, dim=1).masked_fill(logits == -torch.inf, 0.0)
    label = functional.nll_loss(log_q, targets)
    return label if smoothing == 0 else (1 - smoothing) * label - smoothing * log_q.mean()


def share_of_all(smoothing: float, num_classes: int) -> float:
    """The share to divide among all classes that equals ``smoothing`` divided among the classes but the label."""
    return smoothing * num_classes / (num_classes - 1)


class LabelSmoothing(Method):
    """Cross-entropy with smoothed labels; the whole loss, without a teacher.

    The authors of Tf-KD divide the share among the classes but the label: ``label_smoothing[tf-kd]``.

    Options:
        smoothing: share of the probability that is taken from the label.
        among: the classes that get it in equal parts: "all", or the "others" than the label.
    """

    title = "Label smoothing"
    citation = (
        "Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, Rethinking the Inception Architecture for Computer Vision, "
        "CVPR 2016"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"tf-kd": {"among": "others"}}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"among": ("all", "others")}
    teacher = "none"
    formula = "- sum_k q_k ln softmax(z)_k, q = 0.9 onehot(y) + 0.1 / K"

    def __init__(self, pair: Pair, *, smoothing: float = 0.1, among: str = "all") -> None:
        super().__init__(pair)
        self.smoothing = smoothing if among == "all" else share_of_all(smoothing, pair.num_classes)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"smoothed": smoothed_cross_entropy(student.logits, batch.targets, self.smoothing)}
