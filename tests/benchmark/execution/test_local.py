"""Worker processes of the local executor, and the jobs of those that die."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.execution import local
from benchmark.execution.worker import DEVICE_LOST, NOT_CAPTURED, OUT_OF_MEMORY
from benchmark.planning.cohorts import Cohort
from benchmark.runs.store import Store
from tests.benchmark.execution.conftest import kill, process
from tests.benchmark.execution.scripted import KILLED, SILENT
from tests.benchmark.made_up import parts

DIED = "its process died (signal 9), perhaps because memory ran out"


def test_killed_worker_costs_no_run(make_executor, recorder, make_job, store, train_here, outcome, tmp_path, pause):
    jobs = [make_job(lr) for lr in (0.05, 0.04, 0.03)]
    # The third one runs in a process of its own, which starts with a damaged checkpoint.
    damaged = store.checkpoint_path(jobs[2])
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged")
    pause.write_text("student epoch 4/")

    def kill_once(slot, event):
        if event["runs"].keys() == {jobs[0].id, jobs[1].id} and event["runs"][jobs[0].id]["epoch"] == 3:
            recorder.then.pop("epoch")
            kill(slot)
            pause.unlink()

    recorder.then["epoch"] = kill_once
    with pytest.warns(UserWarning, match="seed0-.*is damaged: the run starts again"):
        result = make_executor(workers=2).run([Cohort(tuple(jobs[:2])), Cohort((jobs[2],))])
    assert "epoch" not in recorder.then
    assert result.done == {job.id for job in jobs}
    assert not result.failed
    undisturbed = Store(tmp_path / "other", tmp_path / "other")
    train_here(undisturbed, *jobs)
    for job in jobs:
        assert outcome(store, job) == outcome(undisturbed, job)
    resumed = {job_id: run["epoch"] for _, event in recorder.named("resumed") for job_id, run in event["runs"].items()}
    assert resumed.keys() == {job.id for job in jobs[:2]}
    assert {*resumed.values()} <= {2, 3}  # the process may die before it has written the checkpoint of epoch 3
    logs = [store.log_path(job).read_text(encoding="utf-8") for job in jobs]
    assert ["resumed after epoch" in log for log in logs] == [True, True, False]
    assert all(log.count("done: ") == 1 for log in logs)


def test_epochs_are_reported_with_loss_and_last_test(make_executor, recorder, make_job, store):
    jobs = make_job(0.05), make_job(0.04)
    jobs = tuple(replace(job, recipe=replace(job.recipe, evaluate_every=4)) for job in jobs)
    make_executor().run([Cohort(jobs)])
    events = [event for _, event in recorder.named("epoch")]
    assert all(event["images_per_second"] > 0 for event in events)
    for job in jobs:
        curves = json.loads(store.record_path(job).read_text(encoding="utf-8"))["curves"]
        reported = [event["runs"][job.id] for event in events]
        assert [run["epoch"] for run in reported] == [1, 2, 3, 4, 5, 6]
        assert [run["loss"] for run in reported] == list(map(sum, zip(*curves["parts"].values(), strict=True)))
        fourth, last = curves["test"]["top1"]
        assert [run["top1"] for run in reported] == [None, None, None, fourth, fourth, last]
    assert not recorder.named("resumed")


def test_run_that_always_kills_its_process_fails_alone(make_executor, recorder, make_job, store):
    good, bad = make_job(0.05), make_job(0.04)
    result = make_executor(faults={bad.id: KILLED}).run([Cohort((good, bad))])
    assert result.done == {good.id}
    assert result.failed == {bad: DIED}
    assert recorder.endings()[bad.id] == ("failed", DIED)
    assert store.read(bad).reason == DIED
    assert DIED in store.log_path(bad).read_text(encoding="utf-8")


def test_students_of_a_failed_teacher_are_blocked(make_executor, recorder, make_job):
    student = make_job(method="kd", teacher="wrn-16-2")
    executor = make_executor(faults={student.teacher.id: KILLED})
    result = executor.run([Cohort((student.teacher,)), Cohort((student,))])
    assert list(result.failed) == [student.teacher]
    assert result.blocked == [student]
    assert recorder.endings()[student.id] == ("blocked", "it needs none:wrn-16-2 student seed 0")
    assert (student,) not in recorder.cohorts()


@pytest.fixture
def chain(small, make_job):
    """A teacher, a first stage, two runs of which one needs the stage, and measurements of both runs."""
    ab, _ = runs = tuple(make_job(method=method, teacher="wrn-16-2") for method in ("ab", "kd"))
    probes = [small.probe("PROBE-CIFAR100", run) for run in runs]
    analyses = [small.analysis("similarity", run, TeacherChoice("C100", "wrn-16-2")) for run in runs]
    cohorts = [Cohort(jobs) for jobs in ((ab.teacher,), ab.stages, runs, tuple(probes), tuple(analyses))]
    lost, kept = ([run, probe, analysis] for run, probe, analysis in zip(runs, probes, analyses, strict=True))
    return SimpleNamespace(teacher=ab.teacher, stage=ab.stages[0], lost=lost, kept=kept, cohorts=cohorts)


@pytest.mark.parametrize("status", ["failed", "not_applicable", "elsewhere"])
def test_job_without_a_result_blocks_its_dependents_and_nothing_else(status, make_executor, recorder, chain, store):
    ended, early = set(), []
    recorder.then["ended"] = lambda job, *_: ended.add(job)
    recorder.then["started"] = lambda _, cohort: early.extend(cohort.needs - ended)
    if status == "elsewhere":
        store.write(chain.stage, "not_applicable", {}, failure={"reason": "unequal channels"})
    result = make_executor(faults={chain.stage.id: status}).run(chain.cohorts[::-1])
    assert not early
    failed = {chain.stage} if status == "failed" else set()
    assert result.failed == dict.fromkeys(failed, "as scripted")
    assert result.done == {job.id for job in {chain.teacher, chain.stage, *chain.kept} - failed}
    assert set(result.blocked) == set(chain.lost)
    assert len(result.blocked) == len(chain.lost)
    endings, (run, *further) = recorder.endings(), chain.lost
    assert endings[run.id] == ("blocked", f"it needs {chain.stage}")
    assert [endings[job.id] for job in further] == [("blocked", f"it needs {run}")] * 2
    assert not {*chain.lost} & {job for runs in recorder.cohorts() for job in runs}


def test_workers_may_start_processes(make_executor, recorder, make_job):
    daemons = []
    recorder.then["started"] = lambda slot, _: daemons.append(process(slot).daemon)
    make_executor(faults={}).run([Cohort((make_job(),))])
    assert daemons == [False]


def test_worker_that_dies_with_an_unread_task(make_executor, recorder, make_job):
    jobs, frozen = (make_job(0.05), make_job(0.04)), []

    def freeze_then_kill(slot, _):
        if not frozen:
            frozen.append(process(slot))
            os.kill(frozen[0].pid, signal.SIGSTOP)  # the task that is sent now is not read
        elif slot == 1:
            frozen[0].kill()

    recorder.then["started"] = freeze_then_kill
    result = make_executor(workers=2, faults={}).run([Cohort((job,)) for job in jobs])
    assert result.done == {job.id for job in jobs}
    assert recorder.cohorts().count((jobs[0],)) == 2


def test_jobs_of_other_processes_are_awaited_or_taken_over(make_executor, recorder, make_job, store):
    theirs, left = make_job(0.05), make_job(0.04)
    locks = [store.claim(job) for job in (theirs, left)]

    def other_process_ends(_slot):
        recorder.then.pop("idle")
        store.write(theirs, "done", {}, **parts(theirs.kind))
        for lock in locks:
            lock.release()

    recorder.then["idle"] = other_process_ends
    result = make_executor(faults={}).run([Cohort((theirs, left))])
    assert result.done == {theirs.id, left.id}
    assert recorder.named("elsewhere") == [(theirs,), (left,)]
    assert recorder.endings() == {theirs.id: ("done", "by another process"), left.id: ("done", "as scripted")}
    assert recorder.cohorts() == [(theirs, left), (left,)]


def test_old_failure_of_a_job_that_is_retried_elsewhere_does_not_count(make_executor, recorder, make_job, store):
    job, other = make_job(0.05), make_job(0.04)
    store.write(job, "failed", {}, failure={"reason": "long ago"})
    lock, calls = store.claim(job), []

    def other_process_ends(*_):
        calls.append(dict(recorder.endings()))
        store.write(job, "done", {}, **parts(job.kind))
        lock.release()

    # The second cohort ends after the executor has looked at the claimed job at least once.
    recorder.then["ended"] = lambda ended, *_: ended == other and other_process_ends()
    result = make_executor(retry=True, faults={}).run([Cohort((job,)), Cohort((other,))])
    assert job.id not in calls[0]
    assert not result.failed
    assert result.done == {job.id, other.id}


@pytest.mark.parametrize("replaced", [False, True])
def test_record_that_another_process_was_to_replace(replaced, make_executor, recorder, make_job, store):
    job = make_job()
    store.write(job, "done", {"processor": "elsewhere"}, **parts(job.kind))
    executor = make_executor(replaced={job.id: store.read(job).provenance}, faults={job.id: "elsewhere"})
    if replaced:
        store.write(job, "done", {"processor": "here"}, **parts(job.kind))
    recorder.then["started"] = lambda *_: len(recorder.cohorts()) < 2 or os.kill(os.getpid(), signal.SIGINT)
    if replaced:
        assert executor.run([Cohort((job,))]).done == {job.id}
    else:  # the other process left it as it was, so it is started again
        with pytest.raises(KeyboardInterrupt):
            executor.run([Cohort((job,))])
        assert recorder.cohorts() == [(job,), (job,)]


def test_a_job_that_breaks_its_process_keeps_its_earlier_record(make_executor, make_job, store):
    job = make_job()
    store.write(job, "done", {"processor": "elsewhere"}, **parts(job.kind))
    before = store.record_path(job).read_bytes()
    executor = make_executor(replaced={job.id: store.read(job).provenance}, faults={job.id: KILLED})
    reason = f"{DIED}; its earlier record stays"
    assert executor.run([Cohort((job,))]).failed == {job: reason}
    assert reason in store.log_path(job).read_text(encoding="utf-8")
    assert store.record_path(job).read_bytes() == before


def test_a_cohort_that_cannot_be_captured_continues_in_halves_until_one_job_is_alone(make_executor, recorder, make_job):
    first, bad, last = jobs = tuple(make_job(lr) for lr in (0.05, 0.04, 0.03))
    result = make_executor(faults={bad.id: NOT_CAPTURED}).run([Cohort(jobs)])
    assert result.done == {job.id for job in jobs}
    assert recorder.cohorts() == [jobs, (first, bad), (first,), (bad,), (bad,), (last,)]
    assert recorder.named("note") == [(f"{bad} trains without a CUDA graph, since it cannot be captured: too much",)]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (OUT_OF_MEMORY, "it does not fit into memory, even alone: too much"),
        (DEVICE_LOST, "its device failed: too much"),
    ],
)
def test_a_cohort_that_loses_its_process_continues_in_halves_until_one_job_is_alone(
    event, reason, make_executor, recorder, make_job
):
    first, bad, last = jobs = tuple(make_job(lr) for lr in (0.05, 0.04, 0.03))
    result = make_executor(faults={bad.id: event}).run([Cohort(jobs)])
    assert recorder.cohorts() == [jobs, (first, bad), (first,), (bad,), (last,)]
    assert result.done == {first.id, last.id}
    assert result.failed == {bad: reason}


def test_crashes_count_only_without_a_new_checkpoint_between_them(make_executor, recorder, make_job, store):
    job = make_job()
    path = store.checkpoint_path(job)
    path.parent.mkdir(parents=True)

    def gain(*_):
        attempt = len(recorder.cohorts())
        if attempt <= 4:
            path.write_bytes(b"")
            os.utime(path, (attempt, attempt))

    recorder.then["started"] = gain
    assert make_executor(faults={job.id: KILLED}).run([Cohort((job,))]).failed == {job: DIED}
    assert len(recorder.cohorts()) == 5


class TestInterrupts:
    @pytest.fixture
    def interrupted(self, make_executor, recorder, make_job, monkeypatch):
        """Starts a job and interrupts; returns the worker's exit code."""
        monkeypatch.setattr(local, "STOP_SECONDS", 1e6)  # however long the process takes to start

        def run(fault="done", number=signal.SIGINT):
            job, found = make_job(), []

            def interrupt(slot, _):
                found.append(process(slot))
                os.kill(os.getpid(), number)

            recorder.then["started"] = interrupt
            executor = make_executor(faults={job.id: fault})
            before = signal.getsignal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                executor.run([Cohort((job,))])
            assert signal.getsignal(signal.SIGINT) is before
            assert not multiprocessing.active_children()
            return found[0].exitcode

        return run

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_is_answered_before_the_workers_stop(self, interrupted, recorder, number):
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        alive = []
        recorder.then["stopping"] = lambda: alive.append(process(0).is_alive())
        try:
            exit_code = interrupted(number=number)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert alive == [True]
        assert exit_code == 0
        assert recorder.calls[-1] == ("stopping",)

    def test_the_second_kills_the_workers_at_once(self, interrupted, recorder):
        recorder.then["stopping"] = lambda: os.kill(os.getpid(), signal.SIGINT)
        assert interrupted(SILENT) == -signal.SIGKILL

    def test_one_that_comes_with_the_last_result_is_not_lost(self, make_executor, recorder, make_job):
        job = make_job()
        recorder.then["ended"] = lambda *_: os.kill(os.getpid(), signal.SIGINT)
        executor = make_executor(faults={})
        with pytest.raises(KeyboardInterrupt):
            executor.run([Cohort((job,))])
        assert executor.outcome.done == {job.id}
