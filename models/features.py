"""What every network hands to a loss: its maps, recorded in one forward pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, overload

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Features:
    """The outcome of one forward pass over ``B`` images.

    Attributes:
        logits: ``(B, K)``, the classifier's output.
        embedding: ``(B, C)``, the spatial mean of ``map``; the paper's ``h``.
        map: ``(B, C, H, W)``, the last rectified map, the one that is pooled.
        feats: ``f_0 .. f_k``, each ``(B, c, h, w)``: stem output, then stage outputs.
        preacts: the same places before their activation, same length as ``feats``.
    """

    logits: Tensor
    embedding: Tensor
    map: Tensor
    feats: Sequence[Tensor]
    preacts: Sequence[Tensor]

    def full(self) -> Features:
        """The same features in at least float32: the precision in which losses are computed."""
        return FullFeatures(self)

    def cached(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """``function(*tensors)``, where that follows from these features alone.

        The trainer computes it once a batch: of a teacher's features, for all methods and students that ask for it.
        """
        return function(*tensors)


class FullFeatures(Features):
    """Features in at least float32, each raised when a loss asks for it: few look at all of them.

    Args:
        features: as recorded.
    """

    def __init__(self, features: Features) -> None:
        self._recorded = features
        self._known: dict[tuple[object, ...], tuple[Tensor, tuple[Tensor, ...]]] = {}

    def cached(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        key = function, *map(id, tensors)
        if key not in self._known:
            self._known[key] = function(*tensors), tensors  # an id means its tensor only while that is kept
        return self._known[key][0]

    @property
    def logits(self) -> Tensor:
        return self.cached(full, self._recorded.logits)

    @property
    def embedding(self) -> Tensor:
        return self.cached(full, self._recorded.embedding)

    @property
    def map(self) -> Tensor:
        return self.cached(full, self._recorded.map)

    @property
    def feats(self) -> Sequence[Tensor]:
        return _Maps(self, self._recorded.feats)

    @property
    def preacts(self) -> Sequence[Tensor]:
        return _Maps(self, self._recorded.preacts)


class _Maps(Sequence[Tensor]):
    """Recorded maps, raised one by one."""

    def __init__(self, features: Features, recorded: Sequence[Tensor]) -> None:
        self._features = features
        self._recorded = recorded

    def __len__(self) -> int:
        return len(self._recorded)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return tuple(self._features.cached(full, recorded) for recorded in self._recorded[index])
        return self._features.cached(full, self._recorded[index])


def full(tensor: Tensor) -> Tensor:
    """A tensor in at least float32."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


@dataclass(frozen=True)
class Shapes:
    """Shapes of a network's features without the batch axis; what a method builds its modules from.

    Attributes:
        name: registry name of the network.
        family: ``wrn``, ``resnet``, ``mobilenetv2`` ...
        feats: ``(channels, height, width)`` of every tap, ``f_0`` first.
        map: ``(channels, height, width)`` of the penultimate map.
        num_classes: width of the logits.
        rectifies_preacts: whether the layer after a stage takes the ReLU of the stage's pre-activation, not its tap.
    """

    name: str
    family: str
    feats: tuple[tuple[int, int, int], ...]
    map: tuple[int, int, int]
    num_classes: int
    rectifies_preacts: bool = False

    @property
    def embedding(self) -> int:
        """Width of the pooled penultimate vector."""
        return self.map[0]


class MissingPartError(NotImplementedError):
    """A network lacks a part that some methods need.

    Args:
        network: name of the network.
        part: what it lacks, as in ``trunk()``.
        reason: why it has none, if there is more to say.
    """

    def __init__(self, network: str, part: str, reason: str = "") -> None:
        super().__init__(f"{network} has no {part}{reason and f': {reason}'}")
        self.network = network
        self.part = part


# A regular expression, and what takes the place of its matches in a name.
Rename = tuple[str, str | Callable[[re.Match[str]], str]]


class Network(nn.Module):
    """Base of all networks. A family implements the methods below; ``models.create`` sets the attributes.

    ``forward`` alone is a must. Where one of the others is missing, a method that needs it is not applicable.

    Attributes:
        name: registry name.
        family: family name, the same for all sizes.
        in_size: side of the square input in pixels.
        num_classes: number of classes.
        classifier: the final Linear layer.
        rectifies_preacts: whether the layer after a stage takes the ReLU of the stage's pre-activation, not its tap.
        published_names: what turns the names of published weights into this network's, in this order; none if equal.
    """

    rectifies_preacts: ClassVar[bool] = False
    published_names: ClassVar[tuple[Rename, ...]] = ()

    family: str
    name: str
    in_size: int
    num_classes: int
    classifier: nn.Linear

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        raise NotImplementedError(f"{self.name} has no forward()")

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits ``(B, K)`` from the map that the layer after stage ``stage`` (1 to k) consumes.

        That is the tap, or its rectified pre-activation where the network ``rectifies_preacts``; after the last stage
        it is the penultimate map.

        Raises:
            MissingPartError: the family cannot do that.
        """
        del stage, rectified
        raise MissingPartError(self.name, "resume()")

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The batch-norms right before the stage feats ``f_1 .. f_k``; OFD takes its margins from them.

        Raises:
            MissingPartError: the family's feats do not come out of one batch-norm each.
        """
        raise MissingPartError(self.name, "preact_norms()")

    def trunk(self) -> list[nn.Module]:
        """The modules that first stages train: stem and stages, without final norm, head convolution or classifier.

        Raises:
            MissingPartError: the family does not say.
        """
        raise MissingPartError(self.name, "trunk()")

    def shapes(self) -> Shapes:
        """Shapes of this network's features, by one forward pass of zeros in evaluation mode."""
        training = self.training
        weight = self.classifier.weight
        self.eval()
        with torch.no_grad():
            features = self(torch.zeros(1, 3, self.in_size, self.in_size, device=weight.device, dtype=weight.dtype))
        self.train(training)
        feats = tuple((tap.shape[1], tap.shape[2], tap.shape[3]) for tap in features.feats)
        channels, height, width = features.map.shape[1:]
        penultimate = (channels, height, width)
        return Shapes(self.name, self.family, feats, penultimate, self.num_classes, self.rectifies_preacts)
