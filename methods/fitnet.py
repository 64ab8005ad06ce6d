"""FitNets: a regression from the student's feature map matches the teacher's, the hint, at one stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from methods.alignment import paired_stages
from methods.base import Batch, Method, Pair
from methods.regressor import Regressor
from models import Features


def hint_loss(regressed: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of two maps ``(B, C, H, W)``, mean over all elements; the paper takes half the sum."""
    return functional.mse_loss(regressed, teacher)


class FitNet(Method):
    """Distance between the teacher's map and a rectified regression from the student's, at one stage.

    The paper trains up to the hint first and the whole student afterwards. Here the hint is a term beside
    cross-entropy for the whole training, as in the CRD authors' code. The regression cannot match negative entries of
    a teacher's map that is not rectified (wide ResNets).

    Options:
        stage: the stage whose maps are compared, counted from 1.
    """

    title = "FitNet"
    citation = "Romero, Ballas, Kahou, Chassang, Gatta & Bengio, FitNets: Hints for Thin Deep Nets, ICLR 2015"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 100.0}
    formula = "mean (r(x_2) - t_2)^2, r a rectified regression"

    def __init__(self, pair: Pair, *, stage: int = 2) -> None:
        super().__init__(pair)
        paired = paired_stages(pair.student.feats, pair.teacher.feats)
        if not 1 <= stage <= len(paired):
            raise ValueError(f"fitnet: stage must be among 1 to {len(paired)}, not {stage}")
        self.stage = stage
        self.regressor = Regressor(*paired[stage - 1], rectify=True)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        return {"hint": hint_loss(self.regressor(student.feats[self.stage]), teacher.feats[self.stage])}
