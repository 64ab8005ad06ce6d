"""When cohorts run: whenever a process is free, it takes the first cohort in order whose needs are finished."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from benchmark.jobs import Job
from benchmark.plan import Cohort, Price


@dataclass(frozen=True)
class Schedule:
    """When cohorts run, in seconds from now.

    Attributes:
        starts: of each cohort.
        ends: of each cohort.
        free: when each process has done all it does, the last one first.
    """

    starts: tuple[float, ...]
    ends: tuple[float, ...]
    free: tuple[float, ...]

    @property
    def makespan(self) -> float:
        """When the last cohort ends."""
        return self.free[0]


def simulate(cohorts: Sequence[Cohort], slots: int, price: Price | None = None) -> Schedule:
    """What the executor will do.

    Args:
        cohorts: in their order.
        slots: processes at a time.
        price: of a cohort's jobs; None for the seconds that the cohorts carry.
    """
    return simulate_parts(Numbered(cohorts).parts(price), slots)


def longest_chain_first(cohorts: Sequence[Cohort]) -> tuple[Cohort, ...]:
    """The cohorts, those first that begin the longest chain of cohorts that wait for each other."""
    return tuple(cohorts[part.cohort] for part in by_chain(Numbered(cohorts).parts()))


@dataclass(frozen=True)
class Part:
    """A cohort or a part of one; jobs are numbers, which are quicker to look up.

    Attributes:
        cohort: the number of the cohort.
        jobs: its members.
        seconds: what they take together.
        needs: jobs that must be finished before.
        awaited: the members that others need.
    """

    cohort: int
    jobs: tuple[int, ...]
    seconds: float
    needs: frozenset[int]
    awaited: tuple[int, ...]


Parts = Sequence[Part]


class Numbered:
    """The jobs of some cohorts, numbered; a need that is none of them is there already."""

    def __init__(self, cohorts: Sequence[Cohort]) -> None:
        self.all = [job for cohort in cohorts for job in cohort.runs]
        self._number = {job: index for index, job in enumerate(self.all)}
        self._needs = [{self._number[need] for need in job.needs if need in self._number} for job in self.all]
        self._awaited = {need for needs in self._needs for need in needs}
        self._cohorts = cohorts

    def part(self, cohort: int, jobs: Iterable[int], seconds: float) -> Part:
        """A part of a cohort with some of its members."""
        members = tuple(sorted(jobs))
        needs = frozenset(need for job in members for need in self._needs[job])
        return Part(cohort, members, seconds, needs, tuple(job for job in members if job in self._awaited))

    def parts(self, price: Price | None = None) -> list[Part]:
        """Every cohort as the one part of itself."""
        seconds = [price(cohort.runs) if price else cohort.seconds for cohort in self._cohorts]
        members = [[self._number[job] for job in cohort.runs] for cohort in self._cohorts]
        return [self.part(index, jobs, seconds[index]) for index, jobs in enumerate(members)]

    def members(self, part: Part) -> tuple[Job, ...]:
        """The jobs themselves."""
        return tuple(self.all[number] for number in part.jobs)


def _waits(parts: Parts) -> list[set[int]]:
    """For each part the positions of those that it waits for."""
    place = {job: index for index, part in enumerate(parts) for job in part.awaited}
    return [{place[need] for need in part.needs} for part in parts]


def _followers(waits: Sequence[set[int]]) -> list[list[int]]:
    after: list[list[int]] = [[] for _ in waits]
    for index, before in enumerate(waits):
        for place in before:
            after[place].append(index)
    return after


def chains(parts: Parts) -> list[float]:
    """For each part the seconds of the longest chain that begins with it."""
    after = _followers(_waits(parts))
    lengths: dict[int, float] = {}

    def length(index: int) -> float:
        if index not in lengths:
            lengths[index] = parts[index].seconds + max(map(length, after[index]), default=0.0)
        return lengths[index]

    return [length(index) for index in range(len(parts))]


def by_chain(parts: Parts) -> list[Part]:
    """The longest chain first; equals keep their order."""
    lengths = chains(parts)
    return [parts[index] for index in sorted(range(len(parts)), key=lambda index: -lengths[index])]


def simulate_parts(parts: Parts, slots: int) -> Schedule:
    """See ``simulate``."""
    waits = _waits(parts)
    after = _followers(waits)
    open_needs = [len(before) for before in waits]
    ready = [index for index, count in enumerate(open_needs) if not count]  # sorted, so a heap
    running: list[tuple[float, int, int]] = []
    idle, free, now = list(range(slots)), [0.0] * slots, 0.0
    starts, ends = [0.0] * len(parts), [0.0] * len(parts)
    while ready or running:
        while ready and idle:
            index, slot = heappop(ready), idle.pop()
            starts[index], ends[index] = now, now + parts[index].seconds
            heappush(running, (ends[index], index, slot))
        now = running[0][0]
        while running and running[0][0] == now:
            _, index, slot = heappop(running)
            idle.append(slot)
            free[slot] = now
            for place in after[index]:
                open_needs[place] -= 1
                if not open_needs[place]:
                    heappush(ready, place)
    return Schedule(tuple(starts), tuple(ends), tuple(sorted(free, reverse=True)))
