"""What the members of a cohort share for the whole training: the teacher, and the labels of the training images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmark.training.isolation import Untouched
from benchmark.training.teacher import Teacher, View
from methods import Batch


class Shared:
    """Finds what a member has changed of that which it shares with others, and undoes what outlives a batch.

    Args:
        teacher: of all members, or None.
        labels: ``(N,)`` int64, of the training images.
        reload: reads the teacher's weights and statistics again.

    Attributes:
        teacher: as given.
        labels: as given.
    """

    def __init__(self, teacher: Teacher | None, labels: Tensor, reload: Callable[[], Mapping[str, Tensor]]) -> None:
        self.teacher = teacher
        self.labels = labels
        self._labels_before = labels.clone()
        self._reload = reload
        self._watch_labels()

    def fault_of_batch(self, view: View, held: Batch, clean: Batch, *, thoroughly: bool) -> str | None:
        """What a member has changed in its step, of a batch too, for people; None where it changed nothing.

        Args:
            view: of the batch; after a fault it is of no use to others.
            held: the batch that members were given.
            clean: what it should hold.
            thoroughly: compare all there is, and not only how often it was written into.
        """
        found = self.fault(thoroughly=thoroughly) or view.untouched.changed()
        if found is None and thoroughly and not held.equals(clean):
            found = "the batch"
        return found

    def fault(self, *, thoroughly: bool) -> str | None:
        """What was changed of the teacher or the labels, for people; they are then restored."""
        if self._labels_seen.changed() or (thoroughly and not torch.equal(self.labels, self._labels_before)):
            self.labels.copy_(self._labels_before)
            self._watch_labels()
            return "the training labels"
        if self.teacher is None or (changed := self.teacher.frozen.changed(thoroughly=thoroughly)) is None:
            return None
        self.teacher.restore(self._reload())
        return f"the teacher's {changed}"

    def _watch_labels(self) -> None:
        self._labels_seen = Untouched()
        self._labels_seen.add("the training labels", self.labels)
