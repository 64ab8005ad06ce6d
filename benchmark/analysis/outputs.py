"""What a network gives on the whole test set, as measures see it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Outputs:
    """Tensors on the CPU, one row an image, images in the data set's order.

    Attributes:
        logits: ``(N, K)``.
        embedding: ``(N, C)``, the spatial means of the last map; ``h`` in the paper.
        connected: ``(N, C_T)``, the embedding after the connector that was trained with the network, or None.
        targets: ``(N,)``, class numbers.
    """

    logits: Tensor
    embedding: Tensor
    connected: Tensor | None
    targets: Tensor


def reference(teacher: Outputs | None) -> Outputs:
    """The teacher's outputs, for measures that compare.

    Raises:
        ValueError: there is no teacher.
    """
    if teacher is None:
        raise ValueError("this measure compares with a teacher, and there is none")
    return teacher
