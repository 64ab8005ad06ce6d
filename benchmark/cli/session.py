"""What the arguments mean: profile, tables, recipes, store and plan."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from benchmark import data, devices
from benchmark.cli import Say
from benchmark.cli.arguments import DEFAULT_SEEDS, split
from benchmark.cli.names import Lookup
from benchmark.config import overrides
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.errors import UserError, unknown
from benchmark.ids import short_id
from benchmark.planning import estimates, teacher_files
from benchmark.planning.budget import Choice, choose
from benchmark.planning.expansion import Expansion
from benchmark.planning.plan import Plan
from benchmark.planning.planner import make_plan
from benchmark.planning.schedule import pack, simulate
from benchmark.runs import provenance
from benchmark.runs.job import Pretrained
from benchmark.runs.names import TEACHER
from benchmark.runs.record import Conditions
from benchmark.runs.store import Store
from benchmark.tables import leaderboard, reader
from benchmark.tables.reader import Table

START_SECONDS = 6.0
"""Seconds that a new process takes to import torch and to load data."""
UNCERTAIN = 0.1
"""Fraction of a time budget that is kept in reserve for errors of the estimates."""


@dataclass(frozen=True)
class Session:
    """The arguments with what follows from them.

    Attributes:
        options: as parsed.
        say: prints a line for people.
    """

    options: argparse.Namespace
    say: Say

    @cached_property
    def resolver(self) -> ConfigResolver:
        """Resolves recipes at the scale of the profile, with the user's changes."""
        changes = overrides.parse_changes(self.options.set)
        if "dataset" in changes:
            data.describe(changes["dataset"])  # an unknown name is an error before anything is looked up or written
        preset = overrides.load_preset(self.options.preset) if self.options.preset else None
        return ConfigResolver(overrides.load_profile(self.profile[0]), changes, preset, self.given)

    @cached_property
    def profile(self) -> tuple[str, str]:
        """Name of the profile, and the reason for it."""
        if self.options.profile:
            return self.options.profile, "as asked"
        if devices.cuda_devices():
            return "paper", "there is a CUDA device"
        return "digits", "there is no CUDA device"

    @property
    def heading(self) -> str:
        """The profile, the reason for it, and what the user changed, as a line."""
        changed = f"; changed: {', '.join(self.changes)}" if self.changes else ""
        return f"profile {self.resolver.profile.name} ({self.resolver.title}), {self.profile[1]}{changed}"

    @cached_property
    def given(self) -> dict[str, Weights]:
        """Files of weights (``--teacher``) by the network's name."""
        return teacher_files.parse(self.options.teacher)

    @cached_property
    def store(self) -> Store:
        """The store of this profile and these changes."""
        return Store(self.options.results / self.resolver.folder, self.options.checkpoints / self.resolver.folder)

    @cached_property
    def workers(self) -> tuple[list[str], int]:
        """The device name of each process, and the number of threads of a process."""
        profile = self.resolver.profile
        threads = self.options.threads or profile.threads
        return devices.workers(self.options.device or profile.device, self.options.jobs, threads)

    @cached_property
    def here(self) -> tuple[Conditions, ...]:
        """The conditions that runs trained now are made under, one for each device."""
        names, threads = self.workers
        return tuple(provenance.conditions(name, threads) for name in dict.fromkeys(map(devices.name, names)))

    @property
    def changes(self) -> tuple[str, ...]:
        """What the user changed, as text for captions."""
        preset = [f"preset {self.options.preset} ({self.resolver.preset.title})"] if self.resolver.preset else []
        teachers = [
            f"teacher {name} from a file (SHA-256 {short_id(file.sha256)}{file.part and f', its {file.part}'})"
            for name, file in self.given.items()
        ]
        return (*self.set_values, *preset, *teachers)

    @property
    def set_values(self) -> tuple[str, ...]:
        """The recipe's values that the user changed."""
        return tuple(f"{key}={json.dumps(value)}" for key, value in sorted(self.resolver.changes.items()))

    @property
    def variants(self) -> tuple[str, ...]:
        """Parts of file names that keep these tables apart from the profile's plain ones."""
        preset = [self.options.preset] if self.options.preset else []
        files = (f"{name}@{file.sha256[:8]}{file.part and f'.{file.part}'}" for name, file in self.given.items())
        return (*preset, *files)

    @property
    def tables(self) -> list[Table]:
        """The wanted tables and figures, as selected."""
        return [selected for _, selected in self._chosen]

    @property
    def whole_tables(self) -> list[Table]:
        """The wanted tables unselected, and those with what ``--methods`` and ``--pairs`` add."""
        methods, pairs = split(self.options.methods), split(self.options.pairs)
        wholes = [whole for whole, _ in self._chosen]
        longer = (whole.with_chains(pairs).extended(methods) for whole in wholes)
        return [*wholes, *(table for table in longer if table.added or table.chains)]

    @cached_property
    def _chosen(self) -> list[tuple[Table, Table]]:
        """Each wanted table, whole and as selected; tables in which nothing is selected are left out."""
        methods, pairs = split(self.options.methods), split(self.options.pairs)
        chosen, errors = [], []
        for table in self._named():
            try:
                chosen.append((table, table.select(methods, pairs)))
            except UserError as error:
                errors.append(error)
        if not chosen:
            raise errors[0]
        taught = {cell.pair.teachers[0].network for _, selected in chosen for cell in selected.cells}
        if strangers := self.given.keys() - taught:
            raise unknown("teacher of these pairs", min(strangers), taught)
        return chosen

    def _named(self) -> list[Table]:
        options = self.options
        nothing = not (options.table or options.figure or options.leaderboard)
        everything = "all" in options.table or nothing
        numbers = [*(reader.numbers() if everything else []), *(name for name in options.table if name != "all")]
        figures = reader.figures() if everything or "all" in options.figure else options.figure
        suites = [leaderboard.load()] if nothing or options.leaderboard else []
        every = [*map(reader.load, numbers), *(reader.load(number, "figure") for number in figures), *suites]
        found = list(dict.fromkeys(every))
        if len(named := {table.name: table for table in found}) < len(found):
            name = next(table.name for table in found if named[table.name] is not table)
            raise UserError(f"two tables are called '{name}', and their files would be, too: rename one")
        return [table.on(self.resolver.dataset) for table in found] if self.resolver.dataset else found

    def plan(self, tables: Sequence[Table], seeds: Sequence[int] | None = None) -> Plan:
        """What tables need and what of it is recorded, without estimates.

        Args:
            tables: as selected.
            seeds: of the students; None for the wanted ones.
        """
        retry = self.options.retry_failed
        return make_plan(tables, self.expansion, seeds or self.options.seeds, self.store, retry=retry)

    @cached_property
    def expansion(self) -> Expansion:
        """Expands cells into jobs, each once for all plans of this command."""
        return Expansion(self.resolver)

    def training_plan(self) -> Plan:
        """What the wanted tables need, with the estimated time of what is missing.

        Raises:
            UserError: a file of ``--teacher`` cannot stand in for its network.
        """
        options, (names, threads) = self.options, self.workers
        remarks = self._teacher_remarks
        measured = estimates.load_estimates(options.results, names[0], threads)
        here, retry = self.here if options.retrain else (), options.retry_failed
        plan = make_plan(self.tables, self.expansion, options.seeds, self.store, measured, retry=retry, here=here)
        return replace(plan, remarks=(*remarks, *plan.remarks))

    @cached_property
    def _teacher_remarks(self) -> tuple[str, ...]:
        """Remarks on the files of ``--teacher`` that the wanted tables use; the files are checked here."""
        firsts = ((cell.teacher_recipe, cell.pair.teachers[0].network) for table in self.tables for cell in table.cells)
        teachers = dict.fromkeys(TeacherChoice(*first) for first in firsts if first[1] in self.given)
        jobs = [job for job in map(self.resolver.teacher, teachers) if isinstance(job, Pretrained)]
        return teacher_files.check(jobs, self.options.checkpoints, self.say)

    @cached_property
    def lookup(self) -> Lookup:
        """Finds the cells of the wanted tables, and runs, by their names."""
        return Lookup(self.whole_tables, self.options.seeds, self.store, self.plan)

    def arranged(self, plan: Plan, budget: float | None) -> tuple[Plan, Choice | None]:
        """Split and order a plan's cohorts for the processes that there are.

        Args:
            plan: with estimates.
            budget: seconds; None for all that is missing.

        Returns:
            The plan, and what was chosen for the budget, if there is one.
        """
        assert plan.estimates is not None, "only a training plan can be arranged"
        slots, estimated_seconds = len(self.workers[0]), plan.estimates.estimated_seconds
        if budget is None:
            return replace(plan, cohorts=pack(plan.cohorts, slots, estimated_seconds).cohorts), None
        choice = choose(plan, slots, estimated_seconds, budget, reserve=START_SECONDS + UNCERTAIN * budget)
        return replace(plan, cohorts=choice.cohorts), choice

    def time(self, plan: Plan) -> str:
        """The estimated time of an arranged plan, for people."""
        return plan.about(simulate(plan.cohorts, len(self.workers[0])).makespan)

    def whole_plan(self) -> Plan:
        """One plan of whole tables over the wanted and default seeds: printed and written tables are its views."""
        return self.plan(self.whole_tables, tuple(dict.fromkeys((*self.options.seeds, *DEFAULT_SEEDS))))

    def at_every_profile(self) -> list[Session]:
        """The same session in every profile, those first that train on the paper's data."""
        others = (name for name in overrides.names("profile") if name != self.options.profile)
        options = (argparse.Namespace(**{**vars(self.options), "profile": name}) for name in others)
        sessions = [self, *(Session(each, self.say) for each in options)]
        return sorted(sessions, key=lambda each: (each.resolver.profile.stand_in, each.resolver.profile.name))


def recorded_seeds(table: Table, plan: Plan, wanted: Sequence[int] = ()) -> tuple[int, ...]:
    """The wanted seeds and those of which the table's students have records; the default ones if there are none."""
    jobs = (job for cell in table.cells if cell.method != TEACHER for job in plan.cells[cell.key])
    found = {job.seed for job in jobs if job.id in plan.records}
    return tuple(sorted({*wanted, *found})) or DEFAULT_SEEDS
