"""Lines and tables as they are printed on a console of a fixed size."""

import io

import pytest
from rich.console import Console

from benchmark.execution import progress
from benchmark.execution.progress import Progress
from benchmark.planning.cohorts import Cohort
from benchmark.planning.plan import Plan
from tests.benchmark.hostile import ESCAPES, hidden

SIZE = {"epochs": 10}


@pytest.fixture
def cohorts(job):
    """A teacher of 10 seconds, then two students of 30 together; ten epochs each."""
    students = job("kd", **SIZE), job("srrl", **SIZE)
    return Cohort((students[0].teacher,), 10.0), Cohort(students, 30.0)


@pytest.fixture
def show(cohorts):
    """Factory of a progress display and a function that returns the lines printed since its last call.

    In a terminal these are the lines after the last table that was replaced, or all with ``last=False``.
    """

    def make(*, terminal=False, height=30, width=120, planned=cohorts):
        jobs = [job for cohort in planned for job in cohort.runs]
        states = {**{job.id: "missing" for job in jobs}, "other": "cached"}
        plan = Plan((), tuple(jobs), {}, {}, states, planned, (), ())
        output = io.StringIO()
        size = {"width": width, "height": height}
        console = Console(file=output, force_terminal=terminal, force_interactive=terminal, color_system=None, **size)

        def lines(*, last=True):
            text = output.getvalue()
            output.seek(0)
            output.truncate()
            # A live table replaces the one before: the last sequence that deletes a line of that is followed by it.
            return [line.rstrip() for line in (text.rpartition("\x1b[2K")[2] if last else text).splitlines()]

        return Progress(console, plan, 1), lines

    return make


@pytest.fixture
def clock(monkeypatch):
    """Sets the time that the progress display reads."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def _event(*runs, rate=1234.5):
    """An event about ``(job, epoch, loss, top1)``."""
    facts = {job.id: {"epoch": epoch, "loss": loss, "top1": top1} for job, epoch, loss, top1 in runs}
    return {"runs": facts, "images_per_second": rate}


def _columns(lines):
    """Lines of a table without the gaps between columns."""
    return [" ".join(line.split()) for line in lines]


def test_plain_lines_without_a_terminal(show, cohorts, clock):
    shown, lines = show()
    (teacher,), (kd, srrl) = cohorts[0].runs, cohorts[1].runs
    with shown:
        shown.started(0, cohorts[0])
        shown.epoch(0, _event((teacher, 1, 2.25, None)))
        clock.now += progress.LINE_SECONDS
        shown.epoch(0, _event((teacher, 5, 0.5, 93.756)))
        shown.ended(teacher, "done", "top-1 95.00")
        shown.idle(0)
        shown.started(0, cohorts[1])
        clock.now += progress.LINE_SECONDS
        shown.epoch(0, _event((kd, 1, 3.14159, None), (srrl, 1, 12.5, None)))
    first = "0 done, 1 running, 0 failed, 1 cached, 2 waiting, about 35 s left"
    second = "1 done, 2 running, 0 failed, 1 cached, 0 waiting, about 21 s left"
    assert lines() == [
        "started no teacher -> wrn-40-4, seed 0, 1 run",
        f"none:wrn-40-4 student seed 0: epoch 5/10, loss 0.5, top-1 93.76, 1,234 images/s; {first}",
        "done none:wrn-40-4 student seed 0: top-1 95.00",
        "started wrn-40-4 -> wrn-16-2, seed 0, 2 runs",
        f"wrn-40-4 -> wrn-16-2, seed 0, 2 runs: epoch 1/10, loss 3.142 to 12.5, 1,234 images/s; {second}",
    ]


@pytest.mark.usefixtures("clock")
def test_a_table_row_for_each_run(show, cohorts):
    shown, lines = show(terminal=True)
    kd, srrl = cohorts[1].runs
    with shown:
        shown.started(0, cohorts[1])
        shown.epoch(0, _event((kd, 3, 1.5, 50.0), (srrl, 3, 2.25, 49.5)))
        assert lines() == [
            "0 done, 2 running, 0 failed, 1 cached, 1 waiting, about 0 s left",
            "pair               method  seed  epoch  loss  top-1  images/s",
            "wrn-40-4:wrn-16-2  kd         0   3/10   1.5  50.00       617",
            "wrn-40-4:wrn-16-2  srrl       0   3/10  2.25  49.50       617",
        ]
        shown.ended(kd, "done", "top-1 50.00")
        assert _columns(lines()[2:]) == ["wrn-40-4:wrn-16-2 srrl 0 3/10 2.25 49.50 617"]


def test_large_cohorts_are_folded_where_the_terminal_is_low(show, cohorts, job):
    seven = Cohort(tuple(job(name, **SIZE) for name in ("kd", "at", "sp", "vid", "pkt", "rkd", "cc")), 30.0)
    shown, lines = show(terminal=True, height=8, planned=(*cohorts, seven))
    with shown:
        for slot, cohort in enumerate((*cohorts, seven)):
            shown.started(slot, cohort)
        shown.epoch(2, _event(*((run, 4, 0.5 + index, 60.0 + index) for index, run in enumerate(seven.runs))))
        table = lines()
    assert len(table) < 8
    assert _columns(table[2:]) == [
        "none:wrn-40-4 student 0 0/10",
        "wrn-40-4:wrn-16-2 kd 0 0/10",
        "wrn-40-4:wrn-16-2 srrl 0 0/10",
        "wrn-40-4:wrn-16-2 7 runs: kd, at, sp, vid, pkt, rkd, cc 0 4/10 0.5 to 6.5 60.00 to 66.00 1,234",
    ]


def test_names_are_shortened_before_numbers_where_the_terminal_is_narrow(show, cohorts):
    shown, lines = show(terminal=True, width=60)
    kd, srrl = cohorts[1].runs
    with shown:
        shown.started(0, cohorts[1])
        shown.epoch(0, _event((kd, 3, 1.5, 50.0), (srrl, 4, 22.25, 49.5), rate=1e6))
        table = lines()
    assert all(len(line) <= 60 for line in table)
    assert [line.split()[-5:] for line in table[-2:]] == [
        ["0", "3/10", "1.5", "50.00", "500,000"],
        ["0", "4/10", "22.25", "49.50", "500,000"],
    ]
    assert all(line.startswith("wrn-40-4:") for line in table[-2:])


@pytest.mark.parametrize("terminal", [False, True])
def test_resuming_says_after_which_epoch(show, cohorts, terminal):
    shown, lines = show(terminal=terminal)
    (teacher,), (kd, srrl) = cohorts[0].runs, cohorts[1].runs
    with shown:
        shown.started(0, cohorts[0])
        shown.started(1, cohorts[1])
        lines()
        shown.resumed(0, _event((teacher, 7, 0.5, 90.0)))
        shown.resumed(1, _event((kd, 2, 0.5, None), (srrl, 2, 0.75, None)))
        printed = lines(last=False)
    expected = [
        "none:wrn-40-4 student seed 0: resumed after epoch 7 of 10",
        "wrn-40-4 -> wrn-16-2, seed 0, 2 runs: resumed after epoch 2 of 10",
    ]
    assert [line.rpartition("\x1b[2K")[2] for line in printed if "resumed" in line] == expected
    if terminal:
        assert [line.split()[3] for line in printed[-3:]] == ["7/10", "2/10", "2/10"]
    else:
        assert printed == expected


def test_lines_that_stay_are_printed_above_the_live_table(show, cohorts):
    [teacher] = cohorts[0].runs
    shown, lines = show(terminal=True)
    with shown:
        shown.started(0, cohorts[0])
        lines()
        shown.note("reading a data set")
        assert lines()[0] == "reading a data set"
        shown.ended(teacher, "failed", "diverged")
        assert lines()[0] == "failed none:wrn-40-4 student seed 0: diverged"
        shown.stopping()
        assert lines() == ["stopping, checkpoints are kept; another Ctrl-C ends at once"]
    assert lines() == []


def test_time_left_follows_the_time_of_what_was_trained(show, cohorts, clock):
    shown, lines = show()
    (teacher,), students = cohorts[0].runs, cohorts[1].runs
    shown.started(0, cohorts[0])
    clock.now += 20
    shown.ended(teacher, "done", "")
    shown.started(0, cohorts[1])
    # 10 of 40 estimated seconds took 20 seconds; six of ten epochs of the rest were trained before.
    shown.resumed(0, _event(*((run, 6, 1.0, None) for run in students)))
    clock.now += progress.LINE_SECONDS
    shown.epoch(0, _event(*((run, 7, 1.0, None) for run in students)))
    assert lines()[-1].endswith("1 done, 2 running, 0 failed, 1 cached, 0 waiting, about 17 s left")


def test_every_ending_is_counted_once(show, cohorts, clock):
    shown, lines = show()
    (teacher,), (first, second) = cohorts[0].runs, cohorts[1].runs
    shown.ended(teacher, "done", "")
    shown.started(0, cohorts[1])
    shown.elsewhere(second)
    clock.now += progress.LINE_SECONDS
    shown.epoch(0, _event((first, 1, 1.0, None)))
    assert "1 done, 1 running, 0 failed, 1 cached, 1 waiting" in lines()[-1]
    shown.ended(first, "failed", "diverged")
    shown.ended(second, "blocked", "teacher failed")
    assert lines() == [
        "failed wrn-40-4:wrn-16-2 kd seed 0: diverged",
        "blocked wrn-40-4:wrn-16-2 srrl seed 0: teacher failed",
    ]


def test_jobs_without_epochs_and_of_other_kinds(show, kinds):
    made = kinds()
    shown, lines = show(terminal=True)
    with shown:
        for slot, kind in enumerate(("stage", "probe", "evaluate", "analyse")):
            shown.started(slot, Cohort((made[kind],), 1.0))
        rows = lines()[-4:]
    assert _columns(rows) == [
        "wrn-40-2:wrn-16-2 fsp, first stage 0 0/2",
        "wrn-40-2:wrn-16-2 fsp, probe on digits-for-stl10 0 0/6",
        "none:wrn-40-2 given 0",
        "wrn-40-2:wrn-16-2 fsp, similarity 0",
    ]


def test_what_a_failure_says_is_one_line_without_control_characters(show, cohorts):
    shown, lines = show()
    shown.ended(cohorts[1].runs[0], "failed", f"{ESCAPES}\nfailed nothing else")
    shown.note(f"{ESCAPES}\nand more")
    printed = lines()
    assert len(printed) == 2
    assert hidden("\n".join(printed)) == []
