"""A student under the classifier of its teacher (Chen et al., 2022): a projector leads from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from models.features import Features, Network, Shapes
from models.layers import activated

KIND = "reused-classifier"
TAPS = ("feat", "map")


class ReusedClassifier(Network):
    """A network whose logits are those of a frozen linear layer on the projected map of another network.

    Its embedding and map are the projected ones; feats and preacts are the student's. The student's own classifier
    stays a part of it and is not used.

    Args:
        student: a plain network, which becomes the submodule ``student``.
        tap: the student's map that is projected: ``"feat"`` is the last of ``feats``, ``"map"`` is ``Features.map``.
        inputs: channels of that map.
        middle: channels within the projector.
        outputs: channels of the projected map.
        size: height and width of the projected map; a larger map is average-pooled before it is projected.
        bias: whether the classifier has a bias.

    Attributes:
        projector: convolutions 1x1, 3x3 and 1x1 without bias, each with batch-norm and ReLU.
        classifier: frozen; its weights are to be copied into it.

    Raises:
        ValueError: there is no such tap, or a number of channels is below 1.
    """

    def __init__(
        self, student: Network, *, tap: str, inputs: int, middle: int, outputs: int, size: Sequence[int], bias: bool
    ) -> None:
        super().__init__()
        if tap not in TAPS:
            raise ValueError(f"{student.name}: tap must be among {', '.join(TAPS)}, not '{tap}'")
        if min(inputs, middle, outputs, *size) < 1:
            raise ValueError(f"{student.name}: a projector needs channels and a size of at least 1")
        self.name, self.family, self.width = student.name, student.family, student.width
        self.in_size, self.num_classes = student.in_size, student.num_classes
        self.rectifies_preacts = student.rectifies_preacts  # type: ignore[misc]  # it is the student's
        self.student = student
        self.projector = nn.Sequential(
            activated(inputs, middle, 1), activated(middle, middle, 3), activated(middle, outputs, 1)
        )
        self.classifier = nn.Linear(outputs, student.num_classes, bias=bias).requires_grad_(requires_grad=False)
        self._tap, self._size = tap, (size[0], size[1])
        self.wrapping = {"kind": KIND, "tap": tap, "inputs": inputs, "middle": middle, "outputs": outputs}
        self.wrapping |= {"size": list(size), "bias": bias}

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the student, the projector and the classifier."""
        seen: Features = self.student(images)
        tapped = seen.map if self._tap == "map" else seen.feats[-1]
        if tapped.shape[2:] != self._size:
            tapped = functional.adaptive_avg_pool2d(tapped, self._size)
        projected = self.projector(tapped)
        embedding = projected.mean((2, 3))
        return Features(self.classifier(embedding), embedding, projected, seen.feats, seen.preacts)

    def shapes(self) -> Shapes:
        """Shapes of this network's features; feats that the student lacks are reported as the student does."""
        shapes = super().shapes()
        return shapes if shapes.feats else replace(shapes, feats=self.student.shapes().feats)

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """Those of the student."""
        return self.student.preact_norms()

    def trunk(self) -> list[nn.Module]:
        """Stem and stages of the student."""
        return self.student.trunk()
