"""The command: arguments in, tables out, errors that a person can act on."""

from __future__ import annotations

import argparse
import io
import json
import math
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark import costs, devices, tables
from benchmark.arguments import USAGE_ERROR, parser
from benchmark.errors import UserError
from benchmark.listing import LISTS
from benchmark.plan import CACHED, Plan
from benchmark.request import Request
from benchmark.store import FAILED

if TYPE_CHECKING:
    from benchmark.executors.local import Outcome
    from benchmark.report import Figure, Report

FAILURE, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 after failed runs, 2 for a user's error, 130 if interrupted."""
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another, not a traceback
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning  # type: ignore[assignment]
            return _Command(Request(options)).run()
    except UserError as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILURE


@dataclass(frozen=True)
class _Command:
    request: Request
    begun: float = field(default_factory=time.monotonic)

    @property
    def options(self) -> argparse.Namespace:
        return self.request.options

    def run(self) -> int:
        options, request = self.options, self.request
        if not tables.TABLES.is_dir():
            raise UserError("the tables are not here: run from a clone of the project, installed with pip install -e .")
        if options.list:
            return self._list()
        if options.status:
            return self._status()
        for form in ("json", "brief"):
            if getattr(options, form) and not options.plan:
                raise UserError(f"--{form} is a form of the plan: add --plan")
        if not options.table and not options.figure:
            raise UserError("nothing to do: name a table, for instance --table 6, a figure, or see --help")
        self._say(self._profile_line())
        plan = request.plan(request.tables)
        for remark in (*plan.remarks, *self._advice(plan)):
            self._say(remark)
        if options.plan:
            return self._print_plan(plan)
        if plan.missing and not options.render:
            return self._work(plan)
        self._say(self._cached_line(plan))
        self._render(plan)
        return FAILURE if FAILED in plan.states.values() and not options.render else 0

    # What is said.

    @cached_property
    def _console(self) -> Console:
        return Console(highlight=False)

    def _say(self, text: str) -> None:
        if self.options.json:
            print(text, file=sys.stderr)  # noqa: T201
        else:
            self._console.print(text, soft_wrap=True, markup=False)

    def _profile_line(self) -> str:
        profile = self.request.book.profile
        changed = f"; changed: {', '.join(self.request.changes)}" if self.request.changes else ""
        return f"profile {profile.name} ({profile.title}), {self.request.profile[1]}{changed}"

    def _advice(self, plan: Plan) -> list[str]:
        on_cpu = self.request.workers[0][0] == "cpu"
        precisions = {job.recipe.precision for cohort in plan.cohorts for job in cohort.runs}
        if on_cpu and "bf16" in precisions and devices.slow_in_bf16():
            return ["this CPU has to emulate bf16: --set precision=fp32 is several times faster"]
        return []

    def _cached_line(self, plan: Plan) -> str:
        states = list(plan.states.values())
        rest = f"{plan.missing} are missing; without --render they are done" if plan.missing else "nothing to do"
        where = f"{states.count(CACHED)} of {len(states)} jobs are in {self.request.store.results}"
        return f"{where}: {rest}{_failures(plan)}"

    # What is done.

    def _work(self, plan: Plan) -> int:
        work, choice = self.request.arranged(plan, self._time_left if self.options.time_budget else None)
        self._check_patience(work)
        self.request.store.check_writable()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        tried: set[str] = set()
        while True:
            for line in choice.lines if choice else ():
                self._say(line)
            outcome, interrupted = self._execute(work)
            left = plan.missing - len(outcome.done) - len(outcome.failed)
            if interrupted:
                self._say(
                    f"stopped: {len(outcome.done)} jobs finished and kept, {left} left. The same command goes on."
                )
                return INTERRUPTED
            tried |= {job.id for cohort in work.cohorts for job in cohort.runs}
            plan = self.request.plan(self.request.tables)
            # What trials decided, or there is time for after all, comes next; what was tried is not tried again.
            fresh = [job for cohort in plan.cohorts for job in cohort.runs if job.id not in tried]
            if outcome.failed or outcome.out_of_time or not fresh:
                return self._conclude(plan, outcome)
            work, choice = self.request.arranged(plan, self._time_left if choice else None)
            chosen = {job.id for cohort in work.cohorts for job in cohort.runs}
            if choice and not (choice.fits and chosen - tried):
                return self._conclude(plan, outcome)

    @property
    def _time_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    @property
    def _deadline(self) -> float:
        return self.begun + (self.options.time_budget or math.inf)

    def _execute(self, plan: Plan) -> tuple[Outcome, bool]:
        from benchmark.executors.local import LocalExecutor
        from benchmark.executors.worker import Settings
        from benchmark.progress import Progress

        options = self.options
        names, threads = self.request.workers
        processes = f"{len(names)} process{'es' if len(names) > 1 else ''}"
        here = sum(state == CACHED for state in plan.states.values())
        self._say(
            f"{here} of {len(plan.jobs)} jobs are here; to do: {plan.count_missing()} in {len(plan.cohorts)} cohorts "
            f"on {processes} ({names[0]}), about {self.request.time(plan)}"
        )
        settings = Settings(
            store=self.request.store,
            data_dir=options.data,
            cache_dir=options.checkpoints,
            threads=threads,
            # A short time must not end before the first checkpoint; an epoch is the least that is kept.
            checkpoint_seconds=min(options.checkpoint_seconds, (options.time_budget or math.inf) / 10),
            retry=options.retry_failed,
            recorded=not options.launch,
        )
        with Progress(self._console, plan, len(names)) as progress:
            executor = LocalExecutor(settings, names, progress)
            try:
                return executor.run(plan.cohorts, self._deadline), False
            except KeyboardInterrupt:
                return executor.outcome, True

    def _conclude(self, plan: Plan, outcome: Outcome) -> int:
        self._render(plan)
        if self.options.time_budget and plan.missing:
            over = "the time is over; what was begun goes on from its checkpoint" if outcome.out_of_time else "done"
            self._say(f"time budget: {over}. Left: {plan.count_missing()}. The same command goes on.")
        for job, reason in outcome.failed.items():
            self._say(f"failed: {job}: {reason} (log: {self.request.store.log_path(job)})")
        if outcome.blocked:
            self._say(f"{len(outcome.blocked)} jobs could not be done, since what they need came to nothing")
        if outcome.failed:
            self._say("--retry-failed trains failed runs again")
        return FAILURE if outcome.failed else 0

    def _check_patience(self, plan: Plan) -> None:
        profile, (names, _) = self.request.book.profile, self.request.workers
        if profile.patient and names[0] == "cpu" and not self.options.force:
            duration = self.request.time(plan)
            raise UserError(
                f"profile {profile.name} on a CPU would take about {duration} for {plan.missing} jobs: add --force to "
                "do it all the same, or use --profile digits"
            )

    def _render(self, plan: Plan) -> None:
        """Print what was asked for, and write whole tables: their files never depend on what is shown."""
        for table in plan.tables:
            self._report(table, plan, self.options.seeds).print(self._console)
        whole, seeds = self.request.everything()
        for table in whole.tables:
            self._write(self._report(table, whole, seeds))

    def _report(self, table: tables.Table, plan: Plan, seeds: Sequence[int]) -> Report | Figure:
        from benchmark import report

        profile = self.request.book.profile
        context = report.Context(
            profile=profile.name,
            note=profile.note,
            changes=self.request.changes,
            seeds=tuple(seeds),
            selection=self.options.selection,
            stand_in=profile.stand_in,
            variants=self.request.variants,
            choices=plan.choices,
        )
        records = {cell.name: [plan.records.get(job.id) for job in plan.cells[cell.name]] for cell in table.cells()}
        return report.build(table, records, context)

    def _write(self, report: Report | Figure) -> None:
        folder = self.request.store.results / report.folder
        try:
            paths = report.write(folder)
        except OSError as error:
            raise UserError(f"cannot write to {folder} ({error.strerror}): choose a folder with --results") from error
        self._say(f"written: {', '.join(_short(path) for path in paths)}")

    def _print_plan(self, plan: Plan) -> int:
        plan, choice = self.request.arranged(plan, self.options.time_budget)
        if self.options.json:
            print(json.dumps(plan.to_json(), indent=1))  # noqa: T201
            return 0
        if not self.options.brief:
            for job in plan.jobs:
                self._say(f"{plan.states[job.id]:8} {job}  {job.id[:12]}")
            for number, cohort in enumerate(plan.cohorts, 1):
                self._say(f"cohort {number}: {cohort}, about {costs.spoken(cohort.seconds)}")
        for line in plan.summary():
            self._say(line)
        names, _ = self.request.workers
        where = f"{len(names)} x {names[0]}"
        self._say(f"{plan.missing} to do in {len(plan.cohorts)} cohorts, about {self.request.time(plan)} on {where}")
        for line in choice.lines if choice else ():
            self._say(line)
        self._say(self._disk_line())
        return 0

    def _status(self) -> int:
        self._say(self._profile_line())
        for table in self.request.tables:
            plan = self.request.plan([table])
            states = list(plan.states.values())
            done, failed = states.count(CACHED), states.count(FAILED)
            self._say(
                f"{table.kind} {table.number}: {done} of {len(states)} jobs done, {failed} failed, {plan.missing} to do"
            )
        self._say(self._disk_line())
        return 0

    def _disk_line(self) -> str:
        store = self.request.store
        return f"{store.disk_use() / 2**20:.0f} MiB in {store.checkpoints}"

    def _list(self) -> int:
        for name, about in LISTS[self.options.list]():
            self._say(f"{name:22} {about}")
        return 0


def _failures(plan: Plan) -> str:
    failed = list(plan.states.values()).count(FAILED)
    return f"; {failed} failed, --retry-failed trains them again" if failed else ""


def _short(path: Path) -> str:
    """A path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _print_warning(message: Warning | str, *_: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)  # noqa: T201
