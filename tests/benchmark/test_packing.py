"""Costs are whole seconds, so that sums are exact."""

from dataclasses import dataclass
from itertools import permutations, product
from random import Random

import pytest

from benchmark import packing
from benchmark.packing import EXACT_JOBS, pack
from benchmark.plan import Cohort
from benchmark.schedule import longest_chain_first, simulate
from tests.benchmark.made_up import Task


def task(name, own, shared=0, after=()):
    return Task(recipe=None, network=name, own=own, shared=shared, after=tuple(after))


def price(jobs):
    return sum(job.own for job in jobs) + max(job.shared for job in jobs)


def cost(cohort):
    return price(cohort.runs)


def longest_chain(cohorts):
    """Of jobs that each take their turn alone."""
    ends = {}
    for job in (job for each in cohorts for job in each.runs):
        ends[job] = max((ends[need] for need in job.needs), default=0) + price([job])
    return max(ends.values())


def cohort(*jobs):
    return Cohort(jobs, price(jobs))


def alike(name, count, own, shared=0, after=()):
    """A cohort of equal jobs."""
    return cohort(*(task(f"{name}{index}", own, shared, after) for index in range(count)))


def names(cohorts):
    return [[job.network for job in each.runs] for each in cohorts]


def executed(cohorts, slots):
    """The makespan, second by second: an idle process takes the first cohort whose needs are finished."""
    waiting, running, now = list(cohorts), [], 0
    todo = {job for each in cohorts for job in each.runs}
    while waiting or running:
        todo -= {job for end, each in running if end <= now for job in each.runs}
        running = [(end, each) for end, each in running if end > now]
        while len(running) < slots and (ready := [each for each in waiting if not todo & each.needs]):
            waiting.remove(ready[0])
            running.append((now + price(ready[0].runs), ready[0]))
        assert running or not waiting, "nobody can start"
        now = min((end for end, _ in running), default=now)
    return now


def splits(members):
    """All ways to split a cohort, by the part that each member is told to go to."""
    found = {}
    for labels in product(range(len(members)), repeat=len(members)):
        groups = [tuple(job for job, label in zip(members, labels, strict=True) if label == k) for k in set(labels)]
        found[frozenset(groups)] = [Cohort(group) for group in groups]
    return found.values()


def optimum(cohorts, slots):
    return min(
        executed(order, slots)
        for choice in product(*(splits(each.runs) for each in cohorts))
        for order in permutations(part for parts in choice for part in parts)
    )


def makespan(cohorts, slots):
    return simulate(cohorts, slots, price).makespan


def random_cohorts(random, sizes):
    """Cohorts in which some jobs need jobs of earlier cohorts."""
    cohorts = []
    for number, size in enumerate(sizes):
        before = [job for each in cohorts for job in each.runs]
        shared = random.choice([0, 1, 3, 9])
        jobs = []
        for index in range(size):
            after = random.sample(before, random.randint(0, 2)) if len(before) > 1 and random.random() < 0.6 else ()
            jobs.append(task(f"{number}.{index}", random.randint(1, 12), shared, after))
        cohorts.append(cohort(*jobs))
    return cohorts


@pytest.mark.parametrize("seed", range(20))
def test_the_simulation_does_what_the_executor_does(seed):
    random = Random(seed)
    cohorts = random_cohorts(random, [random.randint(1, 4) for _ in range(12)])
    random.shuffle(cohorts)
    for slots in (1, 2, 3, 20):
        assert makespan(cohorts, slots) == executed(cohorts, slots)


def test_of_nothing():
    assert pack([], 2, price) == ()


def test_on_one_process_nothing_is_split():
    root = task("root", 1)
    cohorts = [alike("big", 3, 2), cohort(root), alike("leaf", 2, 4, 0, [root])]
    assert names(pack(cohorts, 1, price)) == [["root"], ["leaf0", "leaf1"], ["big0", "big1", "big2"]]


class TestSmall:
    """Up to ``EXACT_JOBS`` jobs nothing is better."""

    @pytest.mark.parametrize("slots", [2, 3])
    @pytest.mark.parametrize("sizes", [(5,), (1, 4), (2, 3), (1, 2, 2), (1, 1, 3), (3, 1, 1), (1, 1, 1, 1, 1)])
    @pytest.mark.parametrize("seed", range(3))
    def test_is_the_best_there_is(self, seed, sizes, slots):
        cohorts = random_cohorts(Random(seed), sizes)
        assert makespan(pack(cohorts, slots, price), slots) == optimum(cohorts, slots)

    @pytest.mark.parametrize("seed", range(8))
    def test_and_the_local_search_finds_it_too(self, seed, monkeypatch):
        monkeypatch.setattr(packing, "EXACT_JOBS", 0)
        cohorts = random_cohorts(Random(seed), Random(seed).choice([(5,), (1, 4), (2, 3), (1, 2, 2)]))
        assert makespan(pack(cohorts, 2, price), 2) == optimum(cohorts, 2)

    def test_of_equally_early_ways_the_cheapest_is_taken(self):
        # The long one ends last anyway.
        found = pack([cohort(task("long", 50)), alike("a", 4, 5, 2)], 3, price)
        assert sorted(map(len, names(found))) == [1, 4]

    def test_six_jobs(self):
        found = pack([alike("a", EXACT_JOBS, 10, 5)], 3, price)
        assert sorted(map(len, names(found))) == [2, 2, 2]


@pytest.mark.parametrize("count", [4, 8])
class TestSplits:
    """With few jobs and with more than are looked at one by one."""

    def test_one_that_pays(self, count):
        found = pack([alike("a", count, 10, 2)], 2, price)
        assert [len(each.runs) for each in found] == [count // 2, count // 2]
        assert makespan(found, 2) == count // 2 * 10 + 2

    def test_one_that_the_repeated_teacher_makes_too_dear(self, count):
        cheap, dear = ([alike("a", count, 10, shared), alike("b", count // 2, 10, shared)] for shared in (1, count * 5))
        assert len(pack(cheap, 2, price)) == 3
        assert names(pack(dear, 2, price)) == names(dear)

    def test_none_where_all_are_busy(self, count):
        assert len(pack([alike("a", count, 10, 5), alike("b", count, 10, 5)], 2, price)) == 2

    def test_a_part_waits_only_for_what_its_members_need(self, count):
        stage = task("stage", 30)
        free = [task(f"a{index}", 10, 2) for index in range(count - 2)]
        cohorts = [cohort(stage), cohort(task("b", 10, 2, [stage]), *free)]
        found = pack(cohorts, 2, price)
        schedule = simulate(found, 2, price)
        [waiting] = [index for index, each in enumerate(found) if "b" in str(each.runs[0].network)]
        assert all(start < 30 for index, start in enumerate(schedule.starts) if index != waiting)
        assert found[waiting].needs == {stage}
        assert all(not each.needs for index, each in enumerate(found) if index != waiting)

    def test_who_waits_for_a_member_waits_only_for_its_part(self, count):
        members = [task(f"a{index}", 10, 1) for index in range(count)]
        look = task("look", 10 * count, 0, members[:1])
        found = pack([cohort(*members), cohort(look)], 2, price)
        assert ["a0"] in names(found)
        # Together with its teacher's share the member takes 11, then it is looked at.
        assert makespan(found, 2) == 11 + 10 * count


class TestLarge:
    def test_a_remainder_is_shared_out(self):
        """Nine cohorts on eight processes."""
        found = pack([alike(name, 8, 10, 1) for name in "abcdefghi"], 8, price)
        # 9 * 8 * 10 on 8 processes, and the teacher's share of each cohort and of some parts.
        assert makespan(found, 8) <= 93 < makespan([alike(name, 8, 10, 1) for name in "abcdefghi"], 8) == 162

    @pytest.mark.parametrize("slots", [2, 4, 8])
    @pytest.mark.parametrize("seed", range(3))
    def test_invariants(self, seed, slots):
        random = Random(100 + seed)
        cohorts = random_cohorts(random, [random.choice([1, 1, 2, 5, 9]) for _ in range(25)])
        found = pack(cohorts, slots, price)
        before, after = (makespan(each, slots) for each in (longest_chain_first(cohorts), found))
        assert max(sum(map(cost, cohorts)) / slots, longest_chain(cohorts)) <= after <= before
        assert executed(found, slots) == after
        members = [job for each in found for job in each.runs]
        assert len(members) == len({*members})
        assert {*members} == {job for each in cohorts for job in each.runs}
        home = {job: index for index, each in enumerate(cohorts) for job in each.runs}
        assert all(len({home[job] for job in each.runs}) == 1 for each in found)

    def test_the_same_again(self):
        first, second = (pack(random_cohorts(Random(7), [4] * 15), 5, price) for _ in range(2))
        assert names(first) == names(second)

    def test_enough_is_enough(self):
        cohorts = [alike(name, 8, 10, 1) for name in "abcdefghi"]
        best, good = (makespan(pack(cohorts, 8, price, enough=enough), 8) for enough in (0, 120))
        assert best < good <= 120


@dataclass(frozen=True, kw_only=True, eq=False)
class Moody(Task):
    """A job that asks for the teacher in some modes, each of which is paid for once a cohort."""

    modes: str = ""


def price_of_modes(jobs):
    return 1 + sum(job.own for job in jobs) + 8 * len({mode for job in jobs for mode in job.modes})


@pytest.mark.parametrize("exact", [True, False])
def test_who_shares_something_else_is_split_off(exact, monkeypatch):
    monkeypatch.setattr(packing, "EXACT_JOBS", 6 if exact else 0)
    jobs = tuple(Moody(recipe=None, network=f"{mode}{index}", own=5, modes=mode) for index in range(2) for mode in "ab")
    found = pack([Cohort(jobs)], 2, price_of_modes)
    assert sorted(map(sorted, names(found))) == [["a0", "a1"], ["b0", "b1"]]
    assert [each.seconds for each in found] == [19, 19]


def test_seconds_are_priced_anew():
    jobs = tuple(task(f"a{index}", 10, 4) for index in range(4))
    found = pack([Cohort(jobs, 88.0)], 2, price)
    assert [each.seconds for each in found] == [24, 24]
    [alone] = pack([Cohort(jobs)], 1, price)
    assert alone.seconds == 44
