"""Splits cohorts and puts them in order, so that on several processes the last one ends early.

Every part pays for the teacher's forward passes, so a split is worth it only where a process would have nothing to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from random import Random

from benchmark.plan import Cohort, Price
from benchmark.schedule import Numbered, Part, Parts, by_chain, chains, simulate_parts

EXACT_JOBS = 6
"""Up to so many jobs, all splits in all orders are looked at."""
EFFORT = 80_000
"""How long a search goes on, in simulated starts of a cohort: about a quarter of a second."""
_SIMULATION = 10  # effort besides those
_CLOSE = 1.0005  # times the lower bound, where there is nothing more to look for
_PIECES = 2  # to a process's fair share, where a search begins with everything split


def pack(
    cohorts: Sequence[Cohort], slots: int, price: Price, *, enough: float = 0.0, effort: int = EFFORT
) -> tuple[Cohort, ...]:
    """Split and order cohorts so that the last one ends early; the same input gives the same result.

    On one process nothing is split, and the longest chain comes first. Up to ``EXACT_JOBS`` jobs, no other splits and
    order end earlier. Beyond that, a local search begins with the longest chain first, and is never worse.

    Args:
        cohorts: what is to be done.
        slots: equal processes.
        price: also asked of a job beside itself, which tells what is shared.
        enough: seconds that need not be bettered.
        effort: of the local search; with more of it, the result is as good or better.
    """
    jobs = Numbered(cohorts)
    best = by_chain(jobs.parts(price))
    if slots > 1 and simulate_parts(best, slots).makespan > enough:
        search = _Search(jobs, slots, price)
        found = [replace(part, seconds=price(jobs.members(part))) for part in search.best(best, enough, effort)]
        best = min(best, found, key=search.worth)
    return tuple(Cohort(jobs.members(part), part.seconds) for part in best)


class _Search:
    """Looks for splits and an order.

    Args:
        jobs: of the cohorts.
        slots: processes.
        price: of a cohort.
    """

    def __init__(self, jobs: Numbered, slots: int, price: Price) -> None:
        self._jobs = jobs
        self._slots = slots
        self._price = price
        self._own = [price((job, job)) - price((job,)) for job in jobs.all]
        self._shared: dict[frozenset[int], float] = {}
        self._like = list(range(len(jobs.all)))
        for part in jobs.parts():
            firsts: list[int] = []
            for job in part.jobs:
                self._like[job] = next((first for first in firsts if self._share_all(first, job)), job)
                if self._like[job] == job:
                    firsts.append(job)

    def best(self, whole: Parts, enough: float, effort: int) -> Parts:
        """The best splits and order: of all for a few jobs, else found step by step from two beginnings."""
        whole = [self._part(part.cohort, part.jobs) for part in whole]
        if len(self._own) <= EXACT_JOBS:
            return self._exact(whole)
        enough = max(enough, self._bound(whole) * _CLOSE)
        piece = sum(self._own) / self._slots / _PIECES or 1.0
        fine = by_chain([cut for part in whole for cut in self._cut(part, piece)])
        found = min((self._climb(parts, self._busy, effort, enough) for parts in (whole, fine)), key=self.worth)
        # Busy processes may be so for nothing: undo the splits that do not make the last one end earlier.
        return self._climb(found, self.worth, effort) if len(found) > len(whole) else found

    def _bound(self, whole: Parts) -> float:
        """Nothing ends earlier than evenly busy processes, and than the longest chain of single jobs."""
        single = [self._part(part.cohort, [job]) for part in whole for job in part.jobs]
        return max([sum(part.seconds for part in whole) / self._slots, *chains(single)])

    def worth(self, parts: Parts) -> tuple[float, ...]:
        """The less the better: when the last part ends; what all take together; how many there are."""
        total = sum(part.seconds for part in parts)
        return round(simulate_parts(parts, self._slots).makespan, 6), round(total, 6), len(parts)

    def _busy(self, parts: Parts) -> tuple[float, ...]:
        return simulate_parts(parts, self._slots).free

    def _part(self, cohort: int, jobs: Sequence[int]) -> Part:
        shared = self._share(frozenset(self._like[job] for job in jobs))
        return self._jobs.part(cohort, jobs, sum(self._own[job] for job in jobs) + shared)

    def _share(self, jobs: frozenset[int]) -> float:
        """Seconds that a cohort of these jobs takes besides what is each one's own."""
        if jobs not in self._shared:
            price = self._price([self._jobs.all[job] for job in sorted(jobs)])
            self._shared[jobs] = price - sum(self._own[job] for job in jobs)
        return self._shared[jobs]

    def _share_all(self, one: int, other: int) -> bool:
        """Whether one pays for all that the other would share, and the reverse."""
        both = self._share(frozenset((one, other)))
        return all(math.isclose(both, self._share(frozenset((job,))), abs_tol=1e-6) for job in (one, other))

    def _cut(self, part: Part, seconds: float) -> list[Part]:
        """Pieces of about so many seconds, the longest jobs dealt out first."""
        count = min(len(part.jobs), max(1, round(sum(self._own[job] for job in part.jobs) / seconds)))
        pieces: list[list[int]] = [[] for _ in range(count)]
        for job in sorted(part.jobs, key=lambda job: -self._own[job]):
            min(pieces, key=lambda piece: sum(self._own[other] for other in piece)).append(job)
        return [self._part(part.cohort, piece) for piece in pieces]

    def _climb(
        self, parts: Parts, value: Callable[[Parts], tuple[float, ...]], effort: int, enough: float = 0.0
    ) -> Parts:
        """Take random steps, and keep those after which the value is no greater."""
        random = Random(0)  # noqa: S311
        best, least = parts, value(parts)
        while effort > 0 and least[0] > enough:
            step = self._step(best, random)
            effort -= _SIMULATION + len(step)
            if (new := value(step)) <= least:
                best, least = step, new
        return best

    def _step(self, parts: Parts, random: Random) -> list[Part]:
        """Take a part, or some of its members, to another place or into another part of its cohort."""
        others = list(parts)
        place = random.randrange(len(others))
        part = others.pop(place)
        moved = part.jobs if random.random() < 0.5 else random.sample(part.jobs, random.randint(1, len(part.jobs)))
        siblings = [index for index, other in enumerate(others) if other.cohort == part.cohort]
        if siblings and random.random() < 0.5:
            index = random.choice(siblings)
            others[index] = self._part(part.cohort, [*others[index].jobs, *moved])
        else:
            others.insert(random.randint(0, len(others)), self._part(part.cohort, moved))
        if left := [job for job in part.jobs if job not in moved]:
            others.insert(place, self._part(part.cohort, left))
        return others

    def _exact(self, whole: Parts) -> Parts:
        """The best of all orders of all splits."""
        best = whole
        for splits in product(*(_partitions(part.jobs) for part in whole)):
            parts = [self._part(part.cohort, jobs) for part, split in zip(whole, splits, strict=True) for jobs in split]
            if max(sum(part.seconds for part in parts) / self._slots, *chains(parts)) <= self.worth(best)[0]:
                best = min(best, *permutations(parts), key=self.worth)
        return best


def _partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """All ways to put items into groups."""
    if not items:
        yield []
        return
    for groups in _partitions(items[1:]):
        yield [[items[0]], *groups]
        for index, group in enumerate(groups):
            yield [*groups[:index], [items[0], *group], *groups[index + 1 :]]
