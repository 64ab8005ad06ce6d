"""What one batch looks like to networks of different input sizes, and to the teacher: computed once, shared by all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.training.isolation import Frozen, Untouched
from benchmark.training.precision import autocast, cast_once
from benchmark.training.streams import ONE_STREAM, Streams
from models import Features, FullFeatures, Network
from models.features import full


class Teacher:
    """A frozen network and, where a method asks for it, its copy that normalises with batch statistics.

    Args:
        network: the trained teacher, on its device. Its ``resume`` computes in ``precision`` from now on.
        precision: of its forward pass.
        streams: which share its features.

    Attributes:
        network: as given, for methods to use.
        frozen: tells whether a method has changed it.
    """

    def __init__(self, network: Network, precision: str, streams: Streams = ONE_STREAM) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.frozen = Frozen(self.network)
        self._precision = precision
        self._streams = streams
        self._forward = cast_once(self.network, precision)
        self._train_mode: Network | None = None
        if self._forward is not self.network:
            self.network.resume = self._resume  # type: ignore[method-assign]

    def forward(self, images: Tensor, untouched: Untouched | None = None, *, train_mode: bool) -> SharedFeatures:
        """The teacher's features of a batch, at least float32 and outside any graph.

        Args:
            images: ``(B, 3, S, S)``, normalised.
            untouched: told of all features.
            train_mode: whether to normalise with the statistics of the batch.
        """
        network = self._with_batch_statistics() if train_mode else self._forward
        with torch.no_grad(), autocast(self._precision, images.device):
            features: Features = network(images)
        return SharedFeatures(features, self._streams, untouched or Untouched())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Undo what a method has done to the network.

        Args:
            state: its weights and statistics.
        """
        self.network.load_state_dict(state)
        self.frozen.repair()

    def _resume(self, stage: int, rectified: Tensor) -> Tensor:
        with autocast(self._precision, rectified.device):
            return full(self._forward.resume(stage, rectified))

    def _with_batch_statistics(self) -> Network:
        if self._train_mode is None:
            self._train_mode = deepcopy(self._forward).train()
            for module in self._train_mode.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None
        return self._train_mode


class SharedFeatures(FullFeatures):
    """A teacher's features: what methods derive from them is queued ahead of all streams, once.

    Args:
        features: as recorded.
        streams: which share them.
        untouched: told of the features and of what is derived.
    """

    def __init__(self, features: Features, streams: Streams, untouched: Untouched) -> None:
        super().__init__(features)
        self._streams = streams
        self._untouched = untouched
        vectors = features.logits, features.embedding, features.map
        tensors = (*vectors, *features.feats, *features.preacts)
        self._own = {id(tensor): tensor for tensor in tensors}
        untouched.add("the teacher's features", *tensors)

    def cached(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """As of `Features`; what is no feature of this teacher's is worked on here and now."""
        if any(id(tensor) not in self._own for tensor in tensors):
            return function(*tensors)  # made on a stream, for which home does not wait
        with self._streams.main_stream():
            result = super().cached(function, *tensors)
        if id(result) not in self._own:
            self._own[id(result)] = result
            self._untouched.add("what is derived from the teacher's features", result)
        return result

    def with_empty_cache(self, untouched: Untouched) -> SharedFeatures:
        """The same recorded features with nothing derived from them."""
        return SharedFeatures(self._recorded, self._streams, untouched)


class View:
    """One batch of images: at every input size asked for, and through the teacher's eyes.

    Args:
        images: ``(B, 3, S, S)``, normalised.
        teacher: None where no member has one.
        streams: which share the view.
        sizes: at which the images will be asked for, in pixels; made before the streams fork, nobody waits for them.
        thoroughly: whether ``untouched`` compares the contents of what is shared.
        seen: a view of the same images. The teacher's features are its own, with nothing derived from them yet, since
            its memory may have been overwritten.

    Attributes:
        untouched: tells whether what is shared was written into.
        features: those of the teacher that were asked for, by the mode it looked in.
    """

    def __init__(
        self,
        images: Tensor,
        teacher: Teacher | None = None,
        streams: Streams = ONE_STREAM,
        sizes: Iterable[int] = (),
        seen: View | None = None,
        *,
        thoroughly: bool = False,
    ) -> None:
        self.untouched = Untouched(thoroughly=thoroughly)
        self._native = images
        self._images: dict[int, Tensor] = {}
        self._teacher = teacher
        self._streams = streams
        self.features: dict[bool, SharedFeatures] = {}
        if seen is not None:
            self.features = {mode: each.with_empty_cache(self.untouched) for mode, each in seen.features.items()}
        for size in (images.shape[-1], *sizes):
            self._make(size)
        self._ready = frozenset(self._images)

    def at(self, size: int) -> Tensor:
        """The images with sides of ``size`` pixels."""
        if size not in self._ready:
            with self._streams.main_stream():
                self._make(size)
        return self._images[size]

    def teacher(self, *, train_mode: bool = False) -> Features:
        """The teacher's features of this batch; the current stream waits for them."""
        if self._teacher is None:
            raise RuntimeError("this cohort has no teacher")
        with self._streams.main_stream():
            if train_mode not in self.features:
                images = self.at(self._teacher.network.in_size)
                self.features[train_mode] = self._teacher.forward(images, self.untouched, train_mode=train_mode)
        return self.features[train_mode]

    def _make(self, size: int) -> None:
        if size not in self._images:
            self._images[size] = resize(self._native, size)
            self.untouched.add("the batch's images", self._images[size])


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear resizing of ``(B, 3, S, S)`` to ``size`` pixels, the same tensor where they have it already."""
    if images.shape[-1] == size:
        return images
    resized = functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)
