import pytest

from benchmark.planning.budget import choose
from benchmark.planning.planner import make_plan
from benchmark.planning.schedule import simulate
from benchmark.runs.store import FAILED
from benchmark.tables import reader

PAIR, SIBLING, OTHER = "wrn-40-2:wrn-16-2", "wrn-40-2:wrn-40-1", "vgg13:vgg8"
ELEVEN = ("11", ["student", "kd", "at"], [PAIR, SIBLING, OTHER])


def estimated_seconds(jobs):
    """A run alone takes 20 seconds, one under a teacher 10, and the teacher once 5."""
    return sum(10 if job.teacher_job else 20 for job in jobs) + 5 * any(job.teacher_job for job in jobs)


COLUMN, SECOND = 20 + 2 * 20 + 2 * 25, 2 * 20 + 2 * 20
"""One of Table 11 with two seeds: teacher, student, and a cohort a seed; with that teacher there, runs alone."""


@pytest.fixture
def plan(resolver, store):
    def make(*selections, seeds=(0, 1), kind="table"):
        chosen = [reader.load(number, kind).select(methods, pairs) for number, methods, pairs in selections]
        return make_plan(chosen, resolver(), seeds, store)

    return make


def jobs(choice):
    return [job for cohort in choice.cohorts for job in cohort.runs]


def missing(plan):
    return [job for cohort in plan.cohorts for job in cohort.runs]


def told(found):
    return [str(job) for job in found]


class TestColumns:
    def test_all_of_it_where_there_is_time(self, plan):
        made = plan(ELEVEN)
        choice = choose(made, 1, estimated_seconds, 2 * COLUMN + SECOND)
        assert {*jobs(choice)} == {*missing(made)}
        assert (choice.left, choice.fits, choice.seconds) == ((), True, 2 * COLUMN + SECOND)
        assert {*choice.columns} == {f"{pair} of Table 11" for pair in (PAIR, SIBLING, OTHER)}

    def test_what_is_reserved_is_left_free(self, plan):
        assert len(choose(plan(ELEVEN), 1, estimated_seconds, COLUMN + 10, reserve=10).columns) == 1
        assert not choose(plan(ELEVEN), 1, estimated_seconds, COLUMN + 10, reserve=11).columns

    @pytest.mark.parametrize(
        ("seconds", "pairs", "networks"),
        [(COLUMN, [PAIR], "wrn-40-2 wrn-16-2"), (COLUMN + SECOND, [PAIR, SIBLING], "wrn-40-2 wrn-16-2 wrn-40-1")],
    )
    def test_one_is_finished_before_the_next_which_has_the_same_teacher(self, seconds, pairs, networks, plan):
        choice = choose(plan(ELEVEN), 1, estimated_seconds, seconds)
        assert choice.columns == tuple(f"{pair} of Table 11" for pair in pairs)
        assert {job.network for job in jobs(choice)} == {*networks.split()}
        assert choice.seconds == seconds

    def test_the_nearly_finished_comes_first(self, plan, finish):
        last = [job for job in plan(ELEVEN).jobs if job.network in {"vgg13", "vgg8"}]
        for job in last[:-1]:
            finish(job)
        choice = choose(plan(ELEVEN), 1, estimated_seconds, 20)
        assert (jobs(choice), choice.columns) == (last[-1:], (f"{OTHER} of Table 11",))

    def test_tables_count_in_the_order_asked_for(self, plan):
        dear = ("12", ["student", "kd", "at", "sp"], ["vgg13:mobilenetv2-half"])
        for order in ([dear, ELEVEN], [ELEVEN, dear]):
            choice = choose(plan(*order), 1, estimated_seconds, 140)
            assert choice.columns[0].endswith(f"of Table {order[0][0]}")
        # What does not fit makes room for the next one.
        large = ("12", None, ["vgg13:mobilenetv2-half"])
        assert choose(plan(large, ELEVEN), 1, estimated_seconds, COLUMN).columns == (f"{PAIR} of Table 11",)

    def test_one_that_a_failure_leaves_open_is_not_counted(self, plan, finish):
        for job in plan(ELEVEN).jobs:
            if job.network == "vgg13":
                finish(job, FAILED, weights=None)
        choice = choose(plan(ELEVEN), 1, estimated_seconds, 10 * COLUMN)
        assert choice.left == ()
        assert "student" in {job.title for job in jobs(choice) if job.network == "vgg8"}
        assert choice.columns == (f"{PAIR} of Table 11", f"{SIBLING} of Table 11")

    def test_trials_belong_to_the_pair_that_they_decide(self, plan):
        pair = "wrn-40-4:wrn-16-2"
        choice = choose(plan(("6", ["srrl[tuned]"], [pair])), 1, estimated_seconds, 55)
        assert len(jobs(choice)) == 1 + 3
        assert [job.recipe.holdout > 0 for job in jobs(choice)] == [False, True, True, True]
        assert (choice.left, choice.columns) == ((), ())

    def test_a_figure_is_named(self, plan):
        [table] = plan(("2", None, None), kind="figure").tables
        choice = choose(plan(("2", None, None), kind="figure"), 1, estimated_seconds, 1e6)
        assert choice.columns == tuple(f"{pair} of Figure 2" for pair in table.pairs)


class TestScattered:
    def test_seed_by_seed(self, plan):
        choice = choose(plan(("11", ["student", "kd", "at"], [PAIR])), 1, estimated_seconds, COLUMN - 30)
        # Teacher and all of seed 0 take 65 seconds; of seed 1, the student does not fit into the other 15.
        assert {*told(choice.left)} == {"none:wrn-16-2 student seed 1", "wrn-40-2:wrn-16-2 at seed 1"}
        assert (choice.columns, choice.seconds) == ((), 80)

    def test_the_next_column_is_begun_with_its_first_seed(self, plan):
        choice = choose(plan(ELEVEN), 1, estimated_seconds, COLUMN + SECOND - 1)
        assert choice.columns == (f"{PAIR} of Table 11",)
        # All of seed 0 takes 40 of the 79 seconds; of seed 1, the student and one method fit.
        begun = [job for job in jobs(choice) if job.network == "wrn-40-1"]
        assert sorted((job.seed, job.title) for job in begun) == [
            (0, "at"),
            (0, "kd"),
            (0, "student"),
            (1, "kd"),
            (1, "student"),
        ]

    def test_single_cells_with_what_they_need(self, plan):
        choice = choose(plan(ELEVEN), 1, estimated_seconds, 60)
        assert told(jobs(choice)) == [
            "none:wrn-40-2 student seed 0",
            "none:wrn-16-2 student seed 0",
            "wrn-40-2:wrn-16-2 kd seed 0",
        ]


class TestNothingFits:
    def test_the_most_wanted_is_begun(self, plan):
        made = plan(ELEVEN)
        choice = choose(made, 1, estimated_seconds, 19)
        assert told(jobs(choice)) == ["none:wrn-40-2 student seed 0"]
        assert (choice.fits, choice.seconds, choice.columns) == (False, 20, ())
        assert len(choice.left) == len(missing(made)) - 1
        assert choice.lines[0] == (
            "time budget 19 s: too short for any job; 1 run will start, stop when the time is over, and resume "
            "with the next command (about 20 s in all)"
        )

    def test_on_every_process_something_that_can_begin(self, plan):
        choice = choose(plan(ELEVEN), 3, estimated_seconds, 19)
        assert len(choice.cohorts) == 3
        assert all(not job.needs for job in jobs(choice))
        assert jobs(choice)[0].network in {"wrn-40-2", "wrn-16-2"}


class TestProcesses:
    def test_a_cohort_is_split_to_fit(self, plan, finish):
        for job in plan(ELEVEN).jobs:
            if not job.teacher_job:
                finish(job)
        made = plan(("11", ["kd", "at", "sp", "cc"], [PAIR]), seeds=(0,))
        # Whole, the cohort takes 45 seconds.
        for seconds, columns in ((25, 1), (24, 0)):
            choice = choose(made, 2, estimated_seconds, seconds)
            assert len(choice.columns) == columns
            assert choice.seconds <= seconds

    @pytest.mark.parametrize("slots", [1, 2, 5])
    def test_invariants(self, slots, plan):
        made = plan(("6", None, ["wrn-40-4:*"]), ("2", ["kd", "srrl"], None))
        table = made.tables[0]
        for seconds in (20, 70, 180, 333, 700, 5000):
            choice = choose(made, slots, estimated_seconds, seconds)
            assert choice.seconds == simulate(choice.cohorts, slots).makespan <= seconds
            found = {*jobs(choice)}
            assert len(jobs(choice)) == len(found)
            assert found.isdisjoint(choice.left)
            assert found | {*choice.left} == {*missing(made)}
            assert all(need in found for job in found for need in job.needs)
            for pair in table.pairs:
                cells = [made.cells[cell.key] for cell in table.cells if cell.pair == pair]
                assert all(found.issuperset(cell) for cell in cells) == (f"{pair} of Table 6" in choice.columns)


class TestWords:
    def test_what_is_chosen_and_what_is_left(self, plan):
        choice = choose(plan(ELEVEN), 1, estimated_seconds, COLUMN + SECOND)
        assert choice.lines == (
            "time budget 3 min: 13 runs, about 3 min",
            f"complete columns afterwards: {PAIR} of Table 11, {SIBLING} of Table 11",
            "left: 7 runs, about 2 min; the same command continues",
        )

    def test_many_columns_are_counted(self, plan):
        choice = choose(plan(("11", ["kd"], None), seeds=(0,)), 1, estimated_seconds, 1e4)
        assert choice.lines[1].endswith(" and 3 more")
        assert len(choice.lines) == 2

    def test_nothing_to_do(self, plan, finish):
        for job in plan(ELEVEN).jobs:
            finish(job)
        choice = choose(plan(ELEVEN), 2, estimated_seconds, 1500)
        assert (choice.cohorts, choice.columns, choice.left, choice.seconds) == ((), (), (), 0)
        assert choice.lines == ("time budget 25 min: nothing to do, about 0 s",)
