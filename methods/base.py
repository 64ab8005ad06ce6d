"""The contract of a distillation method: one file with one class, found by the file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models import Features, Network, Shapes


class NotApplicableError(ValueError):
    """A method does not apply to a pair of networks; the message says why in one sentence."""


@dataclass(frozen=True)
class Pair:
    """The teacher, the student and the training data for which a method is built.

    Use the networks through this pair. Do not assign one of them, or one of their modules, to an attribute of the
    method, which would register it as a part of the method and train it there.

    Attributes:
        student: shapes of the student's features.
        teacher: shapes of the teacher's features; the student's in a run without a teacher.
        student_network: the student before `Method.wrap`. Its ``classifier`` is trained, so that a loss may use its
            weight with a gradient.
        teacher_network: the frozen teacher, with ``classifier``, ``resume`` and ``preact_norms``; the student's network
            in a run without a teacher.
        num_samples: size of the training set, ``N``.
        num_classes: number of classes, ``K``.
        labels: ``(N,)`` int64, the training labels by sample index.
        batch_size: images of a batch; the last batch of an epoch has fewer or one more.
        training_features: iterates over the teacher's features of all training images in the order of the data set,
            without augmentation, in batches with their labels ``(B,)``. It takes a forward pass of the whole training
            set: use it in ``__init__`` only.
    """

    student: Shapes
    teacher: Shapes
    student_network: Network
    teacher_network: Network
    num_samples: int
    num_classes: int
    labels: Tensor
    batch_size: int
    training_features: Callable[[], Iterable[tuple[Features, Tensor]]]


def _unknown_network(images: Tensor) -> Features:
    raise RuntimeError(f"this batch of {len(images)} images has no networks: they are given to a run's own batch only")


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        images: ``(B, 3, S, S)`` float, augmented and normalised.
        targets: ``(B,)`` int64 class labels.
        indices: ``(B,)`` int64 positions in the training set.
        progress: fraction of the training that is done, 0 to 1: a scalar tensor on the device, so that it keeps
            changing when a step is replayed as a CUDA graph.
        generator: the run's random number generator, on the device of the images. Draw from no other one.
        strong: ``(B, 3, S, S)``, a second view of the same images, augmented independently and strongly (RandAugment
            and cutout); None unless a method of the cohort has ``views = 2``.
        epoch: the current epoch, counted from 1: a scalar tensor on the device, as ``progress``.
        epochs: number of epochs of the training: a scalar tensor on the device.
        student: runs images of any size through the student, in the mode in which it trains, and returns its features
            with a graph.
        teacher: runs images through the teacher and returns its features without a graph; those of ``strong`` are
            computed once for all students of a cohort.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    progress: Tensor
    generator: torch.Generator | None
    strong: Tensor | None = None
    epoch: Tensor = field(default_factory=lambda: torch.ones(()))
    epochs: Tensor = field(default_factory=lambda: torch.ones(()))
    student: Callable[[Tensor], Features] = _unknown_network
    teacher: Callable[[Tensor], Features] = _unknown_network

    @property
    def views(self) -> tuple[Tensor, ...]:
        """The views of the images: one, or two with ``strong``."""
        return (self.images,) if self.strong is None else (self.images, self.strong)

    def clone(self) -> Batch:
        """A batch with copies of the tensors."""
        copies: dict[str, Any] = {name: tensor.clone() for name, tensor in self._tensors().items()}
        return replace(self, **copies)

    def copy_(self, other: Batch) -> None:
        """Overwrite the tensors with those of another batch of equal shapes."""
        for name, tensor in self._tensors().items():
            tensor.copy_(getattr(other, name))

    def equals(self, other: Batch) -> bool:
        """Whether another batch has equal tensors; waits for the device."""
        return all(torch.equal(tensor, getattr(other, name)) for name, tensor in self._tensors().items())

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors that all students of a cohort share."""
        shared = {name: getattr(self, name) for name in ("images", "targets", "indices", "progress", "strong")}
        return {name: tensor for name, tensor in shared.items() if tensor is not None}


class Method(nn.Module):
    """Base class of all methods: a loss and the modules that are trained with the student.

    The class attributes are literals, because planning reads them from the source without importing torch. Options are
    keyword-only parameters of ``__init__`` with literal defaults.

    Attributes:
        title: the method's name in tables.
        citation: authors, title, venue and year.
        revision: part of every id; raise it when a change of the code changes results. 0 marks a draft: its source code
            is part of its ids, as for all methods outside the project, so that an edited loss is trained again.
        objective: default weights of cross-entropy (``ce``) and of this loss (``weight``).
        variants: short names for sets of options, as in ``srrl[sr]``.
        choices: allowed values of string options; others are refused before anything is trained.
        requires: special needs. ``teacher_in_train_mode``: the teacher's features come from a copy that normalises with
            batch statistics. ``equal_channels``: the method does not apply to pairs whose feats, paired from the stem
            on, differ in channels.
        pretrain: what a pretraining stage trains by `pretrain_loss` before the runs. ``"student"``: the student's
            trunk together with `pretrain_modules`; the run starts from that student, and the modules are dropped.
            ``"teacher"``: the `pretrain_modules` alone, on the teacher's features, once for all students of that
            teacher; runs load and freeze them. ``""``: there is no such stage.
        candidates: sets of options from which ``NAME[tuned]`` selects on held-out training images.
        teacher: which teacher a run has. ``"given"``: the pair's. ``"none"``: none is loaded or computed, and the run
            does not depend on one. ``"student"``: a plain run of the student's network, with a seed of its own.
        views: number of views of each image, 1 or 2; with 2 the batch has ``strong``.
        recipe: values of the recipe that this method brings along, as ``{"epochs": 480}``; they replace the recipe's
            general values, and what it states for single networks, the profile, a preset and ``--set`` win over them.
        published_recipe: how the recipe of the published numbers differs from the suite's, in words; for lists.
        formula: the loss in one line of plain text; for lists.

    Raises:
        NotApplicableError: the pair does not meet ``requires``.
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
    teacher: ClassVar[str] = "given"
    views: ClassVar[int] = 1
    recipe: ClassVar[Mapping[str, object]] = {}
    published_recipe: ClassVar[str] = ""
    formula: ClassVar[str] = ""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair
        if "equal_channels" in self.requires:
            _check_channels(self.title, pair)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        """The named parts of the loss, scalar tensors; the trainer adds their sum, times ``weight``, to the total loss.

        On a GPU a step is captured as a CUDA graph and replayed, which runs no Python. So values that change from step
        to step must be tensors on the device, and state must be a buffer that is updated in place. A method that reads
        values on the host, as ``.item()`` does, still works, but its runs are not captured and take longer.

        Args:
            student: features of the images, with a graph: ``feats[i]`` is ``(B, c, h, w)``, ``logits`` ``(B, K)``. They
                are at least float32, while the method's modules compute in the precision of the networks.
            teacher: of the same images, without a graph. Compute what depends on the teacher alone by
                ``teacher.cached(function, *tensors)``: all students of a cohort then share the result. In a run
                without a teacher these are the student's features.
            batch: images, labels, sample indices, progress, and the networks for further forward passes.

        Returns:
            The same parts in every step, at least one; ``{}`` only if all of the method's work is done in its
            pretraining stage.
        """
        raise NotImplementedError

    def pretrain_modules(self) -> nn.Module:
        """The submodules of this method that only its pretraining stage trains; runs keep them frozen."""
        return nn.ModuleList()

    def pretrain_loss(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        """The named parts of the pretraining stage's loss, scalar tensors; the trainer sums them without weights.

        Args:
            student: as in `forward`. With ``pretrain = "teacher"`` the method is built for a pair in which the teacher
                is its own student, and both arguments are the teacher's features, without a graph.
            teacher: as in `forward`.
            batch: as in `forward`.
        """
        raise NotImplementedError

    def wrap(self, student: Network) -> Network:
        """The network that is trained, tested, counted, saved and exported in place of the student.

        Args:
            student: the student's network, to be made a part of the result.

        Returns:
            By default the student itself. Otherwise a network that `models.rewrap` can build again from its
            ``wrapping``: all its parameters and buffers are part of its state, and `forward` gets its features.
        """
        return student

    def project(self, student: Features) -> Tensor | None:
        """The student's embedding mapped into the teacher's embedding space, ``(B, C_T)``, for Table 3's distances.

        Returns:
            None if the method trains no such map, as by default.
        """
        return None


def _check_channels(title: str, pair: Pair) -> None:
    shared = min(len(pair.student.feats), len(pair.teacher.feats))
    mine, theirs = ([shape[0] for shape in each.feats[:shared]] for each in (pair.student, pair.teacher))
    if mine != theirs:
        raise NotApplicableError(
            f"{title} needs maps of equal channels, but {pair.student.name} has {', '.join(map(str, mine))} where "
            f"{pair.teacher.name} has {', '.join(map(str, theirs))}"
        )
