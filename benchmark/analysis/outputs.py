"""The outputs of a network on the whole test set, the input of measures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Outputs:
    """Tensors on the CPU with one row per image, in the order of the data set.

    Attributes:
        logits: ``(N, K)``.
        embedding: ``(N, C)``, the pooled last map; ``h`` in the paper.
        connected: ``(N, C_T)``, the embedding mapped to the teacher's space by `Method.project`, or None.
        targets: ``(N,)`` int64 labels.
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
