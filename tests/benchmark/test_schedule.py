import pytest

from benchmark.plan import Cohort
from benchmark.schedule import longest_chain_first, simulate
from tests.benchmark.made_up import Task


def cohort(names, seconds, *needs):
    """A cohort whose jobs all need what the cohorts that are named after it do."""
    after = tuple(job for need in needs for job in need.runs)
    return Cohort(tuple(Task(recipe=None, network=name, after=after) for name in names), seconds)


def names(cohorts):
    return ["".join(job.network for job in each.runs) for each in cohorts]


class TestSimulation:
    def test_times_of_a_small_case(self):
        teacher = cohort("t", 4)
        schedule = simulate([cohort("s", 3, teacher), teacher, cohort("a", 3), cohort("b", 5)], 2)
        # The student stands first but waits; b takes the process that is free at 3.
        assert schedule.starts == (4, 0, 0, 3)
        assert schedule.ends == (7, 4, 3, 8)
        assert (schedule.free, schedule.makespan) == ((8, 7), 8)

    def test_who_is_first_in_order_goes_first_once_ready(self):
        first, second = cohort("a", 2), cohort("b", 2)
        last = cohort("c", 1, first, second)
        assert simulate([last, cohort("d", 9), first, second, cohort("e", 1)], 2).starts == (4, 0, 0, 2, 5)

    @pytest.mark.parametrize(("slots", "makespan"), [(1, 12), (2, 7), (3, 5), (9, 5)])
    def test_more_processes(self, slots, makespan):
        assert (
            simulate([cohort("a", 3), cohort("b", 4), cohort("c", 5)][:: -1 if slots > 1 else 1], slots).makespan
            == makespan
        )

    def test_a_price_stands_for_the_seconds_of_the_cohorts(self):
        cohorts = [cohort("abc", 100)]
        assert simulate(cohorts, 1).makespan == 100
        assert simulate(cohorts, 1, len).makespan == 3

    def test_what_is_none_of_the_cohorts_is_not_waited_for(self):
        assert simulate([cohort("a", 4, cohort("done", 50))], 2).starts == (0,)

    def test_of_nothing(self):
        assert simulate([], 2).makespan == 0
        assert longest_chain_first([]) == ()


class TestOrder:
    def test_the_longest_chain_comes_first(self):
        root = cohort("r", 1)
        middle = cohort("m", 2, root)
        cohorts = [cohort("xyz", 8), root, middle, cohort("pq", 6, middle), cohort("o", 7, root)]
        # Chains of 8, 9, 8, 6 and 7 seconds.
        assert names(longest_chain_first(cohorts)) == ["r", "xyz", "m", "o", "pq"]

    def test_equals_keep_their_order(self):
        assert names(longest_chain_first([cohort(name, 3) for name in "bca"])) == ["b", "c", "a"]
