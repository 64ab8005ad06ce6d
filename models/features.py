"""The features that every network returns from a forward pass, and the base class of networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, overload

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Features:
    """The output of one forward pass over ``B`` images.

    Attributes:
        logits: ``(B, K)``, the classifier's output.
        embedding: ``(B, C)``, the spatial mean of ``map``; ``h`` in the SRRL paper.
        map: ``(B, C, H, W)``, the last rectified map, which is pooled to the embedding.
        feats: feature maps ``f_0 .. f_k``, each ``(B, c, h, w)``: the stem's output, then the output of every stage.
        preacts: the feats before their activation, as many as ``feats`` and of the same shapes.
    """

    logits: Tensor
    embedding: Tensor
    map: Tensor
    feats: Sequence[Tensor]
    preacts: Sequence[Tensor]

    def full(self) -> Features:
        """The same features in at least float32, the precision in which losses are computed."""
        return FullFeatures(self)

    def cached(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """``function(*tensors)``, computed once per batch.

        Use it as ``teacher.cached(function, teacher.feats[-1])`` for a result that depends on the teacher alone: it is
        then shared by all methods and students of a cohort that call the same function on the same tensors.

        Args:
            function: a module-level function of tensors that returns a tensor and has no side effects.
            tensors: attributes of these features, or results of ``cached``. Other tensors are allowed; the result is
                then computed at every call.
        """
        return function(*tensors)


class FullFeatures(Features):
    """Features in at least float32; each is converted on first access, since most losses use few of them.

    ``dataclasses.replace`` makes plain `Features` of it.

    Args:
        features: in any precision.
    """

    def __new__(cls, *_features: object, **parts: Any) -> Any:
        """Features of these parts, as ``dataclasses.replace`` asks for; without parts a new instance."""
        return Features(**parts) if parts else super().__new__(cls)

    def __init__(self, features: Features) -> None:
        self._features = features
        self._cache: dict[tuple[object, ...], tuple[Tensor, tuple[Tensor, ...]]] = {}

    def cached(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        key = function, *map(id, tensors)
        if key not in self._cache:
            self._cache[key] = function(*tensors), tensors  # keeps the tensors alive, so that ids stay valid
        return self._cache[key][0]

    @property
    def logits(self) -> Tensor:
        return self.cached(full, self._features.logits)

    @property
    def embedding(self) -> Tensor:
        return self.cached(full, self._features.embedding)

    @property
    def map(self) -> Tensor:
        return self.cached(full, self._features.map)

    @property
    def feats(self) -> Sequence[Tensor]:
        return _Maps(self, self._features.feats)

    @property
    def preacts(self) -> Sequence[Tensor]:
        return _Maps(self, self._features.preacts)


class _Maps(Sequence[Tensor]):
    """Feature maps that are converted to at least float32 on access."""

    def __init__(self, features: Features, maps: Sequence[Tensor]) -> None:
        self._features = features
        self._maps = maps

    def __len__(self) -> int:
        return len(self._maps)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return tuple(self._features.cached(full, each) for each in self._maps[index])
        return self._features.cached(full, self._maps[index])


def resize(images: Tensor, size: int) -> Tensor:
    """Resize ``(B, 3, S, S)`` bilinearly to ``size`` pixels; images of that size are returned as they are."""
    if images.shape[-1] == size:
        return images
    resized = functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)


def full(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: half precision is converted, float64 stays."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


@dataclass(frozen=True)
class Shapes:
    """Shapes of a network's features without the batch axis, from which methods build their modules.

    Attributes:
        name: registry name of the network.
        family: ``wrn``, ``resnet``, ``mobilenetv2`` ...
        feats: ``(channels, height, width)`` of every feature map, ``f_0`` first.
        map: ``(channels, height, width)`` of the last rectified map.
        num_classes: number of logits.
        rectifies_preacts: whether the layer after a stage takes the ReLU of the stage's preact, not its feat.
    """

    name: str
    family: str
    feats: tuple[tuple[int, int, int], ...]
    map: tuple[int, int, int]
    num_classes: int
    rectifies_preacts: bool = False

    @property
    def embedding(self) -> int:
        """Number of channels of the embedding."""
        return self.map[0]


class MissingPartError(NotImplementedError):
    """A network lacks an optional part that a method uses.

    Args:
        network: name of the network.
        part: as in ``trunk()``.
        reason: why the network lacks it.
    """

    def __init__(self, network: str, part: str, reason: str = "") -> None:
        super().__init__(f"{network} has no {part}{reason and f': {reason}'}")
        self.network = network
        self.part = part


# A regular expression and the replacement of its matches in a parameter's name.
Rename = tuple[str, str | Callable[[re.Match[str]], str]]


class Network(nn.Module):
    """Base class of all networks. Only ``forward`` is required.

    A method that uses one of the optional parts (``resume``, ``preact_norms``, ``trunk``) is not applicable to networks
    that lack it. ``models.create`` sets ``name``, ``in_size``, ``num_classes`` and ``width``.

    Attributes:
        name: registry name.
        family: family name, the same for all sizes.
        in_size: height and width of the input in pixels.
        num_classes: number of classes.
        width: factor on the numbers of channels.
        classifier: the final Linear layer.
        rectifies_preacts: whether the layer after a stage takes the ReLU of the stage's preact, not its feat.
        published_names: regular expressions that rename published weights to this network's, applied in order.
        wrapping: what `models.rewrap` builds around a plain network to make this one, as JSON; None if it is plain.
    """

    rectifies_preacts: ClassVar[bool] = False
    published_names: ClassVar[tuple[Rename, ...]] = ()
    wrapping: Mapping[str, Any] | None = None

    family: str
    name: str
    in_size: int
    num_classes: int
    width: float
    classifier: nn.Linear

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network."""
        raise NotImplementedError(f"{self.name} has no forward()")

    def resume(self, stage: int, rectified: Tensor) -> Tensor:
        """Logits ``(B, K)`` from the input of the layer after a stage. Optional; SRRL uses it at inner layers.

        Args:
            stage: 1 to k.
            rectified: the stage's feat, or the ReLU of its preact if the network ``rectifies_preacts``; after the last
                stage, ``Features.map``.

        Raises:
            MissingPartError: the network does not define it.
            ValueError: there is no such stage.
        """
        del stage, rectified
        raise MissingPartError(self.name, "resume()")

    def preact_norms(self) -> list[nn.BatchNorm2d]:
        """The batch-norms whose outputs are the preacts of ``f_1 .. f_k``. Optional; OFD derives its margins from them.

        Raises:
            MissingPartError: a preact is not the output of one batch-norm.
        """
        raise MissingPartError(self.name, "preact_norms()")

    def trunk(self) -> list[nn.Module]:
        """Stem and stages, without final norm, head and classifier. Optional; pretraining stages train these modules.

        Raises:
            MissingPartError: the network does not define it.
        """
        raise MissingPartError(self.name, "trunk()")

    def shapes(self) -> Shapes:
        """Shapes of this network's features, measured by a forward pass of zeros in evaluation mode."""
        training = self.training
        weight = self.classifier.weight
        self.eval()
        with torch.no_grad():
            features = self(torch.zeros(1, 3, self.in_size, self.in_size, device=weight.device, dtype=weight.dtype))
        self.train(training)
        feats = tuple((feat.shape[1], feat.shape[2], feat.shape[3]) for feat in features.feats)
        channels, height, width = features.map.shape[1:]
        last = (channels, height, width)
        return Shapes(self.name, self.family, feats, last, self.num_classes, self.rectifies_preacts)
