"""Networks that consist of a stem, stages and a classifier; collects their features for all such families."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from models.features import Features, Network
from models.layers import check_stage, classify, pooled


class Unit(nn.Module):
    """A building block of stages. Returns a map before its activation, which the stage applies."""

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The last batch-norm before the output, on the main path if there are several paths."""
        raise NotImplementedError


class Stage(nn.Sequential):
    """Units in a row, each followed by an activation."""

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The last batch-norm of the last unit."""
        return cast("Unit", self[-1]).last_norm

    def forward(self, rectified: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's output after and before its activation."""
        for unit in self:
            preact = unit(rectified)
            rectified = self.activate(preact)
        return rectified, preact

    def activate(self, preact: Tensor) -> Tensor:
        """The input of the next unit from the output of a unit."""
        return F.relu(preact)


class StagedNetwork(Network):
    """A network whose feats are the outputs of its stem and stages.

    Attributes:
        stem: computes ``f_0`` from the images.
        stages: of type `Stage`.
        feat_stages: numbers, from 1, of the stages whose outputs are feats, the last one included; empty for all.
    """

    stem: nn.Module
    stages: nn.ModuleList
    feat_stages: tuple[int, ...] = ()

    def stem_modules(self) -> list[nn.Module]:
        """The modules of the stem, in order."""
        return [self.stem]

    def stage_modules(self) -> list[Stage]:
        """The stages, in order."""
        return [cast("Stage", stage) for stage in self.stages]

    def last_map(self, feat: Tensor) -> Tensor:
        """The map that is pooled, from the last feat."""
        return feat

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        feat = images
        for module in self.stem_modules():
            feat = module(feat)
        feats, preacts = [feat], [feat]
        for number, stage in enumerate(self.stage_modules(), start=1):
            feat, preact = stage(feat)
            if number in self._feat_stages():
                feats.append(feat)
                preacts.append(preact)
        return pooled(self.classifier, self.last_map(feat), feats, preacts)

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits from feat ``stage``, or after the last stage from the last rectified map."""
        feat_stages = self._feat_stages()
        check_stage(stage, len(feat_stages))
        if stage == len(feat_stages):
            return classify(self.classifier, rectified)
        for later in self.stage_modules()[feat_stages[stage - 1] :]:
            rectified, _ = later(rectified)
        return classify(self.classifier, self.last_map(rectified))

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch-norm on the main path of each stage with a feat."""
        stages = self.stage_modules()
        return [stages[number - 1].last_norm for number in self._feat_stages()]

    def trunk(self) -> list[nn.Module]:
        """The stem and the stages."""
        return [*self.stem_modules(), *self.stage_modules()]

    def _feat_stages(self) -> tuple[int, ...]:
        return self.feat_stages or tuple(range(1, len(self.stage_modules()) + 1))
