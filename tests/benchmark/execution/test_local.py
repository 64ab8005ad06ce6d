"""Real processes, and what becomes of runs when these die."""

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmark.config.resolve import TeacherChoice
from benchmark.execution import local
from benchmark.execution.local import _Worker
from benchmark.execution.worker import NOT_CAPTURED, OUT_OF_MEMORY
from benchmark.planning.plan import Cohort
from benchmark.runs.store import Store
from tests.benchmark.made_up import parts


def _kill(executor, slot):
    process = executor._workers[slot].process
    process.kill()
    process.join()


def test_killed_worker_costs_no_run(make_executor, recorder, make_job, store, train_here, outcome, tmp_path, pause):
    jobs = [make_job(lr) for lr in (0.05, 0.04, 0.03)]
    # The third one runs in a process of its own, which begins by finding a damaged checkpoint.
    damaged = store.checkpoint_path(jobs[2])
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged")
    executor = make_executor(workers=2)
    killed = []
    pause.write_text("student epoch 4/")

    def kill_once(slot, event):
        if event["members"] == 2 and event["epoch"] == 3 and not killed:
            killed.append(executor._workers[slot].process.pid)
            _kill(executor, slot)
            pause.unlink()

    recorder.then["epoch"] = kill_once
    with pytest.warns(UserWarning, match="seed0-.*is damaged: the run starts anew"):
        result = executor.run([Cohort(tuple(jobs[:2])), Cohort((jobs[2],))])
    assert len(killed) == 1
    assert result.done == {job.id for job in jobs}
    assert not result.failed
    undisturbed = Store(tmp_path / "other", tmp_path / "other")
    train_here(undisturbed, *jobs)
    for job in jobs:
        assert outcome(store, job) == outcome(undisturbed, job)
    logs = [store.log_path(job).read_text(encoding="utf-8") for job in jobs]
    assert ["resumed after epoch" in log for log in logs] == [True, True, False]
    assert all(log.count("done: ") == 1 for log in logs)


def test_run_that_always_kills_its_process_fails_alone(make_executor, recorder, make_job, store):
    good, bad = make_job(0.05), make_job(0.04)
    executor = make_executor()

    def kill_with_bad_run(slot, cohort):
        if bad in cohort.runs:
            _kill(executor, slot)

    recorder.then["started"] = kill_with_bad_run
    result = executor.run([Cohort((good, bad))])
    reason = "its process died (signal 9), perhaps for want of memory"
    assert result.done == {good.id}
    assert result.failed == {bad: reason}
    assert recorder.endings()[bad.id] == ("failed", reason)
    assert store.read(bad).reason == reason
    assert reason in store.log_path(bad).read_text(encoding="utf-8")


def test_students_of_a_failed_teacher_are_blocked(make_executor, recorder, make_job):
    student = make_job(method="kd", teacher="wrn-16-2")
    executor = make_executor()
    recorder.then["started"] = lambda slot, _: _kill(executor, slot)
    result = executor.run([Cohort((student.teacher,)), Cohort((student,))])
    assert list(result.failed) == [student.teacher]
    assert result.blocked == [student]
    assert recorder.endings()[student.id] == ("blocked", "it needs none:wrn-16-2 student seed 0")
    assert not [call for call in recorder.calls if call[0] == "started" and student in call[2].runs]


@pytest.fixture
def chain(small, make_job):
    """A teacher, a first stage that diverges, two runs of which one needs it, and what is done with these."""
    ab, kd = (make_job(method=method, teacher="wrn-16-2") for method in ("ab", "kd"))
    stage = replace(ab.stages[0], recipe=replace(ab.stages[0].recipe, lr=1e30))
    runs = replace(ab, stages=(stage,)), kd
    probes = [small.probe("PROBE-CIFAR100", run) for run in runs]
    analyses = [small.analysis("similarity", run, TeacherChoice("C100", "wrn-16-2")) for run in runs]
    cohorts = [Cohort(jobs) for jobs in ((ab.teacher,), (stage,), runs, tuple(probes), tuple(analyses))]
    lost, kept = ([run, probe, analysis] for run, probe, analysis in zip(runs, probes, analyses, strict=True))
    return SimpleNamespace(teacher=ab.teacher, stage=stage, lost=lost, kept=kept, cohorts=cohorts)


def test_failed_job_blocks_what_needs_it_and_nothing_else(make_executor, recorder, chain, store):
    ended, early = set(), []
    recorder.then["ended"] = lambda job, *_: ended.add(job)
    recorder.then["started"] = lambda _, cohort: early.extend(cohort.needs - ended)
    result = make_executor().run(chain.cohorts[::-1])
    run, *further = chain.lost
    assert not early
    assert result.done == {job.id for job in (chain.teacher, *chain.kept)}
    assert result.failed == {chain.stage: "diverged: the loss (ab) is not finite in epoch 1"}
    assert result.blocked[0] == run
    assert sorted(map(str, result.blocked)) == sorted(map(str, chain.lost))
    endings = recorder.endings()
    assert endings[run.id] == ("blocked", f"it needs {chain.stage}")
    assert [endings[job.id] for job in further] == [("blocked", f"it needs {run}")] * 2
    assert [store.settled(job) for job in chain.kept] == ["done"] * 3
    assert not any(store.record_path(job).exists() for job in chain.lost)


@pytest.fixture
def planned(make_executor, chain):
    """An executor that has been told of the chain and has not begun."""
    executor = make_executor()
    executor._waiting = list(chain.cohorts)
    executor._open = {job.id: job for cohort in chain.cohorts for job in cohort.runs}
    return executor


def test_job_that_does_not_apply_blocks_like_one_that_failed(planned, recorder, chain):
    planned._handle(None, {"event": "not_applicable", "id": chain.stage.id, "message": "unequal channels"})
    assert planned.outcome.done == {chain.stage.id}
    assert not planned.outcome.failed
    assert planned.outcome.blocked == chain.lost
    assert recorder.endings()[chain.stage.id] == ("not_applicable", "unequal channels")
    left = [job for cohort in planned._waiting for job in cohort.runs if job != chain.stage]
    assert left == [chain.teacher, *chain.kept]
    assert {*planned._open} == {job.id for job in left}


def test_job_that_others_found_not_to_apply_blocks_too(planned, chain, store):
    planned._elsewhere = {chain.stage.id: chain.stage}
    store.write(chain.stage, "not_applicable", {}, failure={"reason": "unequal channels"})
    planned._look_elsewhere()
    assert planned.outcome.done == {chain.stage.id}
    assert planned.outcome.blocked == chain.lost
    assert not planned._elsewhere


def test_done_job_blocks_nothing(planned, chain):
    planned._settle(chain.stage, "done", "loss 0.10")
    assert not planned.outcome.blocked
    assert len(planned._open) == 7


def test_workers_may_have_processes_of_their_own(make_executor, recorder, make_job):
    executor, daemons = make_executor(), []

    def look_then_kill(slot, _):
        daemons.append(executor._workers[slot].process.daemon)
        _kill(executor, slot)

    recorder.then["started"] = look_then_kill
    executor.run([Cohort((make_job(),))])
    assert daemons == [False, False]


def test_worker_that_dies_with_an_unread_task(make_executor, recorder, make_job):
    executor, frozen = make_executor(), []
    listen = executor._listen

    def freeze(slot, _):
        frozen.append(executor._workers[slot].process)
        os.kill(frozen[-1].pid, signal.SIGSTOP)  # so that it cannot read the task that comes now

    def kill_then_listen():
        frozen[-1].kill()
        listen()

    recorder.then["started"] = freeze
    executor._listen = kill_then_listen
    result = executor.run([Cohort((make_job(),))])
    assert len(result.failed) == 1
    assert len(frozen) == 2


def test_runs_of_other_processes_are_awaited_or_taken_over(make_executor, recorder, make_job, store, train_here):
    theirs, left = make_job(0.05), make_job(0.04)
    locks = [store.claim(job) for job in (theirs, left)]
    executor = make_executor()

    def other_process_ends(_slot):
        recorder.then.pop("idle")
        train_here(store, theirs)
        for lock in locks:
            lock.release()

    recorder.then["idle"] = other_process_ends
    result = executor.run([Cohort((theirs, left))])
    assert result.done == {theirs.id, left.id}
    assert recorder.endings()[theirs.id] == ("done", "by another process")
    assert recorder.endings()[left.id][1].startswith("top-1 ")
    for job in (theirs, left):
        assert store.log_path(job).read_text(encoding="utf-8").count("done: ") == 1


def test_old_failure_of_a_run_that_is_being_retried_elsewhere_is_no_news(make_executor, make_job, store, train_here):
    job = make_job()
    store.write(job, "failed", {}, failure={"reason": "long ago"})
    lock = store.claim(job)
    executor = make_executor(retry=True)
    executor._open = {job.id: job}
    executor._elsewhere = {job.id: job}
    executor._look_elsewhere()
    assert not executor.outcome.failed
    train_here(store, job)
    lock.release()
    executor._look_elsewhere()
    assert executor.outcome.done == {job.id}


def test_a_record_that_another_process_is_to_replace_is_awaited(make_executor, make_job, store, train_here):
    job = make_job()
    train_here(store, job)
    before = store.read(job).provenance
    executor = make_executor(replaced={job.id: before})
    executor._open, executor._elsewhere = {job.id: job}, {job.id: job}
    executor._look_elsewhere()
    assert executor._waiting == [Cohort((job,))]  # the other one left it as it was
    store.write(job, "done", {"processor": "here"}, **parts(job.kind))
    executor._elsewhere = {job.id: job}
    executor._look_elsewhere()
    assert executor.outcome.done == {job.id}


def test_a_run_that_breaks_its_process_keeps_its_earlier_record(make_executor, recorder, make_job, store, train_here):
    job = make_job()
    train_here(store, job)
    before = store.record_path(job).read_bytes()
    executor = make_executor(replaced={job.id: store.read(job).provenance})
    recorder.then["started"] = lambda slot, _: _kill(executor, slot)
    result = executor.run([Cohort((job,))])
    reason = "its process died (signal 9), perhaps for want of memory; its earlier record stays"
    assert result.failed == {job: reason}
    assert reason in store.log_path(job).read_text(encoding="utf-8")
    assert store.record_path(job).read_bytes() == before


def test_interrupt_stops_the_workers(make_executor, recorder, make_job, monkeypatch):
    monkeypatch.setattr(local, "STOP_SECONDS", 1e6)  # however long it takes to import torch
    executor = make_executor()

    def interrupt(*_):
        raise KeyboardInterrupt

    recorder.then["started"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        executor.run([Cohort((make_job(),))])
    assert [worker.process.exitcode for worker in executor._workers.values()] == [0]


def test_nothing_to_do(make_executor):
    assert make_executor().run([]).done == set()


@pytest.fixture
def end(planned):
    """Ends a worker's process amid a cohort, after it has told why; without ``event`` it was killed."""

    def make(cohort, event=None, message=""):
        if cohort in planned._waiting:
            planned._waiting.remove(cohort)
        worker = _Worker(0, SimpleNamespace(join=lambda: None, exitcode=1 if event else -9), None, cohort)
        planned._workers[0] = worker
        if event:
            planned._handle(worker, {"event": event, "message": message})
        planned._bury(worker)
        return planned._waiting

    return make


@pytest.fixture
def runs(planned, make_job):
    """Three runs of one cohort, all open."""
    jobs = tuple(make_job(lr) for lr in (0.05, 0.04, 0.03))
    planned._open |= {job.id: job for job in jobs}
    planned._waiting = []
    return jobs


def graphs(planned, cohorts):
    """Whether each of the cohorts would be captured."""
    return [not any(job.id in planned._uncaptured for job in cohort.runs) for cohort in cohorts]


def test_a_cohort_that_cannot_be_captured_goes_on_in_halves_until_one_run_is_alone(end, planned, runs, recorder):
    waiting = end(Cohort(runs), NOT_CAPTURED, "stream capture")
    assert [cohort.runs for cohort in waiting] == [runs[:2], runs[2:]]
    assert graphs(planned, waiting) == [True, True]
    waiting = end(waiting[0], NOT_CAPTURED, "stream capture")
    assert [cohort.runs for cohort in waiting] == [runs[:1], runs[1:2], runs[2:]]
    waiting = end(waiting[1], NOT_CAPTURED, "stream capture")
    assert {cohort.runs: graph for cohort, graph in zip(waiting, graphs(planned, waiting), strict=True)} == {
        runs[:1]: True,
        runs[1:2]: False,
        runs[2:]: True,
    }
    assert (
        "note",
        f"{runs[1]} is launched step by step, since it cannot be captured: stream capture",
    ) in recorder.calls
    assert not planned._deaths


def test_want_of_memory_is_the_cohorts_until_one_run_is_alone(end, planned, runs, store):
    message = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.6 GiB"
    waiting = end(Cohort(runs), OUT_OF_MEMORY, message)
    assert [cohort.runs for cohort in waiting] == [runs[:2], runs[2:]]
    assert not planned.outcome.failed
    end(waiting[1], OUT_OF_MEMORY, message)
    assert planned.outcome.failed == {runs[2]: f"it does not fit into memory, even alone: {message}"}
    assert not store.record_path(runs[0]).exists()
    assert {job.id for job in runs[:2]} <= planned._open.keys()


def keep_checkpoint(store, job, time):
    path = store.checkpoint_path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    os.utime(path, (time, time))


def test_deaths_count_only_while_nothing_is_gained_between_them(end, planned, runs, store):
    job = runs[0]
    for time in (1, 2, 3, 4):  # an epoch later every time
        keep_checkpoint(store, job, time)
        assert [cohort.runs for cohort in end(Cohort((job,)))] == [(job,)]
        planned._waiting.clear()
    end(Cohort((job,)))
    assert planned.outcome.failed == {job: "its process died (signal 9), perhaps for want of memory"}


def test_a_second_interrupt_kills_the_workers_at_once(make_executor, recorder, make_job):
    executor = make_executor()
    joins = []

    def interrupt(slot, _):
        process = executor._workers[slot].process
        join = process.join

        def impatient(timeout=None):
            joins.append(timeout)
            if len(joins) == 1:
                raise KeyboardInterrupt
            join(timeout)

        process.join = impatient
        raise KeyboardInterrupt

    recorder.then["started"] = interrupt
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        executor.run([Cohort((make_job(),))])
    [worker] = executor._workers.values()
    assert worker.process.exitcode == -signal.SIGKILL
    assert signal.getsignal(signal.SIGINT) is before
