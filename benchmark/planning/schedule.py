"""The order of cohorts: the longest chain first; a cohort is split only where a process would be idle.

Every part of a split cohort repeats the teacher's forward passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from heapq import heappop, heappush
from itertools import chain

from benchmark.planning.cohorts import Cohort, Price
from benchmark.runs.job import Job

_TRIES = 4  # longest cohorts that are tried for a split before the search ends
_WORTHWHILE = 0.999  # a split is kept if the last cohort then ends before this fraction of the time without it


@dataclass(frozen=True)
class Schedule:
    """Cohorts in their order, and the seconds from now after which each process is free, the latest first."""

    cohorts: tuple[Cohort, ...]
    free: tuple[float, ...]

    @property
    def makespan(self) -> float:
        """Seconds until the last cohort ends."""
        return self.free[0]


def simulate(cohorts: Sequence[Cohort], slots: int) -> Schedule:
    """Simulate the executor: each of ``slots`` processes takes the first cohort whose needs are finished."""
    after = _followers(cohorts)
    waits = Counter(chain.from_iterable(after))
    ready = [index for index in range(len(cohorts)) if not waits[index]]  # sorted, so a heap
    running: list[tuple[float, int, int]] = []
    vacant, free, now = list(range(slots)), [0.0] * slots, 0.0
    while ready or running:
        while ready and vacant:
            index, slot = heappop(ready), vacant.pop()
            heappush(running, (now + cohorts[index].seconds, index, slot))
        now = running[0][0]
        while running and running[0][0] == now:
            _, index, slot = heappop(running)
            vacant.append(slot)
            free[slot] = now
            for place in after[index]:
                waits[place] -= 1
                if not waits[place]:
                    heappush(ready, place)
    return Schedule(tuple(cohorts), tuple(sorted(free, reverse=True)))


def longest_chain_first(cohorts: Sequence[Cohort]) -> tuple[Cohort, ...]:
    """Sort cohorts by the length of the chain of cohorts that wait for them, longest first; ties keep their order."""
    after = _followers(cohorts)

    @cache
    def length(index: int) -> float:
        return cohorts[index].seconds + max(map(length, after[index]), default=0.0)

    return tuple(cohorts[index] for index in sorted(range(len(cohorts)), key=lambda index: -length(index)))


def pack(cohorts: Sequence[Cohort], slots: int, estimated_seconds: Price, *, enough: float = 0.0) -> Schedule:
    """Order cohorts for ``slots`` equal processes and split some of them so that the last one ends earlier.

    Deterministic. The search ends at a makespan of ``enough`` seconds.
    """
    whole = [replace(cohort, seconds=estimated_seconds(cohort.runs)) for cohort in cohorts]
    parts, best = [[cohort] for cohort in whole], simulate(longest_chain_first(whole), slots)
    found: Schedule | None = best
    while found and best.makespan > enough:
        parts, found = next(_better(parts, found, slots, estimated_seconds), (parts, None))
        if found and found.makespan < _WORTHWHILE * best.makespan:
            best = found
    return best


def _better(
    parts: list[list[Cohort]], schedule: Schedule, slots: int, estimated_seconds: Price
) -> Iterator[tuple[list[list[Cohort]], Schedule]]:
    """Split one of the longest cohorts further where processes are free earlier that way."""
    cohort_of = {part.ids[0]: index for index, each in enumerate(parts) for part in each}
    longest = sorted((part for part in schedule.cohorts if len(part.runs) > 1), key=lambda part: -part.seconds)
    for index in [*dict.fromkeys(cohort_of[part.ids[0]] for part in longest)][:_TRIES]:
        jobs = [job for part in parts[index] for job in part.runs]
        for count in range(len(parts[index]) + 1, min(len(parts[index]) + slots, len(jobs)) + 1):
            changed = [*parts[:index], _dealt(jobs, count, estimated_seconds), *parts[index + 1 :]]
            found = simulate(longest_chain_first([*chain.from_iterable(changed)]), slots)
            if found.free < schedule.free:
                yield changed, found


def _dealt(jobs: Sequence[Job], count: int, estimated_seconds: Price) -> list[Cohort]:
    """Deal a cohort's jobs into ``count`` parts: the longest job first, each to the part that stays shortest."""
    piles: list[list[Job]] = [[] for _ in range(count)]
    for job in sorted(jobs, key=lambda job: -estimated_seconds([job])):
        min(piles, key=lambda pile: estimated_seconds([*pile, job])).append(job)
    return [Cohort(tuple(pile), estimated_seconds(pile)) for pile in piles if pile]


def _followers(cohorts: Sequence[Cohort]) -> list[list[int]]:
    """For each cohort the positions of the cohorts that wait for it; needs outside all cohorts are done already."""
    place = {job_id: index for index, cohort in enumerate(cohorts) for job_id in cohort.ids}
    after: list[list[int]] = [[] for _ in cohorts]
    for index, cohort in enumerate(cohorts):
        for before in {place[need.id] for need in cohort.needs if need.id in place}:
            after[before].append(index)
    return after
