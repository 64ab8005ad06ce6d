"""What the arguments mean: which tables at which scale, where results lie, and the plan for them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from benchmark import data, devices
from benchmark.cli.arguments import DEFAULT_SEEDS, split
from benchmark.config import overrides
from benchmark.config.resolve import ConfigResolver, TeacherChoice, Weights
from benchmark.errors import UserError, unknown
from benchmark.ids import short_id
from benchmark.planning import estimates, teacher_files
from benchmark.planning.budget import Choice, choose
from benchmark.planning.packing import pack, simulate
from benchmark.planning.plan import Plan
from benchmark.planning.planner import make_plan
from benchmark.runs import provenance
from benchmark.runs.job import Pretrained
from benchmark.runs.record import Conditions
from benchmark.runs.store import Store
from benchmark.tables import leaderboard, reader
from benchmark.tables.reader import TEACHER, Table
from benchmark.text import visible_line

START_SECONDS = 6.0
"""Until a new process trains: it imports torch and loads data."""
UNCERTAIN = 0.1
"""Share of a time budget that estimates may be wrong by before something is cut off."""


@dataclass(frozen=True)
class Session:
    """The arguments, understood.

    Attributes:
        options: as parsed.
    """

    options: argparse.Namespace

    @cached_property
    def resolver(self) -> ConfigResolver:
        """Recipes at the wanted scale."""
        changes = overrides.parse_changes(self.options.set)
        if "dataset" in changes:
            data.describe(changes["dataset"])  # an unknown one is an error before anything is looked up or written
        preset = overrides.load_preset(self.options.preset) if self.options.preset else None
        return ConfigResolver(overrides.load_profile(self.profile[0]), changes, preset, self.given)

    @cached_property
    def profile(self) -> tuple[str, str]:
        """Name of the profile, and why it is that one."""
        if self.options.profile:
            return self.options.profile, "as asked"
        if devices.cuda_devices():
            return "paper", "there is a CUDA device"
        return "digits", "there is no CUDA device"

    @cached_property
    def given(self) -> dict[str, Weights]:
        """``--teacher``: files of weights by the network's name."""
        return teacher_files.parse(self.options.teacher)

    @cached_property
    def store(self) -> Store:
        """Where results of this profile and these changes lie."""
        return Store(self.options.results / self.resolver.folder, self.options.checkpoints / self.resolver.folder)

    @cached_property
    def workers(self) -> tuple[list[str], int]:
        """One device name a process, and the threads of each."""
        profile = self.resolver.profile
        threads = self.options.threads or profile.threads
        return devices.workers(self.options.device or profile.device, self.options.jobs, threads)

    @cached_property
    def here(self) -> tuple[Conditions, ...]:
        """What runs that are trained now are made on: the conditions of each device."""
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
        """What sets these tables apart from the others of the profile; part of their files' names."""
        preset = [self.options.preset] if self.options.preset else []
        files = (f"{name}@{file.sha256[:8]}{file.part and f'.{file.part}'}" for name, file in self.given.items())
        return (*preset, *files)

    @property
    def tables(self) -> list[Table]:
        """The wanted tables and figures, as selected."""
        return [selected for _, selected in self._chosen]

    @property
    def whole_tables(self) -> list[Table]:
        """The paper's tables, and beside them those with added methods."""
        wholes = [whole for whole, _ in self._chosen]
        longer = (whole.extended(split(self.options.methods)) for whole in wholes)
        return [*wholes, *(table for table in longer if table.added)]

    @cached_property
    def _chosen(self) -> list[tuple[Table, Table]]:
        """Each wanted table, whole and as selected; of several, those that the selection speaks of."""
        methods, pairs = split(self.options.methods), split(self.options.pairs)
        chosen, errors = [], []
        for table in self._named():
            try:
                chosen.append((table, table.select(methods, pairs)))
            except UserError as error:
                errors.append(error)
        if not chosen:
            raise errors[0]
        taught = {cell.pair.teacher for _, selected in chosen for cell in selected.cells}
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

    def plan(self, chosen: Sequence[Table], seeds: Sequence[int] | None = None) -> Plan:
        """What tables need and what of it is there.

        Args:
            chosen: the tables.
            seeds: of the students; None for the wanted ones, whose time is estimated where it may be trained.

        Raises:
            UserError: a file of ``--teacher`` cannot stand in for its network.
        """
        options, (names, threads) = self.options, self.workers
        here = self.here if options.retrain and seeds is None else ()
        remarks = () if seeds or options.render else self._teacher_remarks
        measured = None
        if not (seeds or options.render or options.status):
            measured = estimates.load_estimates(options.results, names[0], threads)
        seeds = seeds or options.seeds
        plan = make_plan(chosen, self.resolver, seeds, self.store, measured, retry=options.retry_failed, here=here)
        return replace(plan, remarks=(*remarks, *plan.remarks))

    @cached_property
    def _teacher_remarks(self) -> tuple[str, ...]:
        """What is to be known of the files of ``--teacher``, which are checked here: those of the wanted tables."""
        cells = (cell for table in self.tables for cell in table.cells if cell.pair.teacher in self.given)
        teachers = dict.fromkeys(TeacherChoice(cell.teacher_recipe, cell.pair.teacher) for cell in cells)
        jobs = [job for job in map(self.resolver.teacher, teachers) if isinstance(job, Pretrained)]
        return teacher_files.check(jobs, self.options.checkpoints, self._say)

    def arranged(self, plan: Plan, budget: float | None) -> tuple[Plan, Choice | None]:
        """The plan with its cohorts split and ordered for the processes there are, and what was chosen of it.

        Args:
            plan: as made.
            budget: seconds; None for all that is missing, without a choice.
        """
        assert plan.estimates is not None, "a plan that is carried out has estimates"
        slots, estimated_seconds = len(self.workers[0]), plan.estimates.estimated_seconds
        if budget is None:
            return replace(plan, cohorts=pack(plan.cohorts, slots, estimated_seconds).cohorts), None
        choice = choose(plan, slots, estimated_seconds, budget, reserve=START_SECONDS + UNCERTAIN * budget)
        return replace(plan, cohorts=choice.cohorts), choice

    def time(self, plan: Plan) -> str:
        """What an arranged plan takes, for people."""
        return plan.about(simulate(plan.cohorts, len(self.workers[0])).makespan)

    def _say(self, text: str) -> None:
        print(visible_line(text), file=sys.stderr if self.options.json else sys.stdout, flush=True)

    def everything(self) -> list[tuple[Table, Plan, Sequence[int]]]:
        """Whole tables, each over the wanted seeds and those of the default that there are records of for it."""
        return self._over_their_seeds(self.whole_tables, self.options.seeds)

    def found(self, table: Table) -> tuple[Plan, Sequence[int]]:
        """A table over those seeds of the default that there are records of; over all of them where there are none."""
        [(_, plan, seeds)] = self._over_their_seeds([table], ())
        return plan, seeds

    def _over_their_seeds(
        self, wanted: Sequence[Table], asked: Sequence[int]
    ) -> list[tuple[Table, Plan, Sequence[int]]]:
        """Tables, each over some seeds and those of the default that there are records of for it."""
        every = tuple(sorted({*asked, *DEFAULT_SEEDS}))
        most = self.plan(wanted, every)
        seeds = {table: tuple(sorted({*asked, *_found(table, most)})) or every for table in wanted}
        if {*seeds.values()} <= {every}:
            return [(table, most, every) for table in wanted]
        alike: dict[tuple[int, ...], list[Table]] = {}
        for table, own in seeds.items():
            alike.setdefault(own, []).append(table)
        plans = {own: self.plan(same, own) for own, same in alike.items()}
        return [(table, plans[own], own) for table, own in seeds.items()]

    def at_every_profile(self) -> list[Session]:
        """The same at every scale: those first that train on the paper's own data."""
        options = [argparse.Namespace(**{**vars(self.options), "profile": name}) for name in overrides.names("profile")]
        return sorted(map(Session, options), key=lambda session: session.resolver.profile.stand_in)


def _found(table: Table, plan: Plan) -> set[int]:
    """Seeds of a table's students that there are records of."""
    jobs = (job for cell in table.cells if cell.method != TEACHER for job in plan.cells[cell.key])
    return {job.seed for job in jobs if job.id in plan.records}
