"""The contract of a distillation method: one file, one class, found by its file's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from models import Features, Network, Shapes


class NotApplicableError(ValueError):
    """A method cannot be applied to a pair of networks; the message says why in one sentence."""


@dataclass(frozen=True)
class Pair:
    """A teacher, a student and the data between them, as a method sees them when it builds its modules.

    Attributes:
        student: shapes of the student's features.
        teacher: shapes of the teacher's features.
        teacher_network: the frozen teacher. Use its classifier, ``resume`` and ``preact_norms`` through this pair;
            never store one of its modules in an attribute of a method, which would register and train it.
        num_samples: size of the training set, ``N``.
        num_classes: number of classes, ``K``.
        labels: ``(N,)`` int64, the training labels by sample index.
    """

    student: Shapes
    teacher: Shapes
    teacher_network: Network
    num_samples: int
    num_classes: int
    labels: Tensor


@dataclass(frozen=True)
class Batch:
    """One batch of the training stream.

    Attributes:
        images: ``(B, 3, S, S)`` float, augmented and normalised.
        targets: ``(B,)`` int64 class labels.
        indices: ``(B,)`` int64 positions in the training set.
        progress: share of the training that is done, 0 to 1: a scalar on the device, so that it changes where a step is
            recorded once and replayed.
        generator: the run's own random numbers, on the device of the images. Draw from nothing else.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    progress: Tensor
    generator: torch.Generator | None

    def clone(self) -> Batch:
        """The same batch in memory of its own."""
        return replace(self, **{name: getattr(self, name).clone() for name in _TENSORS})

    def copy_(self, other: Batch) -> None:
        """Overwrite this batch's tensors with those of another of equal shapes."""
        for name in _TENSORS:
            getattr(self, name).copy_(getattr(other, name))

    def equals(self, other: Batch) -> bool:
        """Whether another batch has equal tensors; this waits for the device."""
        return all(torch.equal(getattr(self, name), getattr(other, name)) for name in _TENSORS)


_TENSORS = ("images", "targets", "indices", "progress")


class Method(nn.Module):
    """Base of all methods: a term of an objective, with the modules it trains beside the student.

    The class attributes are literals, because planning reads them from the file's syntax tree and never imports torch.
    Options are the keyword-only parameters of ``__init__``, each with a literal default.

    Attributes:
        title: the method's name in tables.
        citation: authors, title, venue and year.
        revision: raise it when a change of the code changes results; it is part of every id. 0 is a draft: the code
            itself is part of its ids, as it is of all methods outside the project, so that no result outlives a change.
        objective: weight of cross-entropy (``ce``) and of this term (``weight``) where a recipe states none.
        variants: short names for sets of options, as in ``srrl[sr]``.
        choices: what an option may be, where that is a few words; others are refused before anything is trained.
        requires: what the method needs beyond the common. Of the trainer: ``teacher_in_train_mode`` (the teacher's
            features come from a copy that normalises with batch statistics). Of the pair: ``equal_channels`` (feats
            paired from the stem on have as many channels in either network).
        pretrain: what is trained by `pretrain_loss` before a run. ``"student"``: the student's trunk together with
            `pretrain_modules`, which are dropped before the run starts from that student. ``"teacher"``: the
            `pretrain_modules` alone, on the teacher's features, once for all students of that teacher; every run
            loads them and keeps them frozen. Empty: nothing.
        candidates: sets of options among which ``NAME[tuned]`` chooses on held-out training images.

    Raises:
        NotApplicableError: the pair lacks what ``requires`` names.
    """

    title: ClassVar[str]
    citation: ClassVar[str]
    revision: ClassVar[int] = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    requires: ClassVar[tuple[str, ...]] = ()
    pretrain: ClassVar[str] = ""
    candidates: ClassVar[tuple[Mapping[str, object], ...]] = ()

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair
        if "equal_channels" in self.requires:
            _check_channels(self.title, pair)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        """Named parts of the loss, scalars; the trainer sums them and multiplies by the term's weight.

        ``teacher`` carries no graph. Both are at least float32; the method's own modules compute in the precision of
        the networks. On a GPU a step is recorded once and replayed: what changes from batch to batch has to be a tensor
        on the device, state a buffer that is changed in place. A method that waits for the device is not recorded.
        A method whose work is done after its first stage
        gives none.
        """
        raise NotImplementedError

    def pretrain_modules(self) -> nn.Module:
        """The submodules that only the first stage trains; the run's optimiser leaves them out."""
        return nn.ModuleList()

    def pretrain_loss(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        """Named parts of the first stage's loss, scalars that the trainer sums without weights.

        In a first stage of the teacher the method is built for the teacher as its own student, and both arguments are
        the teacher's features, without a graph.
        """
        raise NotImplementedError

    def project(self, student: Features) -> Tensor | None:
        """The student's embedding among the teacher's, ``(B, C_T)``; None where the method trains no such map."""
        return None


def _check_channels(title: str, pair: Pair) -> None:
    paired = list(zip(pair.student.feats, pair.teacher.feats, strict=False))
    mine, theirs = ([shape[0] for shape in side] for side in zip(*paired, strict=True))
    if mine != theirs:
        raise NotApplicableError(
            f"{title} needs maps of equal channels, but {pair.student.name} has {', '.join(map(str, mine))} where "
            f"{pair.teacher.name} has {', '.join(map(str, theirs))}"
        )
