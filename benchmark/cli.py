"""The command: arguments in, tables out, errors that a person can act on."""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark import costs, devices, recipes, tables
from benchmark.arguments import DEFAULT_SEEDS, USAGE_ERROR, parser, split
from benchmark.errors import UserError
from benchmark.listing import LISTS
from benchmark.planner import CACHED, Plan, make_plan
from benchmark.store import FAILED, Store

if TYPE_CHECKING:
    from benchmark.report import Report

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
            return _Command(options).run()
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
    options: argparse.Namespace

    def run(self) -> int:
        options = self.options
        if not tables.TABLES.is_dir():
            raise UserError("the tables are not here: run from a clone of the project, installed with pip install -e .")
        if options.list:
            return self._list()
        if options.status:
            return self._status()
        if options.json and not options.plan:
            raise UserError("--json is a form of the plan: add --plan")
        if not options.table:
            raise UserError("nothing to do: name a table, for instance --table 6, or see --help")
        self._say(self._profile_line())
        plan = self._plan(self._tables)
        for remark in plan.remarks:
            self._say(remark)
        if options.plan:
            return self._print_plan(plan)
        if plan.missing and not options.render:
            return self._train(plan)
        self._say(self._cached_line(plan))
        self._render(plan)
        return FAILURE if FAILED in plan.states.values() and not options.render else 0

    # What the arguments mean.

    @cached_property
    def _book(self) -> recipes.Book:
        changes = recipes.parse_changes(self.options.set)
        return recipes.Book(recipes.load_profile(self._profile[0]), changes)

    @cached_property
    def _profile(self) -> tuple[str, str]:
        if self.options.profile:
            return self.options.profile, "as asked"
        if devices.cuda_devices():
            return "paper", "there is a CUDA device"
        return "digits", "there is no CUDA device"

    @cached_property
    def _store(self) -> Store:
        return Store(self.options.results / self._book.folder, self.options.checkpoints / self._book.folder)

    @cached_property
    def _chosen(self) -> list[tuple[tables.Table, tables.Table]]:
        """Each wanted table, whole and as selected; of several, those that the selection speaks of."""
        wanted = tables.numbers() if self.options.table in ("all", None) else [self.options.table]
        methods, pairs = split(self.options.methods), split(self.options.pairs)
        chosen, errors = [], []
        for table in map(tables.load, wanted):
            try:
                chosen.append((table, table.select(methods, pairs)))
            except UserError as error:
                errors.append(error)
        if not chosen:
            raise errors[0]
        return chosen

    @property
    def _tables(self) -> list[tables.Table]:
        return [selected for _, selected in self._chosen]

    @property
    def _whole_tables(self) -> list[tables.Table]:
        """The paper's tables, and beside them those with added methods."""
        wholes = [whole for whole, _ in self._chosen]
        longer = (whole.extended(split(self.options.methods)) for whole in wholes)
        return [*wholes, *(table for table in longer if table.added)]

    @cached_property
    def _workers(self) -> tuple[list[str], int]:
        profile = self._book.profile
        return devices.workers(self.options.device or profile.device, self.options.jobs, profile.threads)

    def _plan(self, chosen: Sequence[tables.Table], seeds: Sequence[int] | None = None) -> Plan:
        speed = costs.SPEEDS[self._workers[0][0].partition(":")[0]]
        retry = self.options.retry_failed
        return make_plan(chosen, self._book, seeds or self.options.seeds, self._store, speed, retry=retry)

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
        profile = self._book.profile
        changed = f"; changed: {', '.join(self._changes)}" if self._changes else ""
        return f"profile {profile.name} ({profile.title}), {self._profile[1]}{changed}"

    @property
    def _changes(self) -> tuple[str, ...]:
        return tuple(f"{key}={json.dumps(value)}" for key, value in sorted(self._book.changes.items()))

    def _cached_line(self, plan: Plan) -> str:
        states = list(plan.states.values())
        rest = f"{plan.missing} are missing; without --render they are trained" if plan.missing else "nothing to train"
        where = f"{states.count(CACHED)} of {len(states)} runs are in {self._store.results}"
        return f"{where}: {rest}{self._failures(plan)}"

    def _failures(self, plan: Plan) -> str:
        failed = list(plan.states.values()).count(FAILED)
        return f"; {failed} failed, --retry-failed trains them again" if failed else ""

    # What is done.

    def _train(self, plan: Plan) -> int:
        from benchmark.executors.local import LocalExecutor
        from benchmark.executors.worker import Settings
        from benchmark.progress import Progress

        options = self.options
        names, threads = self._workers
        self._check_patience(plan, names)
        self._store.check_writable()
        time = costs.spoken(plan.seconds / len(names))
        processes = f"{len(names)} process{'es' if len(names) > 1 else ''}"
        self._say(
            f"{len(plan.jobs) - plan.missing} of {len(plan.jobs)} runs are here; training {plan.missing} in "
            f"{len(plan.cohorts)} cohorts on {processes} ({names[0]}), about {time}"
        )
        cache_dir = options.checkpoints
        settings = Settings(
            self._store, options.data, cache_dir, threads, options.checkpoint_seconds, options.retry_failed
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with Progress(self._console, plan, len(names)) as progress:
            executor = LocalExecutor(settings, names, progress)
            try:
                outcome = executor.run(plan.cohorts)
            except KeyboardInterrupt:
                outcome, interrupted = executor.outcome, True
            else:
                interrupted = False
        if interrupted:
            left = plan.missing - len(outcome.done) - len(outcome.failed)
            self._say(f"stopped: {len(outcome.done)} runs finished and kept, {left} left. The same command goes on.")
            return INTERRUPTED
        return self._conclude(outcome.failed, len(outcome.blocked))

    def _conclude(self, failed: dict[Any, str], blocked: int) -> int:
        self._render(self._plan(self._tables))
        for job, reason in failed.items():
            self._say(f"failed: {job}: {reason} (log: {self._store.log_path(job)})")
        if blocked:
            self._say(f"{blocked} runs could not start, since their teacher failed")
        if failed:
            self._say("--retry-failed trains failed runs again")
        return FAILURE if failed else 0

    def _check_patience(self, plan: Plan, names: Sequence[str]) -> None:
        alone = self._book.profile.name == "paper" and names[0] == "cpu"
        if alone and not self.options.force:
            time = costs.spoken(plan.seconds / len(names))
            raise UserError(
                f"profile paper on a CPU would take about {time} for {plan.missing} runs: add --force to do it all the "
                "same, or use --profile digits"
            )

    def _render(self, plan: Plan) -> None:
        """Print what was asked for, and write whole tables: their files never depend on what is shown."""
        for table in plan.tables:
            self._report(table, plan, self.options.seeds).print(self._console)
        whole, seeds = self._all_there_is()
        for table in whole.tables:
            self._write(self._report(table, whole, seeds))

    def _all_there_is(self) -> tuple[Plan, Sequence[int]]:
        """Whole tables over the wanted seeds and those of the default that there are records of."""
        asked = self.options.seeds
        most = sorted({*asked, *DEFAULT_SEEDS})
        plan = self._plan(self._whole_tables, most)
        found = {job.seed for job in plan.jobs if job.teacher and job.id in plan.records}
        seeds = sorted({*asked, *found})
        return (plan if seeds == most else self._plan(self._whole_tables, seeds)), seeds

    def _report(self, table: tables.Table, plan: Plan, seeds: Sequence[int]) -> Report:
        from benchmark import report

        profile = self._book.profile
        context = report.Context(
            profile=profile.name,
            note=profile.note,
            changes=self._changes,
            seeds=tuple(seeds),
            selection=self.options.selection,
            stand_in=profile.stand_in,
        )
        records = {cell.name: [plan.records.get(job.id) for job in plan.cells[cell.name]] for cell in table.cells()}
        return report.build(table, records, context)

    def _write(self, report: Report) -> None:
        folder = self._store.results / "tables"
        try:
            paths = report.write(folder)
        except OSError as error:
            raise UserError(f"cannot write to {folder} ({error.strerror}): choose a folder with --results") from error
        self._say(f"written: {', '.join(_short(path) for path in paths)}")

    def _print_plan(self, plan: Plan) -> int:
        if self.options.json:
            print(json.dumps(plan.to_json(), indent=1))  # noqa: T201
            return 0
        for job in plan.jobs:
            self._say(f"{plan.states[job.id]:8} {job}  {job.id[:12]}")
        for number, cohort in enumerate(plan.cohorts, 1):
            self._say(f"cohort {number}: {cohort}, about {costs.spoken(cohort.seconds)}")
        names, _ = self._workers
        time = costs.spoken(plan.seconds / len(names))
        states = list(plan.states.values())
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        self._say(f"{len(plan.cells)} cells, {len(plan.jobs)} runs: {counts}{self._failures(plan)}")
        self._say(f"{plan.missing} to train in {len(plan.cohorts)} cohorts, about {time} on {len(names)} x {names[0]}")
        self._say(self._disk_line())
        return 0

    def _status(self) -> int:
        self._say(self._profile_line())
        for table in self._tables:
            plan = self._plan([table])
            states = list(plan.states.values())
            done, failed = states.count(CACHED), states.count(FAILED)
            self._say(
                f"table {table.number}: {done} of {len(states)} runs done, {failed} failed, {plan.missing} to train"
            )
        self._say(self._disk_line())
        return 0

    def _disk_line(self) -> str:
        return f"{self._store.disk_use() / 2**20:.0f} MiB in {self._store.checkpoints}"

    def _list(self) -> int:
        for name, about in LISTS[self.options.list]():
            self._say(f"{name:22} {about}")
        return 0


def _short(path: Path) -> str:
    """A path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _print_warning(message: Warning | str, *_: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)  # noqa: T201
