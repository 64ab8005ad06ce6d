"""Reused teacher classifier (SimKD): the student's projected map matches the teacher's, to be classified as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.pooling import pooling
from methods.teacher_cache import Cached, uncached
from models import Features, Network
from models.reused_classifier import ReusedClassifier


def map_loss(projected: Tensor, teacher: Tensor, cached: Cached = uncached) -> Tensor:
    """Squared difference of two maps, mean over all elements.

    Source: Chen et al., SimKD.

    Args:
        projected: ``(B, C, H, W)``, the student's.
        teacher: ``(B, C, h, w)``, not smaller; it is average-pooled to the size of the other.
        cached: computes a function of the teacher's tensors, as `Features.cached` does.
    """
    height, width = projected.shape[2:]
    return functional.mse_loss(projected, cached(pooling(height, width), teacher))


class SimKD(Method):
    """Difference of the last maps; the network that trains is the student with a projector and that classifier.

    There is no cross-entropy and no KD. The projector and the copy of the classifier are parts of the student, in its
    tests and in its size. A student's map is its last feat, or the rectified map where feats are raw sums, as in wide
    ResNets. The larger of both maps is pooled to the size of the smaller one, the student's before it is projected.

    Options:
        factor: the channels of the teacher's map divided by those within the projector.
    """

    title = "SimKD"
    citation = (
        "Chen, Mei, Zhang, Wang, Feng & Chen, Knowledge Distillation with the Reused Teacher Classifier, CVPR 2022"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"f4": {"factor": 4}, "f8": {"factor": 8}}
    formula = "mean (g(x_S) - x_T)^2, logits W_T pool(g(x_S)) + b_T"

    def __init__(self, pair: Pair, *, factor: int = 2) -> None:
        super().__init__(pair)
        if factor < 1:
            raise ValueError(f"simkd: factor must be at least 1, not {factor}")
        self.factor = factor

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"simkd": map_loss(student.map, teacher.map, teacher.cached)}

    def wrap(self, student: Network) -> Network:
        mine, theirs = self.pair.student, self.pair.teacher
        tap = "map" if mine.rectifies_preacts or not mine.feats else "feat"
        channels, *size = mine.map if tap == "map" else mine.feats[-1]
        classifier = self.pair.teacher_network.classifier
        network = ReusedClassifier(
            student,
            tap=tap,
            inputs=channels,
            middle=max(1, theirs.embedding // self.factor),
            outputs=theirs.embedding,
            size=[min(sides) for sides in zip(size, theirs.map[1:], strict=True)],
            bias=classifier.bias is not None,
        )
        network.classifier.load_state_dict(classifier.state_dict())
        return network
