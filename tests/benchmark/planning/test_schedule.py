"""Costs are whole seconds, so that sums are exact."""

from dataclasses import dataclass
from random import Random

import pytest

from benchmark.planning.cohorts import Cohort
from benchmark.planning.schedule import longest_chain_first, pack, simulate
from tests.benchmark.made_up import Task


def task(name, own, shared=0, after=()):
    return Task(recipe=None, network=name, own=own, shared=shared, after=tuple(after))


def estimated_seconds(jobs):
    return sum(job.own for job in jobs) + max(job.shared for job in jobs)


def longest_chain(cohorts):
    """Of jobs that each take their turn alone."""
    ends = {}
    for job in (job for each in cohorts for job in each.runs):
        ends[job] = max((ends[need] for need in job.needs), default=0) + estimated_seconds([job])
    return max(ends.values())


def cohort(*jobs):
    return Cohort(jobs, estimated_seconds(jobs))


def alike(name, count, own, shared=0, after=()):
    """A cohort of equal jobs."""
    return cohort(*(task(f"{name}{index}", own, shared, after) for index in range(count)))


def names(cohorts):
    return [[job.network for job in each.runs] for each in cohorts]


def sizes(cohorts):
    return sorted(len(each.runs) for each in cohorts)


def executed(cohorts, slots):
    """The makespan, second by second: an idle process takes the first cohort whose needs are finished."""
    waiting, running, now = list(cohorts), [], 0
    todo = {job for each in cohorts for job in each.runs}
    while waiting or running:
        todo -= {job for end, each in running if end <= now for job in each.runs}
        running = [(end, each) for end, each in running if end > now]
        while len(running) < slots and (ready := [each for each in waiting if not todo & each.needs]):
            waiting.remove(ready[0])
            running.append((now + estimated_seconds(ready[0].runs), ready[0]))
        assert running or not waiting, "nobody can start"
        now = min((end for end, _ in running), default=now)
    return now


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


class TestSimulation:
    @pytest.mark.parametrize("seed", range(20))
    def test_does_what_the_executor_does(self, seed):
        random = Random(seed)
        cohorts = random_cohorts(random, [random.randint(1, 4) for _ in range(12)])
        random.shuffle(cohorts)
        for slots in (1, 2, 3, 20):
            assert simulate(cohorts, slots).makespan == executed(cohorts, slots)

    def test_of_a_small_case(self):
        teacher = task("t", 4)
        cohorts = [cohort(task("s", 3, after=[teacher])), cohort(teacher), cohort(task("a", 3)), cohort(task("b", 5))]
        # The student stands first but waits; b takes the process that is free at 3.
        assert simulate(cohorts, 2).free == (8, 7)

    def test_does_not_wait_for_what_is_in_no_cohort(self):
        assert simulate([cohort(task("a", 4, after=[task("done", 50)]))], 2).makespan == 4


class TestOrder:
    def test_the_longest_chain_comes_first(self):
        root = task("r", 1)
        middle = task("m", 2, after=[root])
        cohorts = [
            alike("xyz", 4, 2),
            cohort(root),
            cohort(middle),
            alike("pq", 2, 3, after=[middle]),
            cohort(task("o", 7, after=[root])),
        ]
        # Chains of 8, 9, 8, 6 and 7 seconds.
        order = [each.runs[0].network for each in longest_chain_first(cohorts)]
        assert order == ["r", "xyz0", "m", "o", "pq0"]

    def test_equals_keep_their_order(self):
        assert names(longest_chain_first([cohort(task(name, 3)) for name in "bca"])) == [["b"], ["c"], ["a"]]


class TestWhole:
    """Nothing is split for nothing: each part makes the teacher's forward passes again."""

    def test_on_one_process(self):
        root = task("root", 1)
        cohorts = [alike("big", 3, 2), cohort(root), alike("leaf", 2, 4, 0, [root])]
        assert names(pack(cohorts, 1, estimated_seconds).cohorts) == [
            ["root"],
            ["leaf0", "leaf1"],
            ["big0", "big1", "big2"],
        ]

    @pytest.mark.parametrize("slots", [2, 3, 4])
    def test_where_no_process_would_be_idle(self, slots):
        cohorts = [alike(name, 6, 10, 5) for name in "abcdefghijkl"]
        assert pack(cohorts, slots, estimated_seconds).cohorts == tuple(cohorts)

    def test_where_the_repeated_teacher_takes_longer_than_the_idle_process_saves(self):
        dear, cheap = ([alike("a", 4, 10, shared), alike("b", 2, 10, shared)] for shared in (20, 1))
        assert names(pack(dear, 2, estimated_seconds).cohorts) == names(dear)
        assert len(pack(cheap, 2, estimated_seconds).cohorts) > 2

    def test_where_something_longer_ends_last_anyway(self):
        assert sizes(pack([cohort(task("long", 50)), alike("a", 4, 5, 2)], 3, estimated_seconds).cohorts) == [1, 4]


class TestSplits:
    @pytest.mark.parametrize("count", [4, 8])
    def test_two_processes_end_together(self, count):
        found = pack([alike("a", count, 10, 2)], 2, estimated_seconds)
        assert sizes(found.cohorts) == [count // 2, count // 2]
        assert found.free == (count // 2 * 10 + 2,) * 2

    def test_no_more_parts_than_processes(self):
        assert sizes(pack([alike("a", 6, 10, 5)], 3, estimated_seconds).cohorts) == [2, 2, 2]
        assert sizes(pack([alike("a", 3, 10, 5)], 9, estimated_seconds).cohorts) == [1, 1, 1]

    def test_long_and_short_members_are_shared_out_evenly(self):
        jobs = [task(f"a{own}", own, 2) for own in (30, 20, 10, 10, 5, 5)]
        assert pack([cohort(*jobs)], 2, estimated_seconds).free == (42, 42)

    def test_a_remainder_is_shared_out(self):
        """Nine cohorts on eight processes."""
        cohorts = [alike(name, 8, 10, 1) for name in "abcdefghi"]
        # 9 * 8 * 10 on 8 processes, and the teacher's share of each cohort and of some parts.
        assert pack(cohorts, 8, estimated_seconds).makespan <= 95 < simulate(cohorts, 8).makespan == 162

    def test_what_waits_for_a_part_waits_for_no_more(self):
        members = [task(f"a{index}", 10, 1) for index in range(6)]
        found = pack([cohort(*members), cohort(task("look", 60, after=members[:1]))], 2, estimated_seconds)
        assert found.makespan < 61 + 60

    def test_who_shares_something_else_is_split_off(self):
        """The teacher is asked for in two modes, each of which is paid for once a cohort."""
        jobs = [Moody(recipe=None, network=f"{mode}{index}", own=5, modes=mode) for index in range(2) for mode in "ab"]
        found = pack([Cohort(tuple(jobs))], 2, price_of_modes)
        assert sorted(map(sorted, names(found.cohorts))) == [["a0", "a1"], ["b0", "b1"]]
        assert [each.seconds for each in found.cohorts] == [19, 19]

    def test_members_that_take_no_time_make_no_parts(self):
        jobs = [task("a", 10), task("b", 10), *(task(f"vain{index}", 0) for index in range(4))]
        found = pack([cohort(*jobs)], 8, estimated_seconds)
        assert found.makespan == 10
        assert all(each.runs for each in found.cohorts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Moody(Task):
    """A job that asks for the teacher in some modes."""

    modes: str = ""


def price_of_modes(jobs):
    return 1 + sum(job.own for job in jobs) + 8 * len({mode for job in jobs for mode in job.modes})


@pytest.mark.parametrize("slots", [2, 4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_every_job_is_done_once_with_its_cohort_and_never_later_than_whole(seed, slots):
    random = Random(100 + seed)
    cohorts = random_cohorts(random, [random.choice([1, 1, 2, 5, 9]) for _ in range(25)])
    found = pack(cohorts, slots, estimated_seconds)
    work = sum(estimated_seconds(each.runs) for each in cohorts) / slots
    whole = simulate(longest_chain_first(cohorts), slots).makespan
    assert max(work, longest_chain(cohorts)) <= found.makespan <= whole
    assert executed(found.cohorts, slots) == found.makespan
    members = [job for each in found.cohorts for job in each.runs]
    assert len(members) == len({*members})
    assert {*members} == {job for each in cohorts for job in each.runs}
    home = {job: index for index, each in enumerate(cohorts) for job in each.runs}
    assert all(len({home[job] for job in each.runs}) == 1 for each in found.cohorts)


def test_the_same_again():
    first, second = (pack(random_cohorts(Random(7), [4] * 15), 5, estimated_seconds).cohorts for _ in range(2))
    assert names(first) == names(second)


def test_enough_is_enough():
    cohorts = [alike(name, 8, 10, 1) for name in "abcdefghi"]
    best, good = (pack(cohorts, 8, estimated_seconds, enough=enough).makespan for enough in (0, 120))
    assert best < good <= 120


def test_seconds_are_priced_anew():
    jobs = tuple(task(f"a{index}", 10, 4) for index in range(4))
    assert [each.seconds for each in pack([Cohort(jobs, 88.0)], 2, estimated_seconds).cohorts] == [24, 24]
    assert [each.seconds for each in pack([Cohort(jobs)], 1, estimated_seconds).cohorts] == [44]


def test_of_nothing():
    assert pack([], 2, estimated_seconds).cohorts == longest_chain_first([]) == ()
    assert simulate([], 2).makespan == 0
