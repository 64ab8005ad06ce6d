"""Resolves recipes, profiles, presets and the user's changes to jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from benchmark import analysis, data
from benchmark.config import user_data
from benchmark.config.overrides import HOLDOUT, Override, Preset, Profile, defaults, load_recipe, method_recipe
from benchmark.config.teachers import TeacherChoice, Weights, teacher_of
from benchmark.config.values import is_schedule, recipe_of, scaled, terms_of
from benchmark.errors import UserError
from benchmark.ids import digest
from benchmark.registry import catalog
from benchmark.runs.job import Job, Pretrained, Run, Stage
from benchmark.runs.measurements import Analysis, Probe
from benchmark.runs.names import ALONE, MethodName
from benchmark.runs.objective import Objective, Term, applicable
from benchmark.runs.recipe import Recipe

_DATASET = "dataset"
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ConfigResolver:
    """Resolves recipes at the scale of one profile, with the user's changes.

    Attributes:
        profile: the scale.
        changes: ``--set``, parsed.
        preset: published values that override recipes, if any.
        given: weights of teachers from ``--teacher``, by network; they stand for teachers that were trained alone.
    """

    profile: Profile
    changes: Mapping[str, Any]
    preset: Preset | None = None
    given: Mapping[str, Weights] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the folder of results: ``digits``, ``digits+leaves``, ``digits+1a2b3c4d``."""
        others = {key: value for key, value in self.changes.items() if key != _DATASET}
        return "+".join(filter(None, (self.profile.name, self.dataset, digest(others)[:8] if others else "")))

    @property
    def dataset(self) -> str:
        """The data set that replaces all others by ``--set dataset=NAME``; empty for none."""
        return str(self.changes.get(_DATASET, ""))

    @property
    def stand_in(self) -> bool:
        """Whether data or networks differ from the paper's, so that its numbers and published weights do not fit."""
        return self.profile.stand_in or bool(self.dataset)

    @property
    def title(self) -> str:
        """One line on the profile, or on the data set that the user chose."""
        return f"on {self.dataset}" if self.dataset else self.profile.title

    @property
    def note(self) -> str:
        """A note for tables: on the data set that the user chose, else the profile's note."""
        if not self.dataset:
            return self.profile.note
        info = data.describe(self.dataset)
        images = f"{info.num_train:,} training and {info.num_test:,} test images"
        size = f"{info.image_size} x {info.image_size} pixels, {info.num_classes:,} classes"
        general = [one.values for one in (*self._profile_overrides, *self._general_overrides) if not one.match]
        values = {key: value for each in general for key, value in each.items() if value is not None}
        plain = (key for key in values if "." not in key and key != _DATASET and not is_schedule(key))
        stated = ", ".join(f"{key}={json.dumps(values[key])}" for key in plain)
        return ". ".join(filter(None, (f"Data: {info.name}, {images} of {size}", stated and f"For all runs {stated}")))

    @cached_property
    def _defaults(self) -> Mapping[str, Any]:
        """The methods' default values, by dotted key."""
        return dict(defaults())

    @cached_property
    def _of_data(self) -> Mapping[str, Any]:
        """The values that follow from a plug-in's data set."""
        return user_data.values(self.dataset) if self.dataset else {}

    @property
    def _general_overrides(self) -> tuple[Override, ...]:
        """The values of the data and the user's changes, which apply to all runs."""
        return Override(self._of_data, {}), Override(self.changes, {})

    @cached_property
    def _profile_overrides(self) -> tuple[Override, ...]:
        """The profile's overrides that apply to the data."""
        return tuple(one for one in self.profile.overrides if not (one.on_built_in and self._of_data))

    def run(self, recipe: str, network: str, method: MethodName, teacher: TeacherChoice | None, seed: int) -> Run:
        """The run of a network; its teacher is the chosen run, or given weights."""
        taught = teacher_of(recipe, network, method, teacher)
        what = (recipe, network, method, taught)

        def resolve() -> Run:
            values = self._values(recipe, network, method, taught)
            made, objective = self._once(("made", *what), lambda: _recipe_and_objective(recipe, method, values))
            stages = self._stages(recipe, network, objective.terms, values, taught, seed) if taught else ()
            return Run(
                recipe=made,
                network=network,
                seed=seed,
                objective=objective,
                teacher=self.teacher(taught) if taught else None,
                stages=tuple(stages),
                method=method,
            )

        return self._once(("run", *what, seed), resolve)

    def teacher(self, teacher: TeacherChoice) -> Job:
        """The job that makes a teacher's weights."""

        def resolve() -> Job:
            weights = self._weights(teacher)
            if weights is None:
                return self.run(teacher.recipe, teacher.network, teacher.method, teacher.teacher, teacher.seed)
            return Pretrained(
                recipe=recipe_of(teacher.recipe, self._teacher_values(teacher)),
                network=teacher.network,
                weights=weights.sha256,
                source=weights.source,
                part=weights.part,
            )

        return self._once(("teacher", teacher), resolve)

    def trials(self, recipe: str, network: str, method: MethodName, teacher: TeacherChoice) -> list[Run]:
        """The runs of seed 0 that choose among a tuned method's candidates, tested on held-out training images."""
        return [self._hold_out(self.run(recipe, network, trial, teacher, 0)) for trial in method.trials]

    def probe(self, recipe: str, base: Run) -> Probe:
        """A linear classifier on the features of a run's network."""
        values = self._values(recipe, base.network, ALONE, None)
        # Size and width are those of the trained network, whatever the probe's recipe says.
        network = {"in_size": base.recipe.in_size, "width": base.recipe.width}
        return Probe(recipe=recipe_of(recipe, {**values, **network}), network=base.network, seed=base.seed, base=base)

    def analysis(self, measure: str, subject: Job, teacher: TeacherChoice | None) -> Analysis:
        """A measurement of the network that a job leaves."""
        info = analysis.measures()[measure]
        return Analysis(
            recipe=replace(subject.recipe, precision="fp32"),
            network=subject.network,
            seed=subject.seed,
            measure=measure,
            revision=info.revision,
            subject=subject,
            teacher=self.teacher(teacher) if info.compares and teacher else None,
        )

    @cached_property
    def _resolved(self) -> dict[Hashable, Any]:
        return {}

    def _once(self, key: Hashable, resolve: Callable[[], _Result]) -> _Result:
        """The cached result of ``resolve``: the cells of a table ask for the same values many times."""
        if key not in self._resolved:
            self._resolved[key] = resolve()
        found: _Result = self._resolved[key]
        return found

    def _weights(self, teacher: TeacherChoice) -> Weights | None:
        """Weights that the user gives, or that are published for the paper's own networks and data."""
        if teacher.method.terms:
            return None
        given, known = self.given.get(teacher.network), load_recipe(teacher.recipe).teachers.get(teacher.network)
        if known is None or self.stand_in:
            return given
        if given is None:
            return Weights(known.sha256, known.weights)
        # The published file on the user's disk is the same teacher, with the same id.
        return replace(given, sha256=known.sha256) if given.sha256.startswith(known.sha256) else given

    def _hold_out(self, run: Run) -> Run:
        held = self._values(run.recipe.name, run.network, ALONE, None)[HOLDOUT]
        stages = tuple(replace(stage, recipe=replace(stage.recipe, holdout=held)) for stage in run.stages)
        return replace(run, recipe=replace(run.recipe, holdout=held), stages=stages)

    def _stages(
        self,
        name: str,
        network: str,
        terms: Sequence[Term],
        values: Mapping[str, Any],
        teacher: TeacherChoice,
        seed: int,
    ) -> list[Stage]:
        """The first stages of those methods of a sum that have one."""
        stages = []
        for term in terms:
            info = catalog.method(term.name)
            if not info.pretrain or not applicable(term.name, network, teacher.network):
                continue
            student = info.pretrain == "student"
            trained = values if student else self._teacher_values(teacher)
            prefix = f"objectives.{term.name}.stage"
            rate = values[f"{prefix}.lr"] or values["lr"]
            constant = {"epochs": values[f"{prefix}.epochs"], "lr": rate, "milestones": ()}
            stages.append(
                Stage(
                    recipe=recipe_of(name, {**trained, **constant}),
                    network=network if student else teacher.network,
                    seed=seed if student else 0,
                    term=replace(term, weight=1.0),
                    teacher=self.teacher(teacher),
                    student=student,
                )
            )
        if sum(stage.student for stage in stages) > 1:
            names = " and ".join(stage.term.name for stage in stages)
            raise UserError(f"{names} cannot be summed: each would train the student before it begins")
        return stages

    def _teacher_values(self, teacher: TeacherChoice) -> Mapping[str, Any]:
        """The resolved recipe values by which a teacher is trained."""
        return self._values(teacher.recipe, teacher.network, teacher.method, teacher.teacher)

    def _values(
        self, recipe: str, student: str, method: MethodName, teacher: TeacherChoice | None
    ) -> Mapping[str, Any]:
        """The resolved recipe values of a run, by dotted key: the same for all seeds."""
        of = (recipe, student, method, teacher.network if teacher else "")
        return self._once(("values", *of), lambda: self._resolve_values(*of))

    def _resolve_values(self, recipe: str, student: str, method: MethodName, teacher: str) -> Mapping[str, Any]:
        terms = [name for name, _ in method.terms]
        names = {
            "student": (student,),
            "teacher": (teacher,),
            "method": (*terms, "+".join(terms)) if terms else (),
            "recipe": (recipe,),
        }
        written = load_recipe(recipe)
        preset = self.preset.overrides if self.preset else ()
        values = {**self._defaults, **written.values}
        # By key of a schedule the length of the training for which its value is meant.
        lengths = dict.fromkeys(filter(is_schedule, values), values["epochs"])
        brought = (method_recipe(catalog.method(name)) for name in terms)
        stated = (*brought, *written.overrides, *self._profile_overrides, *preset, *self._general_overrides)
        for override in stated:
            if override.matches(names):
                values.update(override.values)
                lengths |= dict.fromkeys(filter(is_schedule, override.values), values["epochs"])
        values |= {key: scaled(values[key], values["epochs"] / epochs) for key, epochs in lengths.items()}
        if not self.dataset:
            values[_DATASET] = self.profile.datasets.get(values[_DATASET], values[_DATASET])
        return values


def _recipe_and_objective(recipe: str, method: MethodName, values: Mapping[str, Any]) -> tuple[Recipe, Objective]:
    ce = min((values[f"objectives.{name}.ce"] for name, _ in method.terms), default=1.0)
    return recipe_of(recipe, values), Objective(ce, terms_of(values, method))
