"""State that the members of a cohort share for the whole training: the teacher and the training labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmark.training.isolation import WriteDetector
from benchmark.training.teacher import SharedBatch, Teacher
from methods import Batch


class SharedState:
    """The teacher and the training labels, with checks that no member has changed them.

    Args:
        teacher: of all members, or None.
        labels: ``(N,)`` int64, of the training images.
        read_teacher_weights: reads the teacher's state dict from its file again, to undo a change.

    Attributes:
        teacher: as given.
        labels: as given.
    """

    def __init__(
        self, teacher: Teacher | None, labels: Tensor, read_teacher_weights: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        self.teacher = teacher
        self.labels = labels
        self._labels_copy = labels.clone()
        self._read_teacher_weights = read_teacher_weights
        self._watch_labels()

    def check_step(self, shared: SharedBatch, batch: Batch, original: Batch, *, compare_contents: bool) -> str | None:
        """What a member changed in its step, of the shared state or the batch; None if nothing.

        Teacher and labels are restored. A changed batch is not: discard it.

        Args:
            shared: images and teacher features of the batch.
            batch: the copy that the members were given.
            original: the batch that it was copied from.
            compare_contents: compare contents too, not only the number of writes.
        """
        found = self.restore(compare_contents=compare_contents) or shared.writes.changed()
        if found is None and compare_contents and not batch.equals(original):
            found = "the batch"
        return found

    def restore(self, *, compare_contents: bool) -> str | None:
        """Restore the teacher and the labels; return what was changed, None if nothing was.

        Args:
            compare_contents: compare contents too, not only the number of writes.
        """
        if self._label_writes.changed() or (compare_contents and not torch.equal(self.labels, self._labels_copy)):
            self.labels.copy_(self._labels_copy)
            self._watch_labels()
            return "the training labels"
        changed = self.teacher.snapshot.changed(compare_contents=compare_contents) if self.teacher else None
        if self.teacher is None or changed is None:
            return None
        self.teacher.restore(self._read_teacher_weights())
        return f"the teacher's {changed}"

    def _watch_labels(self) -> None:
        self._label_writes = WriteDetector()
        self._label_writes.add("the training labels", self.labels)
