"""One batch through the teacher and all members: launched anew each time, or captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import accumulate
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import torch

from benchmark.runs.job import Job
from benchmark.training.capture import Device
from benchmark.training.failures import is_out_of_memory
from benchmark.training.isolation import SharedStateError
from benchmark.training.parts import TEACHER, part
from benchmark.training.randomness import seed_globally
from benchmark.training.shared import Shared
from benchmark.training.streams import Streams
from benchmark.training.teacher import View
from benchmark.training.trainable import Stopwatch, Trainable
from methods import Batch

WARMUP_STEPS = 3
"""Steps that a member makes before it is captured: the first ones allocate what later ones find."""
THOROUGH_STEPS = 3
"""Steps of every epoch after which all that members share is compared, and not only counted for writes."""
_MEMORY_SHARE = 0.9
"""Of a device's free memory, what streams side by side may take: allocators leave gaps."""

Around = Callable[[Trainable | None], AbstractContextManager[Any]]
"""The context of a member's own work, or of the teacher's for None."""


class Step(Protocol):
    """One step of every member."""

    def __call__(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        """Train one batch.

        Args:
            batch: of the stream.
            position: of the batch in its epoch, from 0.
            members: at least one.
        """


class EagerStep:
    """What the members share first, then each of them on its stream.

    Args:
        shared: what the members have in common.
        streams: where they are queued.
        guarded: the context of a job's own work, which ends that job alone where it fails.
    """

    def __init__(
        self, shared: Shared, streams: Streams, guarded: Callable[[Job], AbstractContextManager[None]]
    ) -> None:
        self.streams = streams
        self._shared = shared
        self._guarded = guarded

    def __call__(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        """One step of every member."""
        self.train(batch, position, members, self.guarded)

    def guarded(self, member: Trainable | None) -> AbstractContextManager[None]:
        """The context of a member's own work."""
        return self._guarded(member.job) if member else nullcontext()

    def train(
        self, batch: Batch, position: int, members: Sequence[Trainable], around: Around, seen: View | None = None
    ) -> None:
        """Train one batch; a member that changes what others share fails, and the others never see the change.

        Args:
            batch: stays as it is, since members are given a copy.
            position: of the batch in its epoch, from 0.
            members: whom to train.
            around: the context of a member's own work, and with None of the teacher's.
            seen: a view of the same batch, whose teacher's features serve again.
        """
        held, thoroughly = batch.clone(), position < THOROUGH_STEPS
        view = self.view(held, members, seen, thoroughly=thoroughly)
        with self._forked(view, members, around(None)):
            for index, member in enumerate(members):
                seed_globally("step", member.job.seed, member.epoch, position)
                with self.streams.stream(index):
                    with around(member), Stopwatch(member):
                        member.step(held, view)
                    fault = self._shared.fault_of_batch(view, held, batch, thoroughly=thoroughly)
                if fault is not None:
                    break
            else:
                return
        with self.guarded(member):
            raise SharedStateError(f"it changes {fault}, which other runs share")
        self.train(batch, position, members[index + 1 :], around)

    def advance(self, batch: Batch, view: View, members: Sequence[Trainable]) -> None:
        """One optimiser step of every member, and nothing else: what a graph captures."""
        with self._forked(view, members, nullcontext()):
            for index, member in enumerate(members):
                with self.streams.stream(index):
                    member.step(batch, view)

    def view(
        self, batch: Batch, members: Sequence[Trainable], seen: View | None = None, *, thoroughly: bool = False
    ) -> View:
        """The batch as members and teacher see it; the teacher's features are those of ``seen`` if it is given."""
        sizes = {member.network.in_size for member in members if member.network is not None}
        if self._shared.teacher is not None:
            sizes.add(self._shared.teacher.network.in_size)
        view = View(batch.images, self._shared.teacher, self.streams, sorted(sizes), seen, thoroughly=thoroughly)
        view.untouched.add("the batch's labels", batch.targets)
        view.untouched.add("the batch's indices", batch.indices)
        return view

    @contextmanager
    def _forked(self, view: View, members: Sequence[Trainable], around: AbstractContextManager[Any]) -> Iterator[None]:
        """Fork the streams, the teacher's forward pass beside them; students wait for it before their losses.

        On a CPU it is done first, so that no member is charged for it.
        """
        with self.streams.fork_join(len(members)):
            with part(TEACHER), around:
                for train_mode in sorted({mode for member in members for mode in member.teacher_modes}):
                    view.teacher(train_mode=train_mode)
            yield


class CaptureError(Exception):
    """A step could not be captured. The attempt leaves the device's memory in a state that only a new process mends."""


class DeviceStep:
    """The step of a whole cohort on a GPU: warmed up, then captured for every set of members and size of batch.

    Members warm up one after another on one stream. That tells how much memory each of them takes, and so how many
    streams fit side by side. A replayed step has no Python left in it: hundreds of launches become one. A member whose
    step a replay would not repeat is left out, and launched after the others.

    Args:
        step: of which this is made.
        device: that captures.
        say: told of members that are left out.
        capture: whether steps are captured; else they are launched on as many streams as fit.
    """

    def __init__(self, step: EagerStep, device: Device, say: Callable[[str], None], *, capture: bool = True) -> None:
        self._step = step
        self._device = device
        self._say = say
        self._captures = capture
        self._warm = WeakKeyDictionary[Trainable, Counter[torch.Size]]()
        self._bytes = WeakKeyDictionary[Trainable, dict[torch.Size, int]]()
        self._teacher_bytes: dict[torch.Size, int] = {}
        self._left_out = WeakSet[Trainable]()
        self._members: tuple[Trainable, ...] = ()
        self._graphs: dict[torch.Size, Callable[[Batch, int], None]] = {}
        step.streams.limit(1)

    def __call__(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        """One step of every member, of which there is at least one.

        Raises:
            CaptureError: it cannot be captured; this process should not go on.
            torch.OutOfMemoryError: it does not fit.
        """
        shape = batch.images.shape
        if not all(self._is_warm(member, shape) for member in members):
            self._warm_up(batch, position, members)
            return
        if self._members != tuple(members):
            self._forget_graphs()
            self._members = tuple(members)
            self._step.streams.limit(self._fitting_streams())
        if not self._captures or self._left_out.issuperset(members):
            self._step(batch, position, members)
            return
        if shape not in self._graphs:
            self._graphs[shape] = self._capture(batch)
        self._graphs[shape](batch, position)

    def _is_warm(self, member: Trainable, shape: torch.Size) -> bool:
        steps = self._warm.get(member, Counter())
        return steps.total() >= WARMUP_STEPS and shape in steps

    def _warm_up(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        self._forget_graphs()  # the limit is chosen anew, and their memory serves nothing else while they are kept
        for member in members:
            self._warm.setdefault(member, Counter())[batch.images.shape] += 1
        self._step.streams.limit(1)
        self._step.train(batch, position, members, partial(self._watched, batch.images.shape))

    def _forget_graphs(self) -> None:
        self._members, self._graphs = (), {}
        self._device.forget()

    @contextmanager
    def _watched(self, shape: torch.Size, member: Trainable | None) -> Iterator[None]:
        """Note the memory of a step; the latest of each size counts, since cuDNN tries algorithms in the first."""
        if member is None:
            with self._device.peak() as taken:
                yield
            [self._teacher_bytes[shape]] = taken
            return
        # What is allocated or copied at first may wait for the device.
        watch = self._warm[member].total() >= WARMUP_STEPS
        obstacles_in = self._device.obstacles() if watch else nullcontext(list[str]())
        with self._device.peak() as taken, obstacles_in as obstacles, self._step.guarded(member):
            yield
        [self._bytes.setdefault(member, {})[shape]] = taken
        if obstacles and member not in self._left_out:
            self._left_out.add(member)
            if self._captures:
                self._say(f"{member.job} is launched step by step, not captured: {obstacles[0]}")

    def _fitting_streams(self) -> int:
        """How many streams fit side by side; members that are left out come after the others, one at a time.

        Memory is left for the teacher's features and for gradients of captured members, of which a graph keeps its own.
        """
        taken = {member: max(self._bytes[member].values()) for member in self._members}
        captured = [member for member in self._members if self._captures and member not in self._left_out]
        beside = captured if self._captures else self._members
        apart = max((taken[member] for member in self._members if member not in beside), default=0)
        gradients = sum(member.gradient_bytes for member in captured)
        free = self._device.free_bytes() - max(self._teacher_bytes.values()) - apart - gradients
        return parallel_streams([taken[member] for member in beside], free)

    def _capture(self, batch: Batch) -> Callable[[Batch, int], None]:
        held = batch.clone()
        captured = [member for member in self._members if member not in self._left_out]
        rest = [member for member in self._members if member in self._left_out]
        views: list[View] = []

        def work() -> None:
            view = self._step.view(held, self._members)
            self._step.advance(held, view, captured)
            views[:] = [view] if rest else []  # they read its tensors after every replay

        def run(batch: Batch, position: int) -> None:
            held.copy_(batch)
            replay()
            if rest:
                self._step.train(batch, position, rest, self._step.guarded, views[0])

        try:
            replay = self._device.capture(work, [member.generator for member in captured])
        except Exception as error:
            cause: BaseException = error
            while cause.__context__ is not None:  # what came first says most
                cause = cause.__context__
            if is_out_of_memory(cause):
                raise torch.OutOfMemoryError(str(cause)) from error
            raise CaptureError(f"{type(cause).__name__}: {cause}".splitlines()[0]) from error
        return run


def parallel_streams(members: Sequence[int], free: int) -> int:
    """How many streams may work side by side, at least one.

    Members that share a stream work one after another and use the same memory, so streams take together no more than
    as many of the largest members.

    Args:
        members: bytes that each member takes while it works.
        free: bytes that there are.
    """
    largest_first = accumulate(sorted(members, reverse=True))
    return max(1, sum(taken <= _MEMORY_SHARE * free for taken in largest_first))
