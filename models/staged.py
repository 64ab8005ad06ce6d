"""Networks of a stem, stages and a classifier: how their maps are recorded, written once for all families."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from models.features import Features, Network
from models.layers import check_stage, classify, pooled


class Unit(nn.Module):
    """What stages are made of. It gives a map before its activation, which is the stage's, as that records both."""

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch-norm that the output comes out of, on the main path where there are several."""
        raise NotImplementedError


class Stage(nn.Sequential):
    """Units in a row, each followed by an activation."""

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The last unit's."""
        return cast("Unit", self[-1]).last_norm

    def forward(self, rectified: Tensor) -> tuple[Tensor, Tensor]:
        """The output after and before its activation."""
        for unit in self:
            preact = unit(rectified)
            rectified = self.activate(preact)
        return rectified, preact

    def activate(self, preact: Tensor) -> Tensor:
        """What the next unit takes, out of what a unit gives."""
        return F.relu(preact)


class StagedNetwork(Network):
    """A network whose stages hand on what is tapped.

    Attributes:
        stem: what makes the first tap out of images.
        stages: what follows.
        tapped: numbers of the stages that are tapped, the last one among them; all of them if empty.
    """

    stem: nn.Module
    stages: nn.ModuleList
    tapped: tuple[int, ...] = ()

    def stem_modules(self) -> list[nn.Module]:
        """The modules of the stem, in order."""
        return [self.stem]

    def stage_modules(self) -> list[Stage]:
        """The stages, in order."""
        return [cast("Stage", stage) for stage in self.stages]

    def last_map(self, tap: Tensor) -> Tensor:
        """The penultimate map, out of the last tap."""
        return tap

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        tap = images
        for module in self.stem_modules():
            tap = module(tap)
        feats, preacts = [tap], [tap]
        for number, stage in enumerate(self.stage_modules(), start=1):
            tap, preact = stage(tap)
            if number in self._tapped():
                feats.append(tap)
                preacts.append(preact)
        return pooled(self.classifier, self.last_map(tap), feats, preacts)

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from tap ``stage``, or after the last one from the penultimate map."""
        tapped = self._tapped()
        check_stage(stage, len(tapped))
        if stage == len(tapped):
            return classify(self.classifier, rectified)
        for later in self.stage_modules()[tapped[stage - 1] :]:
            rectified, _ = later(rectified)
        return classify(self.classifier, self.last_map(rectified))

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch-norm on the main path of each tapped stage."""
        stages = self.stage_modules()
        return [stages[number - 1].last_norm for number in self._tapped()]

    def trunk(self) -> list[nn.Module]:
        """The stem and the stages."""
        return [*self.stem_modules(), *self.stage_modules()]

    def _tapped(self) -> tuple[int, ...]:
        return self.tapped or tuple(range(1, len(self.stage_modules()) + 1))
