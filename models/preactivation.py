"""Pre-activation residual networks, whose blocks begin with a batch-norm; collects features for all such families."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.features import Features, Network
from models.layers import pooled


class Block(nn.Module):
    """A residual block that normalises its input on the main path but not on the shortcut.

    Attributes:
        norm1: the first batch-norm.
    """

    norm1: nn.BatchNorm2d

    def forward(self, raw: Tensor) -> Tensor:
        """The residual sum, not normalised or rectified."""
        return self.finish(raw, self.norm1(raw))

    def finish(self, raw: Tensor, normed: Tensor) -> Tensor:
        """The residual sum from the block's input ``raw`` and its first batch-norm's output ``normed``."""
        raise NotImplementedError


class Group(nn.Module):
    """The blocks of one width."""

    def __init__(self, first: Block, *rest: Block) -> None:
        super().__init__()
        self.first = first
        self.rest = nn.Sequential(*rest)

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The raw output and the first norm's output, which is the preact of the previous group."""
        normed = self.first.norm1(raw)
        return self.finish(raw, normed), normed

    def finish(self, raw: Tensor, normed: Tensor) -> Tensor:
        """The raw output from the input ``raw`` and the first norm's output ``normed``."""
        total: Tensor = self.rest(self.first.finish(raw, normed))
        return total


class PreactivationNetwork(Network):
    """A stem, groups, a final batch-norm and ReLU, and the classifier.

    Feats ``f_1 .. f_k`` are the raw residual sums; their preacts are the outputs of the next batch-norm.

    Attributes:
        norm: the final batch-norm.
    """

    norm: nn.BatchNorm2d

    def stem_module(self) -> nn.Module:
        """Computes ``f_0`` from the images."""
        raise NotImplementedError

    def groups(self) -> list[Group]:
        """The groups, in order."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        raw = self.stem_module()(images)
        feats, preacts = [raw], [raw]
        first, *later = self.groups()
        raw, _ = first(raw)
        feats.append(raw)
        for group in later:
            raw, normed = group(raw)
            feats.append(raw)
            preacts.append(normed)
        preacts.append(self.norm(raw))
        return pooled(self.classifier, F.relu(preacts[-1]), feats, preacts)

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The batch-norms after the raw outputs of the groups."""
        return [*(group.first.norm1 for group in self.groups()[1:]), self.norm]

    def trunk(self) -> list[nn.Module]:
        """The stem and the groups."""
        return [self.stem_module(), *self.groups()]
