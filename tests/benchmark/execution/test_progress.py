import io

import pytest
from rich.console import Console

from benchmark.execution import progress
from benchmark.execution.progress import Progress
from benchmark.planning.plan import Cohort, Plan
from tests.benchmark.hostile import ESCAPES, hidden


@pytest.fixture
def cohorts(job):
    """A teacher of 10 seconds, then two students of 30 together."""
    students = job("kd"), job("srrl")
    return Cohort((students[0].teacher,), 10.0), Cohort(students, 30.0)


@pytest.fixture
def show(cohorts):
    """Factory of a progress display and what it has printed."""

    def make(*, terminal=False):
        jobs = [job for cohort in cohorts for job in cohort.runs]
        states = {**{job.id: "missing" for job in jobs}, "other": "cached"}
        plan = Plan((), tuple(jobs), {}, {}, states, cohorts, (), ())
        output = io.StringIO()
        console = Console(file=output, force_terminal=terminal, width=120, highlight=False)
        return Progress(console, plan, 1), output

    return make


@pytest.fixture
def clock(monkeypatch):
    """Sets the time that progress sees."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def _epoch(epoch, epochs=10, best=None):
    return {"event": "epoch", "epoch": epoch, "epochs": epochs, "images_per_second": 1234.5, "best": best, "members": 1}


def test_plain_lines_where_there_is_no_terminal(show, cohorts, clock):
    shown, output = show()
    with shown:
        shown.started(0, cohorts[0])
        shown.epoch(0, _epoch(1))
        clock.now += progress.LINE_SECONDS
        shown.epoch(0, _epoch(5, best=93.756))
        shown.ended(cohorts[0].runs[0], "done", "top-1 95.00")
    counts = "0 done, 1 running, 0 failed, 1 cached, 2 waiting"
    assert output.getvalue().splitlines() == [
        "started no teacher -> wrn-40-4, seed 0, 1 run",
        f"{cohorts[0]}: epoch 5/10, 1,234 images/s, best top-1 93.76; {counts}, about 35 s left",
        "done none:wrn-40-4 student seed 0: top-1 95.00",
    ]


def test_time_left_follows_what_it_took(show, cohorts, clock):
    shown, _ = show()
    assert shown._time_left() == "about 40 s left"
    shown.started(0, cohorts[0])
    clock.now += 20
    shown.ended(cohorts[0].runs[0], "done", "")
    shown.idle(0)
    assert shown._time_left() == "about 60 s left"


def test_every_ending_is_counted_once(show, cohorts):
    shown, output = show()
    teacher, first, second = (job for cohort in cohorts for job in cohort.runs)
    shown.ended(teacher, "done", "")
    shown.started(0, cohorts[1])
    shown.ended(first, "failed", "diverged")
    shown.ended(second, "blocked", "teacher failed")
    assert shown._summary().startswith("1 done, 0 running, 1 failed, 1 cached, 0 waiting")
    assert "failed wrn-40-4:wrn-16-2 kd seed 0: diverged" in output.getvalue()


def test_live_table_in_a_terminal(show, cohorts):
    shown, output = show(terminal=True)
    with shown:
        shown.started(0, cohorts[0])
        assert "starting" in output.getvalue()
        shown.epoch(0, _epoch(3, best=50.0))
        shown.ended(cohorts[0].runs[0], "failed", "diverged")
        shown.idle(0)
    text = output.getvalue()
    for word in ("no teacher -> wrn-40-4", "3/10", "1,234", "50.00", "1 failed", "failed none:wrn-40-4"):
        assert word in text


def test_names_with_brackets_are_no_markup(show, cohorts):
    shown, output = show()
    shown.ended(cohorts[1].runs[0], "failed", "bad value [red] in [/]")
    assert "bad value [red] in [/]" in output.getvalue()


def test_other_kinds_of_jobs_are_told_by_their_names(show, kinds):
    shown, output = show()
    stage, probe = kinds()["stage"], kinds()["probe"]
    shown.started(0, Cohort((stage,), 1.0))
    shown.ended(stage, "done", "loss 0.10")
    shown.note("reading a data set")
    shown.ended(probe, "not_applicable", "channels differ")
    assert output.getvalue().splitlines() == [
        "started wrn-40-2 -> wrn-16-2, seed 0, 1 first stage",
        "done wrn-40-2:wrn-16-2 fsp, first stage, seed 0: loss 0.10",
        "reading a data set",
        "not_applicable wrn-40-2:wrn-16-2 fsp, probe on digits-for-stl10, seed 0: channels differ",
    ]
    assert shown._summary().startswith("1 done, 0 running, 0 failed")


def test_what_a_failure_says_is_one_line_on_which_nothing_acts(show, cohorts):
    shown, output = show()
    shown.ended(cohorts[1].runs[0], "failed", f"{ESCAPES}\nfailed nothing else")
    shown.note(f"{ESCAPES}\nand more")
    assert hidden(output.getvalue()) == []
    assert output.getvalue().count("\n") == 2
