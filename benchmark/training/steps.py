"""One batch through the teacher and all members: launched anew each time, or recorded once and replayed."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import torch

from benchmark.jobs import Job
from benchmark.training.lanes import Lanes
from benchmark.training.member import Member, Stopwatch
from benchmark.training.parts import TEACHER, part
from benchmark.training.views import Teacher, View
from methods import Batch

REHEARSALS = 3
"""Steps that a member makes before it is recorded: the first ones allocate what later ones find."""

Around = Callable[[Member], AbstractContextManager[Any]]
Step = Callable[[Batch, Sequence[Member]], None]


class EagerStep:
    """What the members share first, then each of them on its lane.

    Args:
        teacher: of all members, or None.
        lanes: where they are queued.
        guarded: the context of a job's own work, which ends that job alone where it fails.
    """

    def __init__(
        self, teacher: Teacher | None, lanes: Lanes, guarded: Callable[[Job], AbstractContextManager[None]]
    ) -> None:
        self._teacher = teacher
        self._lanes = lanes
        self._guarded = guarded

    def __call__(self, batch: Batch, members: Sequence[Member]) -> None:
        """One step of every member."""
        self.advance(batch, self.look(batch, members), members, self.guarded)

    def guarded(self, member: Member) -> AbstractContextManager[None]:
        """The context of a member's own work."""
        return self._guarded(member.job)

    def look(self, batch: Batch, members: Sequence[Member]) -> View:
        """The batch as members and teacher see it, the teacher's features ahead of all members."""
        view = View(batch.images, self._teacher, self._lanes)
        with part(TEACHER):  # here, so that no member is charged for it
            for train_mode in sorted({mode for member in members for mode in member.teacher_modes}):
                view.teacher(train_mode=train_mode)
        return view

    def advance(self, batch: Batch, view: View, members: Sequence[Member], around: Around) -> None:
        """One optimiser step of every member."""
        with self._lanes.opened(len(members)):
            for index, member in enumerate(members):
                with self._lanes.lane(index), around(member), Stopwatch(member):
                    member.step(batch, view)


class Recorder(Protocol):
    """Turns queued work into something that can be queued again at once."""

    def record(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Go through work that draws from these generators without doing it; returns what does it."""

    def waits(self) -> AbstractContextManager[list[str]]:
        """A context whose list says, after its end, what in it waited for the device."""

    def forget(self) -> None:
        """All that was recorded is dropped, or will be."""


class RecordingError(Exception):
    """A step could not be recorded. The attempt leaves the device's memory in a state that only a new process mends."""


class RecordedStep:
    """The step of a whole cohort, recorded once for every set of members and every size of batch.

    A step has no Python left in it when it is replayed: hundreds of launches become one. Members are rehearsed before;
    whoever waits for the device in its step is left out and says so, and is launched after the others.

    Args:
        step: what is recorded.
        recorder: of the device.
        say: told of what cannot be recorded.
    """

    def __init__(self, step: EagerStep, recorder: Recorder, say: Callable[[str], None]) -> None:
        self._step = step
        self._recorder = recorder
        self._say = say
        self._rehearsed = WeakKeyDictionary[Member, int]()
        self._left_out = WeakSet[Member]()
        self._members: tuple[Member, ...] = ()
        self._recordings: dict[torch.Size, Callable[[Batch], None]] = {}

    def __call__(self, batch: Batch, members: Sequence[Member]) -> None:
        """One step of every member, of which there is at least one.

        Raises:
            RecordingError: it cannot be recorded; this process should not go on.
        """
        if min(self._rehearsed.get(member, 0) for member in members) < REHEARSALS:
            self._rehearse(batch, members)
        else:
            if self._members != tuple(members):
                self._members, self._recordings = tuple(members), {}
                self._recorder.forget()
            if batch.images.shape not in self._recordings:
                self._recordings[batch.images.shape] = self._record(batch)
            self._recordings[batch.images.shape](batch)

    def _rehearse(self, batch: Batch, members: Sequence[Member]) -> None:
        for member in members:
            self._rehearsed[member] = self._rehearsed.get(member, 0) + 1
        self._step.advance(batch, self._step.look(batch, members), members, self._watched)

    @contextmanager
    def _watched(self, member: Member) -> Iterator[None]:
        if self._rehearsed[member] < REHEARSALS:  # what is allocated or copied at first may wait
            with self._step.guarded(member):
                yield
            return
        with self._recorder.waits() as waits, self._step.guarded(member):
            yield
        if waits and member not in self._left_out:
            self._left_out.add(member)
            self._say(f"{member.job} is launched step by step, not recorded, since it waits for the device: {waits[0]}")

    def _record(self, batch: Batch) -> Callable[[Batch], None]:
        held = batch.clone()
        recorded = [member for member in self._members if member not in self._left_out]
        rest = [member for member in self._members if member in self._left_out]
        views: list[View] = []

        def work() -> None:
            view = self._step.look(held, self._members)
            self._step.advance(held, view, recorded, lambda _: nullcontext())
            views[:] = [view] if rest else []  # they read its tensors after every replay

        def run(batch: Batch) -> None:
            held.copy_(batch)
            replay()
            if rest:
                self._step.advance(held, views[0].anew(), rest, self._step.guarded)

        try:
            replay = self._recorder.record(work, [member.generator for member in recorded])
        except Exception as error:
            cause: BaseException = error
            while cause.__context__ is not None:  # what came first says most
                cause = cause.__context__
            raise RecordingError(f"{type(cause).__name__}: {cause}".splitlines()[0]) from error
        return run


class CudaGraphs:
    """Records CUDA graphs that share their memory, since one is done before the next begins."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # the old one ends with the last graph that used it

    def record(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        gc.collect()  # what earlier members left would stay beside the graph
        # Only this thread records; one that pins memory for the next batches must not break it.
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*Graph is empty.*")
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        return graph.replay

    @contextmanager
    def waits(self) -> Iterator[list[str]]:
        found: list[str] = []
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mode itself is announced as a prototype
            torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)
        for warning in caught:
            if "synchroniz" in str(warning.message):
                found.append(" ".join(str(warning.message).split()))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
