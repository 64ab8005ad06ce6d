"""Regenerates tables, figures and the leaderboard: plan, train what is missing, aggregate, print and write."""

from __future__ import annotations

import json
import math
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark import devices
from benchmark.cli import FAILURE, INTERRUPTED, OK, Say, messages, render
from benchmark.cli.plan import show_jobs, show_plan
from benchmark.cli.session import Session
from benchmark.errors import UserError
from benchmark.planning import plugin_check
from benchmark.planning.cohorts import counted
from benchmark.planning.plan import CACHED, Plan
from benchmark.runs.store import FAILED

if TYPE_CHECKING:
    from benchmark.execution.local import Outcome


def run(session: Session, say: Say) -> int:
    """Regenerate the wanted tables, or do what ``--plan`` or ``--render`` says instead."""
    begun, options = time.monotonic(), session.options
    if options.check:
        return render.compare([*render.documents(session)], say)
    plan = session.plan(session.tables) if options.render else session.training_plan()
    for remark in (*plan.remarks, *_advice(session, plan)):
        say(remark)
    if options.plan:
        return _say_plan(plan, session, say)
    if plan.missing and not options.render:
        return _Work(session, say, begun).run(plan)
    say(_cached_line(session, plan))
    render.render(session, say)
    return FAILURE if FAILED in plan.states.values() and not options.render else OK


def _say_plan(plan: Plan, session: Session, say: Say) -> int:
    plan, choice = session.arranged(plan, session.options.time_budget)
    if session.options.json:
        print(json.dumps(plan.to_json(), indent=1))  # noqa: T201
        return OK
    if session.options.verbose:
        show_jobs(plan, say)
    names, _ = session.workers
    show_plan(plan, choice, f"{session.time(plan)} on {len(names)} x {names[0]}", say)
    say(messages.disk_line(session.store))
    return OK


def _advice(session: Session, plan: Plan) -> list[str]:
    return [*_on_precision(session, plan), *(_on_memory(session) if plan.missing and plan.estimates else [])]


def _on_memory(session: Session) -> list[str]:
    names, threads = session.workers
    most = devices.cores() // threads
    if session.options.jobs or names[0] != "cpu" or len(names) >= most:
        return []
    return [f"the free memory holds {len(names)} of {most} processes: --jobs {most} starts them all the same"]


def _on_precision(session: Session, plan: Plan) -> list[str]:
    precisions = {job.recipe.precision for cohort in plan.cohorts for job in cohort.runs}
    slow = next(filter(devices.emulates_bf16, session.workers[0]), None) if "bf16" in precisions else None
    if slow is None:
        return []
    if slow == "cpu":
        return ["this CPU has to emulate bf16: --set precision=fp32 is several times faster"]
    advice = "--set precision=fp16 trains at its full speed, with a scaled loss, into a folder of its own"
    return [f"{devices.name(slow)} has to emulate bf16: {advice}"]


def _cached_line(session: Session, plan: Plan) -> str:
    states = list(plan.states.values())
    rest = f"{plan.missing} are missing; without --render they are done" if plan.missing else "nothing to do"
    where = f"{states.count(CACHED)} of {len(states)} jobs are in {session.store.results}"
    return f"{where}: {rest}{messages.failures(plan)}"


@dataclass(frozen=True)
class _Work:
    """Trains what is missing, in one round or several."""

    session: Session
    say: Say
    begun: float

    def run(self, plan: Plan) -> int:
        work, choice = self.session.arranged(plan, self._time_left if self.session.options.time_budget else None)
        self._check_force(work)
        self.session.store.check_writable()
        plugin_check.check(work, self.session.options.checkpoints, self.say)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        tried: set[str] = set()
        while True:
            for line in choice.lines if choice else ():
                self.say(line)
            self.session.store.check_places(job for cohort in work.cohorts for job in cohort.runs)
            outcome, interrupted = self._execute(work)
            left = plan.missing - len(outcome.done) - len(outcome.failed)
            if interrupted:
                self.say(f"stopped: {len(outcome.done)} jobs finished and kept, {left} left. The same command goes on.")
                return INTERRUPTED
            tried |= {job.id for cohort in work.cohorts for job in cohort.runs}
            plan = self.session.training_plan()
            # Next come jobs that trials decided on, or that there is time for after all; no job is tried twice.
            fresh = [job for cohort in plan.cohorts for job in cohort.runs if job.id not in tried]
            if outcome.failed or outcome.out_of_time or not fresh:
                return self._conclude(plan, outcome)
            work, choice = self.session.arranged(plan, self._time_left if choice else None)
            chosen = {job.id for cohort in work.cohorts for job in cohort.runs}
            if choice and not (choice.fits and chosen - tried):
                return self._conclude(plan, outcome)

    @property
    def _time_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    @property
    def _deadline(self) -> float:
        return self.begun + (self.session.options.time_budget or math.inf)

    def _execute(self, plan: Plan) -> tuple[Outcome, bool]:
        from benchmark.execution.local import LocalExecutor
        from benchmark.execution.progress import Progress
        from benchmark.execution.worker import WorkerConfig

        options = self.session.options
        names, threads = self.session.workers
        processes = f"{len(names)} process{'es' if len(names) > 1 else ''}"
        here = sum(state == CACHED for state in plan.states.values())
        self.say(
            f"{here} of {len(plan.jobs)} jobs are here; to do: {plan.count_missing()} in "
            f"{counted(len(plan.cohorts), 'cohort')} on {processes} ({names[0]}), {self.session.time(plan)}"
        )
        config = WorkerConfig(
            store=self.session.store,
            data_dir=options.data,
            cache_dir=options.checkpoints,
            threads=threads,
            # A short time budget must not end before the first checkpoint; the least that is kept is an epoch.
            checkpoint_seconds=min(options.checkpoint_seconds, (options.time_budget or math.inf) / 10),
            retry=options.retry_failed,
            cuda_graphs=not options.no_cuda_graphs,
            replaced=plan.replaced,
            processes=len(names),
        )
        with Progress(messages.console(), plan, len(names)) as progress:
            executor = LocalExecutor(config, names, progress)
            try:
                return executor.run(plan.cohorts, self._deadline), False
            except KeyboardInterrupt:
                return executor.outcome, True

    def _conclude(self, plan: Plan, outcome: Outcome) -> int:
        render.render(self.session, self.say)
        if self.session.options.time_budget and plan.missing:
            over = "the time is over; what was begun goes on from its checkpoint" if outcome.out_of_time else "done"
            self.say(f"time budget: {over}. Left: {plan.count_missing()}. The same command goes on.")
        for job, reason in outcome.failed.items():
            self.say(f"failed: {job}: {reason} (log: {self.session.store.log_path(job)})")
        if outcome.blocked:
            self.say(f"{counted(len(outcome.blocked), 'job')} could not be done, since what they need came to nothing")
        if any(plan.states.get(job.id) == FAILED for job in outcome.failed):
            self.say("--retry-failed trains failed runs again")
        return FAILURE if outcome.failed else OK

    def _check_force(self, plan: Plan) -> None:
        profile, (names, _) = self.session.resolver.profile, self.session.workers
        if profile.slow_on_cpu and names[0] == "cpu" and not self.session.options.force:
            raise UserError(
                f"profile {profile.name} on a CPU would take {self.session.time(plan)} for {plan.missing} jobs: add "
                "--force to do it all the same, or use --profile digits"
            )
