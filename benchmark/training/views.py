"""What one batch looks like to networks of different input sizes, and to the teacher: computed once, shared by all."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.training.lanes import ONE_LANE, Lanes
from benchmark.training.precision import autocast
from models import Features, FullFeatures, Network


class Teacher:
    """A frozen network and, where a method asks for it, its copy that normalises with batch statistics.

    Args:
        network: the trained teacher, on its device.
        precision: of its forward pass.
        lanes: which share its features.
    """

    def __init__(self, network: Network, precision: str, lanes: Lanes = ONE_LANE) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self._precision = precision
        self._lanes = lanes
        self._train_mode: Network | None = None

    def look(self, images: Tensor, *, train_mode: bool) -> SharedFeatures:
        """The teacher's features of a batch, at least float32 and outside any graph."""
        network = self._with_batch_statistics() if train_mode else self.network
        with torch.no_grad(), autocast(self._precision, images.device):
            features: Features = network(images)
        return SharedFeatures(features, self._lanes)

    def _with_batch_statistics(self) -> Network:
        if self._train_mode is None:
            self._train_mode = deepcopy(self.network).train()
            for module in self._train_mode.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None
        return self._train_mode


class SharedFeatures(FullFeatures):
    """A teacher's features: what methods derive from them is queued ahead of all lanes, once.

    Args:
        features: as recorded.
        lanes: which share them.
    """

    def __init__(self, features: Features, lanes: Lanes) -> None:
        super().__init__(features)
        self._lanes = lanes
        vectors = features.logits, features.embedding, features.map
        self._own = {id(tensor): tensor for tensor in (*vectors, *features.taps, *features.preacts)}

    def once(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """As of `Features`; what is no feature of this teacher's is worked on here and now."""
        if any(id(tensor) not in self._own for tensor in tensors):
            return function(*tensors)  # made on a lane, for which home does not wait
        with self._lanes.home():
            result = super().once(function, *tensors)
        self._own[id(result)] = result
        return result

    def anew(self) -> SharedFeatures:
        """The same recorded features with nothing derived from them."""
        return SharedFeatures(self._recorded, self._lanes)


class View:
    """One batch of images: at every input size asked for, and through the teacher's eyes.

    Args:
        images: ``(B, 3, S, S)``, normalised.
        teacher: None where no member has one.
        lanes: which share the view.
    """

    def __init__(self, images: Tensor, teacher: Teacher | None = None, lanes: Lanes = ONE_LANE) -> None:
        self._images = {images.shape[-1]: images}
        self._native = images
        self._teacher = teacher
        self._lanes = lanes
        self._features: dict[bool, SharedFeatures] = {}

    def anew(self) -> View:
        """The view of the same memory after other numbers came into it: nothing is derived from them yet."""
        view = View(self._native, self._teacher, self._lanes)
        view._features = {mode: features.anew() for mode, features in self._features.items()}
        return view

    def at(self, size: int) -> Tensor:
        """The images with sides of ``size`` pixels."""
        with self._lanes.home():
            if size not in self._images:
                self._images[size] = resize(self._native, size)
        return self._images[size]

    def teacher(self, *, train_mode: bool = False) -> Features:
        """The teacher's features of this batch."""
        if self._teacher is None:
            raise RuntimeError("this cohort has no teacher")
        if train_mode not in self._features:
            images = self.at(self._teacher.network.in_size)
            self._features[train_mode] = self._teacher.look(images, train_mode=train_mode)
        return self._features[train_mode]


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear resizing of ``(B, 3, S, S)`` to ``size`` pixels, the same tensor where they have it already."""
    if images.shape[-1] == size:
        return images
    resized = functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    return resized.contiguous(memory_format=torch.channels_last)
