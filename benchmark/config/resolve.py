"""Recipes at the scale of one profile: how a job's resolved values follow from its layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark import analysis, data
from benchmark.config import own_data
from benchmark.config.overrides import HOLDOUT, Override, Preset, Profile, defaults, load_recipe
from benchmark.errors import UserError
from benchmark.ids import digest
from benchmark.registry import catalog
from benchmark.runs.job import Analysis, Job, Pretrained, Probe, Run, Stage
from benchmark.runs.objective import MethodName, Objective, Term, applicable, unusual
from benchmark.runs.recipe import RECIPE_KEYS, Recipe

_DATASET = "dataset"


@dataclass(frozen=True)
class Weights:
    """Weights that stand in for a trained teacher.

    Attributes:
        sha256: of the file, or the beginning of it.
        source: the file, or torchvision's name.
        part: ``student`` or ``teacher``, where the user chose between two networks of the file.
    """

    sha256: str
    source: Path | str
    part: str = ""


@dataclass(frozen=True)
class TeacherChoice:
    """Who teaches a run.

    Attributes:
        recipe: that trained it.
        network: its registry name.
    """

    recipe: str
    network: str


@dataclass(frozen=True)
class ConfigResolver:
    """Recipes at the scale of one profile, with the user's changes.

    Attributes:
        profile: the scale.
        changes: ``--set``, parsed.
        preset: somebody else's values, if asked for.
        given: weights of teachers by the network's name, from ``--teacher``.
    """

    profile: Profile
    changes: Mapping[str, Any]
    preset: Preset | None = None
    given: Mapping[str, Weights] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where results of this profile and these changes live: ``digits``, ``digits+leaves``, ``digits+1a2b3c4d``."""
        others = {key: value for key, value in self.changes.items() if key != _DATASET}
        return "+".join(filter(None, (self.profile.name, self.dataset, digest(others)[:8] if others else "")))

    @property
    def dataset(self) -> str:
        """The data set that the user put in the place of all others; empty for none."""
        return str(self.changes.get(_DATASET, ""))

    @property
    def stand_in(self) -> bool:
        """Whether data or networks are others than the paper's, so that neither its numbers nor its weights fit."""
        return self.profile.stand_in or bool(self.dataset)

    @property
    def title(self) -> str:
        """One line for people: what the profile is, or what it does to the data set that the user chose."""
        return f"on {self.dataset}: {self._scale}" if self.dataset else self.profile.title

    @property
    def note(self) -> str:
        """What readers of its tables must know: the data set that the user chose, else the profile's own remark."""
        if not self.dataset:
            return self.profile.note
        info = data.describe(self.dataset)
        images = f"{info.num_train:,} training and {info.num_test:,} test images"
        sentences = [
            f"Data: {info.name}, {images} of {info.image_size} x {info.image_size} pixels, {info.num_classes:,} classes"
        ]
        if own := self._listed(self._of_data):
            sentences.append(f"From the data follow {own}")
        top_k = {**self._general, **self._of_data, **self.changes}.get("top_k", own_data.GUESSES)
        if top_k != own_data.GUESSES:
            sentences.append(f"Top-5 counts the first {f'{top_k} guesses' if top_k > 1 else 'guess'}")
        return ". ".join([*sentences, f"From profile {self.profile.name}: {self._scale}"])

    @property
    def _scale(self) -> str:
        """What the profile sets on the chosen data set, as text."""
        text, others = self._listed(self._general), any(layer.match for layer in self._layers)
        texts = [text, "other values for some networks and methods" if others else ""]
        return ", and ".join(filter(None, texts)) or "the recipes' own values"

    @property
    def _general(self) -> dict[str, Any]:
        """What the profile sets for all recipes."""
        return {key: value for layer in self._layers if not layer.match for key, value in layer.values.items()}

    def _listed(self, values: Mapping[str, Any]) -> str:
        """Recipe values for people, without those that the user changed."""
        changed = {*self.changes, *(filter(_is_schedule, values) if "epochs" in self.changes else ())}
        plain = {key: value for key, value in values.items() if "." not in key and value is not None}
        return ", ".join(f"{key}={json.dumps(value)}" for key, value in plain.items() if key not in changed)

    @cached_property
    def _of_data(self) -> Mapping[str, Any]:
        """What a plug-in's data set says itself."""
        return own_data.values(self.dataset) if self.dataset else {}

    @cached_property
    def _layers(self) -> tuple[Override, ...]:
        """Those of the profile that apply to the data."""
        return tuple(layer for layer in self.profile.layers if not (layer.on_built_in and self._of_data))

    def run(self, recipe: str, network: str, method: MethodName, teacher: TeacherChoice | None, seed: int) -> Run:
        """The run of a network, resolved; its teacher is a run of seed 0, or weights that somebody gave."""
        taught = teacher if method.terms else None
        key = ("run", recipe, network, method, taught, seed)
        if key not in self._resolved:
            self._resolved[key] = self._run(recipe, network, method, taught, seed)
        run: Run = self._resolved[key]
        return run

    def _run(self, recipe: str, network: str, method: MethodName, taught: TeacherChoice | None, seed: int) -> Run:
        values = self._values(recipe, network, method, taught)
        terms = _terms(values, method)
        ce = min((values[f"objectives.{name}.ce"] for name, _ in method.terms), default=1.0)
        return Run(
            recipe=_recipe(recipe, values),
            network=network,
            seed=seed,
            objective=Objective(ce, terms),
            teacher=self.teacher(taught) if taught else None,
            stages=tuple(self._stages(recipe, network, terms, values, taught, seed)) if taught else (),
            method=method,
        )

    def teacher(self, teacher: TeacherChoice) -> Job:
        """What leaves a teacher's weights."""
        key = ("teacher", teacher)
        if key not in self._resolved:
            self._resolved[key] = self._given(teacher) or self.run(
                teacher.recipe, teacher.network, MethodName(), None, 0
            )
        job: Job = self._resolved[key]
        return job

    def trials(self, recipe: str, network: str, method: MethodName, teacher: TeacherChoice) -> list[Run]:
        """The runs of seed 0 that choose among a tuned method's candidates, tested on held-out training images."""
        return [self._trial(self.run(recipe, network, trial, teacher, 0)) for trial in method.trials]

    def probe(self, recipe: str, base: Run) -> Probe:
        """A linear classifier on what a run left."""
        values = self._values(recipe, base.network, MethodName(()), None)
        # The network is what the run made it, whatever the probe's recipe says of such networks.
        made = {"in_size": base.recipe.in_size, "width": base.recipe.width}
        return Probe(recipe=_recipe(recipe, values | made), network=base.network, seed=base.seed, base=base)

    def analysis(self, measure: str, subject: Job, teacher: TeacherChoice | None) -> Analysis:
        """A measurement of what a job left."""
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
    def _resolved(self) -> dict[Any, Any]:
        """What was worked out before: tables ask for the same values again and again."""
        return {}

    def _given(self, teacher: TeacherChoice) -> Pretrained | None:
        published, weights = self._published(teacher), self.given.get(teacher.network)
        if weights is not None and published is not None and weights.sha256.startswith(published.sha256):
            weights = replace(weights, sha256=published.sha256)  # the same weights, already on disk
        weights = weights or published
        if weights is None:
            return None
        values = self._values(teacher.recipe, teacher.network, MethodName(()), None)
        recipe = _recipe(teacher.recipe, values)
        return Pretrained(
            recipe=recipe,
            network=teacher.network,
            weights=weights.sha256,
            source=weights.source,
            part=weights.part,
        )

    def _published(self, teacher: TeacherChoice) -> Weights | None:
        known = load_recipe(teacher.recipe).teachers.get(teacher.network)
        # Narrowed networks and networks on other data have no use for them.
        return None if known is None or self.stand_in else Weights(known["sha256"], known["weights"])

    def _trial(self, run: Run) -> Run:
        held = self._values(run.recipe.name, run.network, MethodName(()), None)[HOLDOUT]
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
        stages = []
        for term in terms:
            info = catalog.method(term.name)
            if not info.pretrain or not applicable(term.name, network, teacher.network):
                continue
            student = info.pretrain == "student"
            trained = values if student else self._values(teacher.recipe, teacher.network, MethodName(()), None)
            prefix = f"objectives.{term.name}.stage"
            rate = values[f"{prefix}.lr"] or values["lr"]
            constant = {"epochs": values[f"{prefix}.epochs"], "lr": rate, "milestones": ()}
            stages.append(
                Stage(
                    recipe=_recipe(name, {**trained, **constant}),
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

    def _values(self, recipe: str, student: str, method: MethodName, teacher: TeacherChoice | None) -> dict[str, Any]:
        key = (recipe, student, method, teacher)
        if key not in self._resolved:
            self._resolved[key] = self._layered(recipe, student, method, teacher)
        values: dict[str, Any] = self._resolved[key]
        return values

    def _layered(self, recipe: str, student: str, method: MethodName, teacher: TeacherChoice | None) -> dict[str, Any]:
        terms = [name for name, _ in method.terms]
        names = {
            "student": (student,),
            "teacher": (teacher.network if teacher else "",),
            "method": (*terms, "+".join(terms)) if terms else (),
            "recipe": (recipe,),
        }
        layers = load_recipe(recipe).layers
        preset = self.preset.layers if self.preset else ()
        values: dict[str, Any] = dict(defaults())
        planned = dict.fromkeys(filter(_is_schedule, values), layers[0].values["epochs"])
        for layer in (*layers, *self._layers, *preset, Override(self._of_data, {}), Override(self.changes, {})):
            if layer.fits(names):
                values.update(layer.values)
                planned |= dict.fromkeys(filter(_is_schedule, layer.values), values["epochs"])
        values |= {key: _scaled(values[key], values["epochs"] / epochs) for key, epochs in planned.items()}
        if not self.dataset:
            values[_DATASET] = self.profile.datasets.get(values[_DATASET], values[_DATASET])
        return values


def _is_schedule(key: str) -> bool:
    return key == "milestones" or key.endswith(".stage.epochs")


def _scaled(value: Any, factor: float) -> Any:
    """A shorter schedule keeps its shape: rates drop, and first stages end, after the same share of the training."""
    if isinstance(value, tuple):
        return tuple(sorted({_scaled(epoch, factor) for epoch in value}))
    return max(1, round(value * factor))


def _recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    for key in RECIPE_KEYS:
        if key not in values and key != "name":
            raise UserError(f"recipe {name} states no '{key}'")
    return Recipe(name=name, **{key: values[key] for key in RECIPE_KEYS if key != "name"})


def _terms(values: Mapping[str, Any], method: MethodName) -> tuple[Term, ...]:
    terms = []
    for name, asked in method.terms:
        info = catalog.method(name)
        prefix = f"objectives.{name}"
        options = {option: values[f"{prefix}.options.{option}"] for option in info.options} | dict(asked)
        terms.append(Term(name, values[f"{prefix}.weight"], unusual(info, options), info.revision, info.code))
    return tuple(terms)
