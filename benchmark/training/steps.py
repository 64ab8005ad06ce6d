"""One training step of all members of a cohort: eager, or captured as a CUDA graph and replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch

from benchmark.runs.job import Job
from benchmark.training.capture import CaptureDevice
from benchmark.training.cuda_streams import Streams
from benchmark.training.failures import is_out_of_memory
from benchmark.training.isolation import SharedStateError
from benchmark.training.randomness import seed_globally
from benchmark.training.shared_state import SharedState
from benchmark.training.teacher import SharedBatch
from benchmark.training.trainable import Trainable
from methods import Batch

WARMUP_STEPS = 3
"""Eager steps of a member before its step is captured: the first ones allocate memory that later ones reuse."""
CONTENT_CHECK_STEPS = 3
"""Steps at the beginning of every epoch after which shared tensors are compared, and not only checked for writes."""
_MEMORY_FRACTION = 0.9
"""Of a device's free memory, the fraction that parallel streams may take: allocators leave gaps."""

MemberContext = Callable[[Trainable | None], AbstractContextManager[Any]]
"""Makes the context in which a member's step runs, or for None the teacher's forward pass."""


Step = Callable[[Batch, int, Sequence[Trainable]], None]
"""Trains one batch of the stream, at a position of its epoch counted from 0, for at least one member."""


class EagerStep:
    """Computes what the members share, then runs the step of each member on its stream.

    Args:
        state: teacher and labels of the members.
        streams: where work is queued.
        guarded: makes the context of a job's work; a failure inside ends that job alone.
    """

    def __init__(
        self, state: SharedState, streams: Streams, guarded: Callable[[Job], AbstractContextManager[None]]
    ) -> None:
        self.streams = streams
        self._state = state
        self._guarded = guarded

    def __call__(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        """Train one batch."""
        self.train(batch, position, members, self.guarded)

    def guarded(self, member: Trainable | None) -> AbstractContextManager[None]:
        """A context in which a failure ends the member's job alone."""
        return self._guarded(member.job) if member else nullcontext()

    def train(
        self,
        batch: Batch,
        position: int,
        members: Sequence[Trainable],
        context: MemberContext,
        replayed: SharedBatch | None = None,
    ) -> None:
        """Train one batch. A member that changes shared state fails, and the others do not see the change.

        Args:
            batch: not changed, since members are given a copy.
            position: of the batch in its epoch, from 0.
            members: that train.
            context: of a member's step and of the teacher's forward pass.
            replayed: a batch of the same images whose teacher features are reused.
        """
        copy, compare = batch.clone(), position < CONTENT_CHECK_STEPS
        shared = self.shared_batch(copy, members, replayed, compare_contents=compare)
        with self._forked(shared, members, context(None)):
            for index, member in enumerate(members):
                seed_globally("step", member.job.seed, member.epoch, position)
                with self.streams.stream(index):
                    with context(member), member.timed():
                        member.step(copy, shared)
                    changed = self._state.check_step(shared, copy, batch, compare_contents=compare)
                if changed is not None:
                    break
            else:
                return
        with self.guarded(member):
            raise SharedStateError(f"it changes {changed}, which other runs share")
        self.train(batch, position, members[index + 1 :], context)

    def step_members(self, batch: Batch, shared: SharedBatch, members: Sequence[Trainable]) -> None:
        """Run one optimiser step of every member without guards or checks: the work that a graph captures."""
        with self._forked(shared, members, nullcontext()):
            for index, member in enumerate(members):
                with self.streams.stream(index):
                    member.step(batch, shared)

    def shared_batch(
        self,
        batch: Batch,
        members: Sequence[Trainable],
        replayed: SharedBatch | None = None,
        *,
        compare_contents: bool = False,
    ) -> SharedBatch:
        """The batch at the input sizes of members and teacher, with the teacher features of ``replayed`` if given."""
        sizes = {member.network.in_size for member in members if member.network is not None}
        teacher = self._state.teacher
        if teacher is not None:
            sizes.add(teacher.network.in_size)
        shared = SharedBatch(
            batch.views, teacher, self.streams, sorted(sizes), replayed, compare_contents=compare_contents
        )
        shared.writes.add("the batch's labels", batch.targets)
        shared.writes.add("the batch's indices", batch.indices)
        return shared

    @contextmanager
    def _forked(
        self, shared: SharedBatch, members: Sequence[Trainable], context: AbstractContextManager[Any]
    ) -> Iterator[None]:
        """Fork the streams and queue the teacher's forward pass beside them; students wait for it before their losses.

        On a CPU the teacher's forward pass comes first, so that its time counts for no member.
        """
        with self.streams.fork_join(len(members)):
            with context:
                for train_mode, view in sorted({each for member in members for each in member.teacher_passes}):
                    shared.teacher(train_mode=train_mode, view=view)
            yield


class CaptureError(Exception):
    """A step could not be captured. The device's memory is unusable afterwards: go on in a new process."""


class GraphStep:
    """The step of a cohort on a GPU: eager for some steps, then captured for every set of members and batch size.

    During warm-up the members run one after another on one stream, which measures the memory that each of them needs
    and so tells how many streams fit side by side. A replayed step runs no Python: hundreds of kernel launches become
    one. A member whose step cannot be replayed runs eagerly after the others.

    Args:
        step: the eager step.
        device: that captures.
        say: shows the user a message about members that are not captured.
        capture: whether to capture steps; otherwise all are eager, on as many streams as fit.
    """

    def __init__(
        self, step: EagerStep, device: CaptureDevice, say: Callable[[str], None], *, capture: bool = True
    ) -> None:
        self._step = step
        self._device = device
        self._say = say
        self._captures = capture
        self._warmup_steps = WeakKeyDictionary[Trainable, Counter[torch.Size]]()
        self._bytes = WeakKeyDictionary[Trainable, dict[torch.Size, int]]()
        self._teacher_bytes: dict[torch.Size, int] = {}
        self._not_capturable = WeakSet[Trainable]()
        self._members: tuple[Trainable, ...] = ()
        self._graphs: dict[torch.Size, Callable[[Batch, int], None]] = {}
        step.streams.limit(1)

    def __call__(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        """Train one batch.

        Raises:
            CaptureError: the step cannot be captured; this process should not go on.
            torch.OutOfMemoryError: the step does not fit into the device's memory.
        """
        shape = batch.images.shape
        if not all(self._is_warm(member, shape) for member in members):
            self._warm_up(batch, position, members)
            return
        if self._members != tuple(members):
            self._drop_graphs()
            self._members = tuple(members)
            self._step.streams.limit(self._fitting_streams())
        if not self._captures or self._not_capturable.issuperset(members):
            self._step(batch, position, members)
            return
        if shape not in self._graphs:
            self._graphs[shape] = self._capture(batch)
        self._graphs[shape](batch, position)

    def _is_warm(self, member: Trainable, shape: torch.Size) -> bool:
        steps = self._warmup_steps.get(member, Counter())
        return steps.total() >= WARMUP_STEPS and shape in steps

    def _warm_up(self, batch: Batch, position: int, members: Sequence[Trainable]) -> None:
        self._drop_graphs()  # the number of streams is chosen again, and nothing else can use their memory meanwhile
        for member in members:
            self._warmup_steps.setdefault(member, Counter())[batch.images.shape] += 1
        self._step.streams.limit(1)
        self._step.train(batch, position, members, partial(self._measured, batch.images.shape))

    def _drop_graphs(self) -> None:
        self._members, self._graphs = (), {}
        self._device.drop_graphs()

    @contextmanager
    def _measured(self, shape: torch.Size, member: Trainable | None) -> Iterator[None]:
        """Measure the memory of a step and, from the last warm-up step on, whether it can be replayed.

        The latest measurement of each batch size counts, since cuDNN tries algorithms in the first step.
        """
        if member is None:
            with self._device.peak_memory() as taken:
                yield
            [self._teacher_bytes[shape]] = taken
            return
        # The first steps allocate and copy, which may wait for the device.
        settled = self._warmup_steps[member].total() >= WARMUP_STEPS
        watched = self._device.replay_obstacles() if settled else nullcontext(list[str]())
        with self._device.peak_memory() as taken, watched as obstacles, self._step.guarded(member):
            yield
        [self._bytes.setdefault(member, {})[shape]] = taken
        if obstacles and member not in self._not_capturable:
            self._not_capturable.add(member)
            if self._captures:
                self._say(f"{member.job} runs eagerly, not as a CUDA graph: {obstacles[0]}")

    def _fitting_streams(self) -> int:
        """How many streams fit into the device's memory; members that are not captured run later, one at a time.

        Memory is reserved for the teacher's features and for the gradients of captured members, which graphs keep.
        """
        peaks = {member: max(self._bytes[member].values()) for member in self._members}
        captured = [member for member in self._members if self._captures and member not in self._not_capturable]
        parallel = captured if self._captures else self._members
        sequential = max((peaks[member] for member in self._members if member not in parallel), default=0)
        gradients = sum(member.gradient_bytes for member in captured)
        free = self._device.free_bytes() - max(self._teacher_bytes.values()) - sequential - gradients
        return max_parallel_streams([peaks[member] for member in parallel], free)

    def _capture(self, batch: Batch) -> Callable[[Batch, int], None]:
        """Capture the step for batches of this size; return a function that trains a batch with it."""
        static = batch.clone()  # the graph reads its inputs from this memory
        captured = [member for member in self._members if member not in self._not_capturable]
        eager = [member for member in self._members if member in self._not_capturable]
        kept: list[SharedBatch] = []

        def work() -> None:
            shared = self._step.shared_batch(static, self._members)
            self._step.step_members(static, shared, captured)
            kept[:] = [shared] if eager else []  # eager members read its tensors after every replay

        def run(batch: Batch, position: int) -> None:
            static.copy_(batch)
            replay()
            if eager:
                self._step.train(batch, position, eager, self._step.guarded, kept[0])

        try:
            replay = self._device.capture(work, [member.generator for member in captured])
        except Exception as error:
            cause: BaseException = error
            while cause.__context__ is not None:  # the first error says most
                cause = cause.__context__
            if is_out_of_memory(cause):
                raise torch.OutOfMemoryError(str(cause)) from error
            raise CaptureError(f"{type(cause).__name__}: {cause}".splitlines()[0]) from error
        return run


def max_parallel_streams(member_bytes: Sequence[int], free: int) -> int:
    """How many streams fit into the free memory, at least one.

    Members on one stream reuse the same memory, so ``n`` streams take at most the sum of the ``n`` largest members.

    Args:
        member_bytes: peak memory of each member's step.
        free: bytes that can be allocated.
    """
    largest_first = accumulate(sorted(member_bytes, reverse=True))
    return max(1, sum(taken <= _MEMORY_FRACTION * free for taken in largest_first))
