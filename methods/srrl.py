"""Softmax regression representation learning (SRRL): the teacher's classifier on the student's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.alignment import paired_stages
from methods.base import Batch, Method, Pair
from methods.connector import Connector
from methods.kd import kd_loss
from models import Features, Shapes


def fm_loss(connected: Tensor, teacher: Tensor) -> Tensor:
    """Feature matching, Eq. 3: squared difference of the spatial means, mean over images and channels.

    Args:
        connected: ``(B, C, H, W)``, the student's map at the teacher's channels.
        teacher: ``(B, C, h, w)``; the size may differ.
    """
    return functional.mse_loss(pooled(connected), pooled(teacher))


def pooled(maps: Tensor) -> Tensor:
    """Spatial means ``(B, C)`` of maps ``(B, C, H, W)``."""
    return maps.mean(dim=(2, 3))


def sr_l2(regressed: Tensor, teacher_logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Eq. 7: squared difference of the logits ``(B, K)``, mean over images and classes.

    A class that the teacher masks by minus infinity adds nothing.
    """
    del targets, temperature
    masked = teacher_logits == -torch.inf
    return functional.mse_loss(regressed.masked_fill(masked, 0.0), teacher_logits.masked_fill(masked, 0.0))


def sr_ce(regressed: Tensor, teacher_logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the regressed logits ``(B, K)`` with the labels ``(B,)`` (the paper's appendix)."""
    del teacher_logits, temperature
    return functional.cross_entropy(regressed, targets)


def sr_kl(regressed: Tensor, teacher_logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Eq. 4 with a temperature: divergence of the regressed from the teacher's probabilities, as in `kd_loss`."""
    del targets
    return kd_loss(regressed, teacher_logits, temperature)


FORMS: Mapping[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {"l2": sr_l2, "ce": sr_ce, "kl": sr_kl}


def transfer_mean(teacher: Tensor, connected: Tensor) -> Tensor:
    """The teacher's map ``(B, C, h, w)`` with the spatial means of the student's connected map."""
    return teacher + (pooled(connected) - pooled(teacher))[:, :, None, None]


def transfer_mean_and_deviation(teacher: Tensor, connected: Tensor) -> Tensor:
    """Adaptive instance normalisation: the teacher's map with the student's spatial means and deviations."""
    centred = teacher - pooled(teacher)[:, :, None, None]
    return centred * (_deviation(connected) / _deviation(teacher)) + pooled(connected)[:, :, None, None]


def _deviation(maps: Tensor) -> Tensor:
    # The unbiased variance of a single position would be NaN.
    positions = maps.shape[2] * maps.shape[3]
    return (maps.var(dim=(2, 3), correction=min(1, positions - 1), keepdim=True) + 1e-5).sqrt()


TRANSFERS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "teacher": transfer_mean,
    "student": transfer_mean_and_deviation,
}


def consumed(features: Features, shapes: Shapes, stage: int) -> Tensor:
    """The input of the layer after a stage; after the last stage, or -1, it is ``features.map``."""
    if _is_last(stage, shapes.feats):
        return features.map
    return functional.relu(features.preacts[stage]) if shapes.rectifies_preacts else features.feats[stage]


def _channels(shapes: Shapes, stage: int) -> int:
    return shapes.embedding if _is_last(stage, shapes.feats) else shapes.feats[stage][0]


def _is_last(stage: int, feats: Sequence[object]) -> bool:
    return stage in {-1, len(feats) - 1}


class SRRL(Method):
    """Feature matching (FM) and regression through the frozen teacher's classifier (SR), with one connector for both.

    At inner layers the regression runs through the rest of the teacher: the teacher's map there, shifted to the spatial
    means of the student's, is fed forward to logits.

    Options:
        fm: weight of FM; 0 leaves it out.
        sr: weight of SR; 0 leaves it out.
        form: distance of SR: "l2", "ce" or "kl".
        temperature: of the form "kl".
        layers: where to apply both, joined by "+": "last" is the last rectified map of both networks; "conv2",
            "conv3" ... are their first, second ... stage, so "conv4" of two wide ResNets equals "last". The rectified
            connector cannot match negative means, where the teacher's next layer takes a linear or raw map.
        adain_std: whose standard deviation the teacher's inner map gets; "teacher" shifts the means only.
    """

    title = "SRRL"
    citation = (
        "Yang, Martinez, Bulat & Tzimiropoulos, Knowledge Distillation via Softmax Regression Representation Learning, "
        "ICLR 2021"
    )
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"fm": {"sr": 0.0}, "sr": {"fm": 0.0}}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "form": ("l2", "ce", "kl"),
        "adain_std": ("teacher", "student"),
    }
    candidates: ClassVar[tuple[Mapping[str, object], ...]] = (
        {"fm": 1.0, "sr": 1.0},
        {"fm": 1.0, "sr": 5.0},
        {"fm": 10.0, "sr": 1.0},
    )
    formula = "fm mean (pool(r(x)) - pool(t))^2 + sr mean (W_T pool(r(x)) + b_T - v)^2, r a connector"

    def __init__(
        self,
        pair: Pair,
        *,
        fm: float = 1.0,
        sr: float = 1.0,
        form: str = "l2",
        temperature: float = 4.0,
        layers: str = "last",
        adain_std: str = "teacher",
    ) -> None:
        super().__init__(pair)
        if not fm and not sr:
            raise ValueError("srrl: fm and sr are both 0, so nothing is left to train")
        self.fm = fm
        self.sr = sr
        self.temperature = temperature
        self.form = FORMS[_known("form", form, FORMS)]
        self.transfer = TRANSFERS[_known("adain_std", adain_std, TRANSFERS)]
        paired = paired_stages(pair.student.feats, pair.teacher.feats)
        stages = {"last": -1} | {f"conv{stage + 1}": stage for stage in range(1, len(paired) + 1)}
        self.stages = {layer: stages[_known("layers", layer, stages)] for layer in layers.split("+")}
        self.connectors = nn.ModuleDict()
        for layer, stage in self.stages.items():
            channels = (_channels(pair.student, stage), _channels(pair.teacher, stage))
            self.connectors[layer] = Connector(*channels, rectify=True)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {"fm": [], "sr": []}
        for layer, stage in self.stages.items():
            connected = self.connectors[layer](consumed(student, self.pair.student, stage))
            target = consumed(teacher, self.pair.teacher, stage)
            if self.fm:
                parts["fm"].append(self.fm * fm_loss(connected, target))
            if self.sr:
                regressed = self._regress(stage, connected, target)
                loss = self.form(regressed, teacher.logits, batch.targets, self.temperature)
                parts["sr"].append(self.sr * loss)
        return {name: torch.stack(losses).sum() for name, losses in parts.items() if losses}

    def project(self, student: Features) -> Tensor | None:
        for layer, stage in self.stages.items():
            if all(_is_last(stage, shapes.feats) for shapes in (self.pair.student, self.pair.teacher)):
                return pooled(self.connectors[layer](student.map))
        return None

    def _regress(self, stage: int, connected: Tensor, teacher: Tensor) -> Tensor:
        """Logits ``(B, K)`` of the frozen teacher from the student's features, with gradients through its layers."""
        network = self.pair.teacher_network
        if not _is_last(stage, self.pair.teacher.feats):
            return network.resume(stage, self.transfer(teacher, connected))
        logits: Tensor = network.classifier(pooled(connected))
        return logits


def _known(option: str, value: str, known: Mapping[str, object]) -> str:
    if value not in known:
        raise ValueError(f"srrl: {option} must be among {', '.join(known)}, not '{value}'")
    return value
