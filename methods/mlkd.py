"""Multi-level logit distillation (MLKD): predictions match by image, by class and by batch at five temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.logits import check_standardisable, compared, divergence
from models import Features


@dataclass(frozen=True)
class Softened:
    """A function that divides logits ``(B, K)`` by each of ``T`` temperatures, ``(T, B, K)``.

    Functions of equal temperatures are equal, so that students share a teacher's cached result.

    Attributes:
        temperatures: the values.
        on_device: ``(T, 1, 1)``, the same values.
    """

    temperatures: tuple[float, ...]
    on_device: Tensor = field(compare=False)

    def __call__(self, logits: Tensor) -> Tensor:
        """The divided logits."""
        return logits / self.on_device


def instance_losses(student: Tensor, teacher: Tensor, temperatures: Tensor) -> Tensor:
    """``temperature^2 * sum_k P ln(P / Q)`` at each temperature for every image, ``(T, B)``.

    Args:
        student: `Softened` logits ``(T, B, K)``.
        teacher: `Softened` logits ``(T, B, K)``.
        temperatures: ``(T, 1, 1)``.
    """
    apart = divergence(student.flatten(0, 1), teacher.flatten(0, 1), 1.0)
    return apart.view(student.shape[:2]) * temperatures[:, 0].square()


def probabilities(softened: Tensor) -> Tensor:
    """Softmax over the classes of `Softened` logits ``(T, B, K)``."""
    return softened.softmax(dim=2)


def class_relations(p: Tensor) -> Tensor:
    """``P^T P`` of probabilities ``(T, B, K)``: products of classes, ``(T, K, K)``."""
    return p.mT @ p


def batch_relations(p: Tensor) -> Tensor:
    """``P P^T`` of probabilities ``(T, B, K)``: products of images, ``(T, B, B)``."""
    return p @ p.mT


def doubtful_images(logits: Tensor) -> Tensor:
    """1 for images whose largest probability is at most the batch's median, else 0, ``(B,)``, from ``(B, K)``."""
    return _at_most_median(logits.softmax(dim=1).amax(dim=1))


def rare_classes(logits: Tensor) -> Tensor:
    """1 for classes whose probability, summed over images, is at most the classes' median, else 0, from ``(B, K)``."""
    return _at_most_median(logits.softmax(dim=1).sum(dim=0))


def _at_most_median(values: Tensor) -> Tensor:
    ordered, size = values.sort().values, len(values)
    # `Tensor.median` takes the lower of two middle values, and `quantile` reads its argument on the host.
    return (values <= (ordered[(size - 1) // 2] + ordered[size // 2]) / 2).to(values.dtype)


class MLKD(Method):
    """Distillation at three levels, from a weak and a strong view of each image, at the temperatures 2, 3, 4, 5 and 6.

    Instances are compared on both views, classes and batches on the weak one. On the weak view only images of which the
    teacher is in doubt count, and classes that it rarely predicts. In the authors' code these masks are mere factors,
    and two of the five strong terms compare the weak view: that is ``mlkd[published]``, which printed numbers rest on.

    Options:
        form: "masked", or "published" as the authors' code computes it.
        standardise: whether the logits of the instance level are standardised first (logit standardisation, LS).
        scale: factor of all three levels; LS weighs them ten times as much.
        strong_ce: weight of the strong view's cross-entropy; the weak view's is the objective's.
        base: the temperature in the place of 4. None is 4, or 2 for published standardised logits.
    """

    title = "MLKD"
    citation = "Jin, Wang & Lin, Multi-Level Logit Distillation, CVPR 2023"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 0.1, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "published": {"form": "published"},
        "ls": {"standardise": True, "scale": 9.0},
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"form": ("masked", "published")}
    views = 2
    recipe: ClassVar[Mapping[str, object]] = {"epochs": 480, "lr": 0.025, "milestones": [150, 180, 210]}
    published_recipe = "240, 480 or 960 epochs by pair, at a rate of 0.01 for MobileNets and ShuffleNets"
    formula = "0.1 CE(strong) + 0.9 sum_T (T^2 KL on both views + |P'P - Q'Q|^2 / K + |PP' - QQ'|^2 / B), T = 2 to 6"

    def __init__(
        self,
        pair: Pair,
        *,
        form: str = "masked",
        standardise: bool = False,
        scale: float = 0.9,
        strong_ce: float = 0.1,
        base: float | None = None,
    ) -> None:
        super().__init__(pair)
        check_standardisable(self.title, pair, standardise=standardise)
        self.published = form == "published"
        self.standardise = standardise
        self.scale = scale
        self.strong_ce = strong_ce
        fourth = (2.0 if self.published and standardise else 4.0) if base is None else base
        self.values = (2.0, 3.0, fourth, 5.0, 6.0)
        self.register_buffer("temperatures", torch.tensor(self.values)[:, None, None], persistent=False)
        self.temperatures: Tensor

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        assert batch.strong is not None
        strong, strong_teacher = batch.student(batch.strong), batch.teacher(batch.strong)
        images, classes = (teacher.cached(which, teacher.logits) for which in (doubtful_images, rare_classes))
        if self.published:
            images, classes = images.mean(), classes.mean()
        instances, relations = self._instances(student, teacher), self._relations(student, teacher, images, classes)
        views = self._strong_view(instances, self._instances(strong, strong_teacher)).sum(dim=0).mean()
        return {
            "ce_strong": self.strong_ce * functional.cross_entropy(strong.logits, batch.targets),
            "instance": self.scale * ((instances.sum(dim=0) * images).mean() + views),
            **{level: self.scale * loss for level, loss in relations.items()},
        }

    def _instances(self, student: Features, teacher: Features) -> Tensor:
        """`instance_losses` of one view, ``(5, B)``."""
        soften = Softened(self.values, self.temperatures)
        mine, theirs = compared(student, teacher, standardise=self.standardise)
        return instance_losses(soften(mine), teacher.cached(soften, theirs), self.temperatures)

    def _strong_view(self, weak: Tensor, strong: Tensor) -> Tensor:
        """The instance losses ``(5, B)`` of the strong view; the published code has the weak view at 2 and 6."""
        return torch.cat([weak[:1], strong[1:4], weak[4:]]) if self.published else strong

    def _relations(self, student: Features, teacher: Features, images: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """The losses of classes and of the batch with the masks ``(B,)`` and ``(K,)``, or their means."""
        soften = Softened(self.values, self.temperatures)
        mine = probabilities(soften(student.logits))
        theirs = teacher.cached(probabilities, teacher.cached(soften, teacher.logits))
        size, num_classes = student.logits.shape
        return {
            level: ((relate(mine) - teacher.cached(relate, theirs)).square() * kept).sum() / count
            for level, relate, kept, count in (
                ("class", class_relations, classes, num_classes),
                ("batch", batch_relations, images, size),
            )
        }
