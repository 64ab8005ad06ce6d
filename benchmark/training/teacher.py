"""The frozen teacher, and the images and teacher features of one batch, computed once for all members of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from benchmark.training.cuda_streams import ONE_STREAM, Streams
from benchmark.training.isolation import NetworkSnapshot, WriteDetector
from benchmark.training.precision import autocast, cast_weights
from models import Features, FullFeatures, Network
from models.features import full, resize


class Teacher:
    """A frozen network and, for methods that ask for it, a copy that normalises with batch statistics.

    Args:
        network: the trained teacher, on its device. From now on its ``resume`` computes in ``precision``.
        precision: of the forward pass.
        streams: on which students use the features.

    Attributes:
        network: as given, for methods to use.
        snapshot: tells whether a method has changed the network.
    """

    def __init__(self, network: Network, precision: str, streams: Streams = ONE_STREAM) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.snapshot = NetworkSnapshot(self.network)
        self._precision = precision
        self._streams = streams
        self._cast_network = cast_weights(self.network, precision)
        self._train_mode_network: Network | None = None
        if self._cast_network is not self.network:
            self.network.resume = self._resume  # type: ignore[method-assign]

    def forward(self, images: Tensor, writes: WriteDetector | None = None, *, train_mode: bool) -> TeacherFeatures:
        """The teacher's features of a batch, in at least float32 and without a graph.

        Args:
            images: ``(B, 3, S, S)``, normalised.
            writes: watches all features.
            train_mode: normalise with batch statistics instead of running statistics.
        """
        network = self._with_batch_statistics() if train_mode else self._cast_network
        return TeacherFeatures(self._run(network, images), self._streams, writes or WriteDetector())

    def run(self, images: Tensor) -> Features:
        """The teacher's features of images of any size, in evaluation mode, for one student alone."""
        return self._run(self._cast_network, resize(images, self.network.in_size)).full()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Undo a method's changes to the network.

        Args:
            state: the network's state dict before the changes.
        """
        self.network.load_state_dict(state)
        self.snapshot.restore()

    def _run(self, network: Network, images: Tensor) -> Features:
        with torch.no_grad(), autocast(self._precision, images.device):
            features: Features = network(images)
        return features

    def _resume(self, stage: int, rectified: Tensor) -> Tensor:
        with autocast(self._precision, rectified.device):
            return full(self._cast_network.resume(stage, rectified))

    def _with_batch_statistics(self) -> Network:
        if self._train_mode_network is None:
            self._train_mode_network = deepcopy(self._cast_network).train()
            for module in self._train_mode_network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None
        return self._train_mode_network


class TeacherFeatures(FullFeatures):
    """A teacher's features whose cache is shared by all students: a cached tensor is computed once, on the main stream.

    Args:
        features: of one forward pass.
        streams: on which students use them.
        writes: watches the features and all cached tensors.
    """

    def __init__(self, features: Features, streams: Streams, writes: WriteDetector) -> None:
        super().__init__(features)
        self._streams = streams
        self._writes = writes
        vectors = features.logits, features.embedding, features.map
        tensors = (*vectors, *features.feats, *features.preacts)
        self._own = {id(tensor): tensor for tensor in tensors}
        writes.add("the teacher's features", *tensors)

    def cached(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """As `Features.cached`; arguments that are not derived from these features are not cached."""
        if any(id(tensor) not in self._own for tensor in tensors):
            return function(*tensors)  # made on a student's stream, for which the main stream does not wait
        with self._streams.main_stream():
            result = super().cached(function, *tensors)
        if id(result) not in self._own:
            self._own[id(result)] = result
            self._writes.add("a tensor cached from the teacher's features", result)
        return result

    def with_empty_cache(self, writes: WriteDetector) -> TeacherFeatures:
        """The same tensors with an empty cache, for use after a replay has overwritten them."""
        return TeacherFeatures(self._features, self._streams, writes)


WEAK, STRONG = 0, 1
"""Views of a batch's images."""


class SharedBatch:
    """What the members of a cohort share of one batch: its images at every input size, and the teacher's features.

    Args:
        views: the images ``(B, 3, S, S)``, normalised, and a second view of them where a member needs one.
        teacher: None where no member has one.
        streams: on which members use the batch.
        sizes: input sizes in pixels to prepare now, before the streams fork; others make the members wait.
        replayed: a batch of the same images whose teacher features are reused, with an empty cache, since a replay has
            overwritten their memory.
        compare_contents: whether ``writes`` compares contents.

    Attributes:
        writes: tells whether a member has written into one of the shared tensors.
        features: the teacher's features by mode, True for train mode, and view, as far as members have asked for them.
    """

    def __init__(
        self,
        views: Sequence[Tensor],
        teacher: Teacher | None = None,
        streams: Streams = ONE_STREAM,
        sizes: Iterable[int] = (),
        replayed: SharedBatch | None = None,
        *,
        compare_contents: bool = False,
    ) -> None:
        self.writes = WriteDetector(compare_contents=compare_contents)
        self._views = tuple(views)
        self._images: dict[tuple[int, int], Tensor] = {}
        self._teacher = teacher
        self._streams = streams
        self.features: dict[tuple[bool, int], TeacherFeatures] = {}
        if replayed is not None:
            self.features = {key: each.with_empty_cache(self.writes) for key, each in replayed.features.items()}
        for size in (views[WEAK].shape[-1], *sizes):
            for view in range(len(self._views)):
                self._resize(size, view)
        self._prepared = frozenset(self._images)

    def images(self, size: int, view: int = WEAK) -> Tensor:
        """The images ``(B, 3, size, size)``."""
        if (size, view) not in self._prepared:
            with self._streams.main_stream():
                self._resize(size, view)
        return self._images[size, view]

    def teacher(self, *, train_mode: bool = False, view: int = WEAK) -> Features:
        """The teacher's features of this batch, computed once per mode and view; the current stream waits for them."""
        assert self._teacher is not None
        with self._streams.main_stream():
            if (train_mode, view) not in self.features:
                images = self.images(self._teacher.network.in_size, view)
                self.features[train_mode, view] = self._teacher.forward(images, self.writes, train_mode=train_mode)
        return self.features[train_mode, view]

    def run_teacher(self, images: Tensor) -> Features:
        """The teacher's features of any images ``(B, 3, S, S)``; those of a view are computed once for all members."""
        for view, native in enumerate(self._views):
            if images is native:
                return self.teacher(view=view)
        if self._teacher is None:
            raise RuntimeError("this run has no teacher")
        return self._teacher.run(images)

    def _resize(self, size: int, view: int) -> None:
        if (size, view) not in self._images:
            self._images[size, view] = resize(self._views[view], size)
            self.writes.add("the batch's images", self._images[size, view])
