"""The command: arguments in, tables out, errors that a person can act on."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark import catalog, costs, devices, recipes, tables
from benchmark.errors import UserError
from benchmark.planner import CACHED, Plan, make_plan
from benchmark.store import FAILED, Store

FORCE_SECONDS = 6 * 3600
"""A plan for the paper's scale that takes longer than this on a CPU asks for ``--force``."""

USAGE_ERROR, FAILURE, INTERRUPTED = 2, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 after failed runs, 2 for a user's error, 130 if interrupted."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = _print_warning
    try:
        return _Command(options).run()
    except UserError as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    except BrokenPipeError:
        return FAILURE


@dataclass(frozen=True)
class _Command:
    options: argparse.Namespace

    def run(self) -> int:
        options = self.options
        if options.list:
            return self._list()
        if options.status:
            return self._status()
        if not options.table:
            raise UserError("nothing to do: name a table, for instance --table 6, or see --help")
        self._say(self._profile_line())
        plan = self._plan
        for remark in plan.remarks:
            self._say(remark)
        if options.plan:
            return self._print_plan()
        return self._train() if plan.missing and not options.render else self._render(plan, self._cached_line())

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
    def _tables(self) -> list[tables.Table]:
        wanted = tables.numbers() if self.options.table == "all" else [self.options.table]
        methods, pairs = _split(self.options.methods), _split(self.options.pairs)
        return [tables.load(number).select(methods, pairs) for number in wanted]

    @cached_property
    def _workers(self) -> tuple[list[str], int]:
        return devices.workers(self.options.device, self.options.jobs, self._book.profile.threads)

    @cached_property
    def _plan(self) -> Plan:
        speed = costs.SPEEDS[self._workers[0][0].partition(":")[0]]
        retry = self.options.retry_failed
        return make_plan(self._tables, self._book, self.options.seeds, self._store, speed, retry=retry)

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

    def _cached_line(self) -> str:
        plan = self._plan
        found = sum(state == CACHED for state in plan.states.values())
        rest = (
            "nothing to train" if not plan.missing else f"{plan.missing} are missing; without --render they are trained"
        )
        return f"{found} of {len(plan.jobs)} runs are in {self._store.results}: {rest}"

    # What is done.

    def _train(self) -> int:
        from benchmark.executors.local import LocalExecutor
        from benchmark.executors.worker import Settings
        from benchmark.progress import Progress

        plan, options = self._plan, self.options
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
        del self.__dict__["_plan"]
        self._render(self._plan, None)
        for job, reason in failed.items():
            self._say(f"failed: {job}: {reason} (log: {self._store.log_path(job)})")
        if blocked:
            self._say(f"{blocked} runs could not start, since their teacher failed")
        if failed:
            self._say("--retry-failed trains failed runs again")
        return FAILURE if failed else 0

    def _check_patience(self, plan: Plan, names: Sequence[str]) -> None:
        alone = self._book.profile.name == "paper" and names[0] == "cpu"
        if alone and plan.seconds > FORCE_SECONDS * 0 and not self.options.force:
            time = costs.spoken(plan.seconds / len(names))
            raise UserError(
                f"profile paper on a CPU would take about {time} for {plan.missing} runs: add --force to do it all the "
                "same, or use --profile digits"
            )

    def _render(self, plan: Plan, line: str | None) -> int:
        from benchmark import report

        profile = self._book.profile
        context = report.Context(
            profile=profile.name,
            note=profile.note,
            changes=self._changes,
            seeds=tuple(self.options.seeds),
            selection=self.options.selection,
            stand_in=profile.stand_in,
        )
        if line:
            self._say(line)
        for table in plan.tables:
            records = {cell.name: [plan.records.get(job.id) for job in plan.cells[cell.name]] for cell in table.cells()}
            made = report.build(table, records, context)
            made.print(self._console)
            self._write(made)
        return 0

    def _write(self, made: Any) -> None:
        folder = self._store.results / "tables"
        if self.options.methods or self.options.pairs:
            self._say(f"a selection is shown, not written: {folder} holds whole tables")
            return
        try:
            paths = made.write(folder)
        except OSError as error:
            raise UserError(f"cannot write to {folder} ({error.strerror}): choose a folder with --results") from error
        self._say(f"written: {', '.join(str(path) for path in paths)}")

    def _print_plan(self) -> int:
        plan = self._plan
        if self.options.json:
            print(json.dumps(plan.to_json(), indent=1))  # noqa: T201
            return 0
        for job in plan.jobs:
            self._say(f"{plan.states[job.id]:8} {job}  {job.id[:12]}")
        for number, cohort in enumerate(plan.cohorts, 1):
            self._say(f"cohort {number}: {cohort}, about {costs.spoken(cohort.seconds)}")
        states = list(plan.states.values())
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        names, _ = self._workers
        self._say(
            f"{len(plan.cells)} cells, {len(plan.jobs)} runs ({counts}); {plan.missing} to train in {len(plan.cohorts)} "
            f"cohorts, about {costs.spoken(plan.seconds / len(names))} on {len(names)} x {names[0]}; "
            f"{self._store.disk_use() / 2**20:.0f} MiB in {self._store.checkpoints}"
        )
        return 0

    def _status(self) -> int:
        self.options.table = self.options.table or "all"
        self._say(self._profile_line())
        for number in [table.number for table in self._tables]:
            plan = _Command(argparse.Namespace(**{**vars(self.options), "table": number}))._plan
            states = list(plan.states.values())
            self._say(
                f"table {number}: {states.count(CACHED)} of {len(states)} runs done, {states.count(FAILED)} failed, "
                f"{plan.missing} to train"
            )
        self._say(f"{self._store.disk_use() / 2**20:.0f} MiB in {self._store.checkpoints}")
        return 0

    def _list(self) -> int:
        for name, about in _LISTS[self.options.list]():
            self._say(f"{name:22} {about}")
        return 0


def _list_methods() -> Iterator[tuple[str, str]]:
    yield "student", "cross-entropy alone"
    for info in catalog.methods().values():
        options = ", ".join(f"{key}={value!r}" for key, value in info.options.items())
        yield info.name, f"{info.title}: {info.citation}" + (f" [{options}]" if options else "")


def _list_networks() -> Iterator[tuple[str, str]]:
    for info in catalog.networks().values():
        yield info.name, f"{info.params:,} parameters, {info.macs / 1e6:,.1f} M MACs"


def _list_tables() -> Iterator[tuple[str, str]]:
    for number in tables.numbers():
        yield number, tables.load(number).title


def _list_recipes() -> Iterator[tuple[str, str]]:
    for name in recipes.names("recipe"):
        yield name, ", ".join(f"{key}={value}" for key, value in recipes.load_recipe(name)[0].values.items())


def _list_profiles() -> Iterator[tuple[str, str]]:
    for name in recipes.names("profile"):
        yield name, recipes.load_profile(name).title


_LISTS = {
    "methods": _list_methods,
    "networks": _list_networks,
    "tables": _list_tables,
    "recipes": _list_recipes,
    "profiles": _list_profiles,
}


def _split(text: str | None) -> list[str] | None:
    """Items between commas, those inside brackets left alone."""
    if text is None:
        return None
    items, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return [item.strip() for item in items if item.strip()]


def _seeds(text: str) -> tuple[int, ...]:
    """``3`` means 0, 1, 2; ``0,2`` means itself."""
    try:
        numbers = [int(item) for item in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of seeds nor a list like 0,2") from None
    seeds = tuple(dict.fromkeys(numbers)) if len(numbers) > 1 else tuple(range(numbers[0]))
    if not seeds or min(seeds) < 0:
        raise argparse.ArgumentTypeError("at least one seed is needed, from 0")
    return seeds


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """One line, as for every other error of a user."""
        self.exit(USAGE_ERROR, f"error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="run_all.py", description=__doc__, allow_abbrev=False)
    what = parser.add_argument_group("what")
    what.add_argument("--table", metavar="N", help="a table's number, or all")
    what.add_argument(
        "--profile", metavar="NAME", help="paper, quick or digits (default: paper with CUDA, else digits)"
    )
    what.add_argument("--methods", metavar="LIST", help="trained and shown, e.g. 'kd,srrl[sr],kd+srrl' or 'r*'")
    what.add_argument("--pairs", metavar="LIST", help="TEACHER:STUDENT patterns, e.g. 'wrn-40-4:*'")
    what.add_argument("--seeds", type=_seeds, default=(0, 1, 2), metavar="N", help="number of seeds, or a list 0,2")
    what.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe's value")
    what.add_argument("--selection", choices=("last", "best"), default="last", help="the epoch that tables show")
    how = parser.add_argument_group("instead of training")
    how.add_argument("--render", action="store_true", help="print and write tables from the records alone")
    how.add_argument("--plan", action="store_true", help="say what would be trained, and how long it would take")
    how.add_argument("--json", action="store_true", help="the plan for machines")
    how.add_argument("--status", action="store_true", help="count what is done, table by table")
    how.add_argument("--list", choices=sorted(_LISTS), help="what there is")
    where = parser.add_argument_group("where")
    where.add_argument("--data", type=Path, metavar="DIR", help="data sets (default: $KD_DATA, else a download)")
    where.add_argument(
        "--results", type=Path, default=catalog.ROOT / "results", metavar="DIR", help="records and tables"
    )
    where.add_argument(
        "--checkpoints", type=Path, default=catalog.ROOT / ".cache", metavar="DIR", help="checkpoints, weights and logs"
    )
    where.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:N")
    where.add_argument("--jobs", type=_positive, metavar="N", help="processes at a time")
    where.add_argument(
        "--checkpoint-seconds", type=float, default=30.0, metavar="S", help="time between checkpoints (default: 30)"
    )
    other = parser.add_argument_group("other")
    other.add_argument("--retry-failed", action="store_true", help="train failed runs again")
    other.add_argument("--force", action="store_true", help="profile paper on a CPU, however long it takes")
    other.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _print_warning(message: Warning | str, *_: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)  # noqa: T201
