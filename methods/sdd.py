"""Scale decoupled distillation (SDD): a loss on logits, taken of parts of the image as well as of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Method, Pair
from methods.label_smoothing import smoothed_cross_entropy
from methods.logits import cross_entropy, divergence, labelled, two_class_divergence, warmed_up
from methods.pooling import pooled
from methods.teacher_cache import Cached, uncached
from models import Features

FINEST = 4
"""Height and width of the maps from which all bins are averaged."""
BINS: Mapping[str, tuple[int, ...]] = {"1+2": (1, 2), "1+2+4": (1, 2, 4)}


def bin_means(maps: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Means ``(B, N, C)`` of maps ``(B, C, H, W)`` in the bins of grids, all averaged from a 4x4 pooling.

    Args:
        maps: of any size; below 4x4, bins repeat.
        sides: bins along height and along width of each grid; the bins of a grid are in rows.
    """
    finest = pooled(maps, (FINEST, FINEST))
    return torch.cat([pooled(finest, (side, side)).flatten(2) for side in sides], dim=2).mT


@cache
def _binning(sides: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """`bin_means` for some grids: one function for all methods, so that they share what they cache of the teacher."""
    return partial(bin_means, sides=sides)


def kd_losses(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, weight: float) -> Tensor:
    """KD's divergence of every row, ``(M,)``, times the square of the temperature.

    Args:
        student: logits ``(M, K)``.
        teacher: logits ``(M, K)``.
        targets: ``(M,)`` int64 labels; not used.
        temperature: divides both logits.
        weight: not used.
    """
    del targets, weight
    return temperature**2 * divergence(student, teacher, temperature)


def dkd_losses(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, weight: float) -> Tensor:
    """DKD's loss of every row, ``(M,)``, with weight 1 of the label's part.

    Arguments as in `kd_losses`, with ``weight`` that of the other classes' part.
    """
    others = ~labelled(targets, student.shape[1])
    label = two_class_divergence(student, teacher, targets, targets, temperature)
    return temperature**2 * (label + weight * divergence(student, teacher, temperature, others))


def nkd_losses(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, weight: float) -> Tensor:
    """NKD's loss of every row, ``(M,)``: of the label at temperature 1, and of the other classes.

    Arguments as in `kd_losses`, with ``weight`` that of the other classes' part.
    """
    others = _soft_cross_entropy(student, teacher, temperature, labelled(targets, student.shape[1]))
    return _label_cross_entropy(student, teacher, targets) + weight * temperature**2 * others


def nkd_losses_of_all_classes(
    student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, weight: float
) -> Tensor:
    """As `nkd_losses`, but with the label among the other classes, as in the authors' code."""
    every = _soft_cross_entropy(student, teacher, temperature, torch.zeros_like(student, dtype=torch.bool))
    return _label_cross_entropy(student, teacher, targets) + weight * temperature**2 * every


Form = Callable[[Tensor, Tensor, Tensor, float, float], Tensor]
FORMS: Mapping[str, Form] = {
    "kd": kd_losses,
    "dkd": dkd_losses,
    "nkd": nkd_losses,
    "nkd-all": nkd_losses_of_all_classes,
}


def scale_loss(
    form: Form, student: Tensor, teacher: Tensor, targets: Tensor, temperature: float, weight: float
) -> Tensor:
    """A loss on the logits of bins, mean over images and bins, twice as much where a bin disagrees with the image.

    A bin agrees if the teacher is right about the label in both or in neither.

    Source: Wei et al., SDD.

    Args:
        form: returns the loss of every row of logits, see `FORMS`.
        student: logits ``(B, N, K)`` of the bins, the whole image first.
        teacher: logits ``(B, N, K)``.
        targets: ``(B,)`` int64 labels.
        temperature: given to ``form``.
        weight: given to ``form``.
    """
    size, bins = teacher.shape[:2]
    right = teacher.argmax(dim=2) == targets[:, None]
    twice = 1 + (right != right[:, :1]).to(student.dtype)
    labels = targets[:, None].expand(size, bins).flatten()
    return (twice.flatten() * form(student.flatten(0, 1), teacher.flatten(0, 1), labels, temperature, weight)).mean()


def bin_logits(
    maps: Tensor, classifier: tuple[Tensor, Tensor | None], sides: tuple[int, ...], cached: Cached = uncached
) -> Tensor:
    """Logits ``(B, N, K)`` of the bins of a map.

    Args:
        maps: ``(B, C, H, W)``, before they are averaged and classified.
        classifier: weight ``(K, C)`` and bias ``(K,)``.
        sides: as in `bin_means`.
        cached: computes a function of the maps, as `Features.cached` does.
    """
    return functional.linear(cached(_binning(sides), maps), *classifier)


def _label_cross_entropy(student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    label = targets[:, None]
    return cross_entropy(student.log_softmax(dim=1).gather(1, label), teacher.softmax(dim=1).gather(1, label))


def _soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float, left_out: Tensor) -> Tensor:
    """Cross-entropy of the softmaxes over the classes that are not left out, 0 where the teacher masks all of them."""
    student, teacher = (each.masked_fill(left_out, -torch.inf) for each in (student, teacher))
    empty = (teacher == -torch.inf).all(dim=1, keepdim=True)
    student, teacher = (each.masked_fill(empty, 0.0) / temperature for each in (student, teacher))
    return cross_entropy(student.log_softmax(dim=1), teacher.softmax(dim=1).masked_fill(empty, 0.0))


class SDD(Method):
    """DKD, KD or NKD on the logits of bins of the last map, with a gradient into the student's classifier as well.

    Each network classifies the mean of each bin by its own classifier. ``sdd[kd]`` takes 0.9 of the objective's
    cross-entropy back, to reach the authors' 0.1.

    Options:
        form: loss on logits: "dkd", "kd", "nkd", or "nkd-all" with the label among the classes of NKD's second part.
        weight: of the classes without the label in DKD and NKD.
        temperature: divides both logits.
        bins: sides of the grids of bins. "auto" is 1+2 within a family of networks and 1+2+4 between families.
        warmup: epochs of a training of 240 in which the weight of the loss rises to its value; 0 for none.
        scale: factor of the loss.
        ce: weight of cross-entropy in this loss, added to the objective's.
    """

    title = "SDD"
    citation = "Wei, Luo & Luo, Scale Decoupled Distillation, CVPR 2024"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "kd": {"form": "kd", "warmup": 0.0, "scale": 0.9, "ce": -0.9},
        "nkd": {"form": "nkd"},
        "allclasses": {"form": "nkd-all"},
    }
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "form": ("dkd", "kd", "nkd", "nkd-all"),
        "bins": ("auto", "1+2", "1+2+4"),
    }
    formula = "1 / N sum_bins omega DKD(W_S x_bin + b_S, W_T t_bin + b_T), omega 2 where bin and image disagree, else 1"

    def __init__(
        self,
        pair: Pair,
        *,
        form: str = "dkd",
        weight: float = 8.0,
        temperature: float = 4.0,
        bins: str = "auto",
        warmup: float = 20.0,
        scale: float = 1.0,
        ce: float = 0.0,
    ) -> None:
        super().__init__(pair)
        alike = pair.student.family == pair.teacher.family
        self.sides = BINS[("1+2" if alike else "1+2+4") if bins == "auto" else bins]
        self.form = FORMS[form]
        self.weight = weight
        self.temperature = temperature
        self.warmup = warmup
        self.scale = scale
        self.ce = ce

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        mine, theirs = self.pair.student_network.classifier, self.pair.teacher_network.classifier
        constant = theirs.weight.detach(), None if theirs.bias is None else theirs.bias.detach()
        z = bin_logits(student.map, (mine.weight, mine.bias), self.sides)
        v = bin_logits(teacher.map, constant, self.sides, teacher.cached)
        scales = scale_loss(self.form, z, v, batch.targets, self.temperature, self.weight)
        loss = self.scale * scales * warmed_up(batch, self.warmup)
        if not self.ce:
            return {"sdd": loss}
        return {"sdd": loss, "ce": self.ce * smoothed_cross_entropy(student.logits, batch.targets, 0.0)}
