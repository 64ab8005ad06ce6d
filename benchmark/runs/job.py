"""Jobs: the nodes of a plan, frozen, with an id that covers everything that could change the result.

All kinds take the same way: planned, looked up in the store, locked by one process, and left as a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmark import data
from benchmark.files import fitted
from benchmark.ids import digest, short_id
from benchmark.registry import catalog
from benchmark.runs.names import NO_TEACHER, STUDENT, PairName
from benchmark.runs.objective import Objective, Term, applicable
from benchmark.runs.recipe import Recipe

NUMERICS = 2
"""Version of the engine's arithmetic: raise it when the loop, the stream or the initial weights change results."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A node of the plan.

    Attributes:
        kind: ``train``, ``stage``, ``evaluate``, ``probe`` or ``analyse``.
        leaves_weights: whether jobs that need this one need its weights.
        keeps_weights: whether a teacher's weights are kept among the results.
        recipe: the recipe, resolved for this network.
        network: registry name of the network that the job is about.
        seed: seed of everything random.
    """

    kind: ClassVar[str]
    leaves_weights: ClassVar[bool] = True
    keeps_weights: ClassVar[bool] = False

    recipe: Recipe
    network: str
    seed: int = 0

    @property
    def needs(self) -> tuple[Job, ...]:
        """The jobs that must be finished before this one."""
        return ()

    @property
    def teacher_job(self) -> Job | None:
        """The job that leaves the teacher's weights, or None."""
        return None

    @property
    def parts(self) -> tuple[Job, ...]:
        """The needed jobs that belong to this one: its pretraining stages, or the run that it measures."""
        return tuple(need for need in self.needs if need != self.teacher_job)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the result depends on besides kind, network, seed and engine."""
        raise NotImplementedError

    @property
    def folder(self) -> str:
        """A readable name of the job, which is a folder in the record's path."""
        raise NotImplementedError

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        """Jobs with equal keys run together."""
        return (self.kind, self.id)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Everything that could change the result, and nothing else."""
        head = {"kind": self.kind, "numerics": NUMERICS, "network": self.network}
        return {**head, **self.inputs, **_own(self.network, self.recipe.dataset), "seed": self.seed}

    @cached_property
    def id(self) -> str:
        """SHA-256 of the spec's canonical JSON."""
        return digest(self.spec)

    @property
    def pair(self) -> PairName:
        """The network and its teacher's, ``none`` standing for no teacher."""
        return PairName(self.teacher_job.network if self.teacher_job else NO_TEACHER, self.network)

    @property
    def path(self) -> str:
        """Path of the job's record, checkpoint and log below their roots, without suffix."""
        return f"{self.recipe.name}/{self.pair.folder}/{path_part(self.folder)}/seed{self.seed}-{short_id(self.id)}"

    @property
    def title(self) -> str:
        """The job in messages."""
        return self.folder

    def __str__(self) -> str:
        return f"{self.pair} {self.title} seed {self.seed}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def path_part(folder: str) -> str:
    """A job's folder in paths; if it is too long, the part before ``@`` is shortened."""
    name, at, what = folder.partition("@")
    return f"{fitted(name, len((at + what).encode()))}{at}{what}"


def _own(network: str, dataset: str) -> dict[str, Any]:
    """The parts of a spec that stand for the code of network and data set and for the data, beyond their names.

    For a settled network its revision above 1; for drafts and plug-ins their code and the content of the data.
    """
    known = catalog.networks().get(network)
    codes = {"network": known.code if known else "", "dataset": data.code_of(dataset)}
    own: dict[str, Any] = {"code": {what: code for what, code in codes.items() if code}}
    if content := data.content_of(dataset):
        own["data"] = {"sha256": content, "decoding": data.DECODING}
    if known and known.revision > 1:
        own["network_revision"] = known.revision
    return {part: found for part, found in own.items() if found}


def _named(job: Job | None) -> dict[str, str] | None:
    return None if job is None else {"network": job.network, "id": job.id}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained(Job):
    """Published or given weights: read, measured, and used as a teacher.

    Attributes:
        weights: SHA-256 of the file, or its beginning if the publisher states only that.
        source: the file, or torchvision's name of the weights; not part of the id.
        part: ``student`` or ``teacher``, if the user chose between two networks in the file.
    """

    kind = "evaluate"

    weights: str
    source: Path | str
    part: str = ""

    @property
    def inputs(self) -> Mapping[str, Any]:
        chosen = {"part": self.part} if self.part else {}
        return {"recipe": {"name": self.recipe.name, **self.recipe.view}, "weights": self.weights, **chosen}

    @property
    def folder(self) -> str:
        return "given"


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage(Job):
    """A method's pretraining stage: trains a student's features, or the method's modules on the teacher's features.

    Attributes:
        term: the method with its options; the weight has no effect.
        teacher: the job that leaves the teacher.
        student: whether a student is trained; if not, ``network`` is the teacher's and stays fixed.
    """

    kind = "stage"

    term: Term
    teacher: Job
    student: bool

    @property
    def needs(self) -> tuple[Job, ...]:
        return (self.teacher,)

    @property
    def teacher_job(self) -> Job:
        return self.teacher

    @property
    def inputs(self) -> Mapping[str, Any]:
        return {
            "recipe": asdict(self.recipe),
            "method": {"name": self.term.name, **self.term.code},
            "teacher": _named(self.teacher),
        }

    @property
    def folder(self) -> str:
        return f"{self.term.title}@stage"

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.recipe.stream, self.seed, self.teacher.id)

    @property
    def title(self) -> str:
        return f"{self.term.title}, first stage,"


@dataclass(frozen=True, kw_only=True, eq=False)
class Run(Job):
    """A network trained by a recipe and an objective, under a teacher or alone.

    Attributes:
        objective: the resolved objective.
        teacher: the job that leaves the teacher's weights, or None.
        stages: pretraining stages of its methods, sorted by the method's name.
        method: the name by which the objective was requested; not part of the id.
    """

    kind = "train"
    keeps_weights = True

    objective: Objective
    teacher: Job | None
    stages: tuple[Stage, ...] = ()
    method: str = STUDENT

    @property
    def needs(self) -> tuple[Job, ...]:
        return (*([self.teacher] if self.teacher else []), *self.stages)

    @property
    def teacher_job(self) -> Job | None:
        return self.teacher

    @property
    def inputs(self) -> Mapping[str, Any]:
        stages = {"stages": [stage.id for stage in self.stages]} if self.stages else {}
        return {
            "recipe": asdict(self.recipe),
            "objective": self.objective.spec,
            "teacher": _named(self.teacher),
            **stages,
        }

    @property
    def folder(self) -> str:
        return self.objective.folder

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        # Without a teacher only the stream is shared: one network per cohort keeps processes evenly busy.
        return (self.kind, self.recipe.stream, self.seed, self.teacher.id if self.teacher else self.network)

    @property
    def title(self) -> str:
        return self.method

    @property
    def applies(self) -> bool:
        """Whether the requirements of all its methods allow this pair of networks."""
        teacher = self.teacher
        return teacher is None or all(
            applicable(term.name, self.network, teacher.network) for term in self.objective.terms
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe(Job):
    """A linear classifier trained on the features of a frozen network.

    Attributes:
        base: the run that leaves the network.
    """

    kind = "probe"
    leaves_weights = False

    base: Run

    @property
    def needs(self) -> tuple[Job, ...]:
        return (self.base,)

    @property
    def inputs(self) -> Mapping[str, Any]:
        return {"recipe": asdict(self.recipe), "base": _named(self.base)}

    @property
    def folder(self) -> str:
        return self.base.folder

    @property
    def pair(self) -> PairName:
        return self.base.pair

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.recipe.stream, self.seed, self.network)

    @property
    def title(self) -> str:
        return f"{self.base.title}, probe on {self.recipe.dataset},"


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis(Job):
    """A measurement of a network's outputs on the test images, in float32.

    Attributes:
        measure: name of the measure, a file of ``benchmark/analysis``.
        revision: revision of the measure's code.
        subject: the job that leaves the network.
        teacher: the job that leaves the network it is compared with, or None.
    """

    kind = "analyse"
    leaves_weights = False

    measure: str
    revision: int
    subject: Job
    teacher: Job | None

    @property
    def needs(self) -> tuple[Job, ...]:
        return (self.subject, *([self.teacher] if self.teacher else []))

    @property
    def teacher_job(self) -> Job | None:
        return self.teacher or self.subject.teacher_job

    @property
    def inputs(self) -> Mapping[str, Any]:
        measure = {"name": self.measure, "revision": self.revision}
        return {"measure": measure, "subject": _named(self.subject), "teacher": _named(self.teacher)}

    @property
    def folder(self) -> str:
        return f"{self.subject.folder}@{self.measure}"

    @property
    def cohort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.measure, self.seed, self.teacher.id if self.teacher else self.network)

    @property
    def title(self) -> str:
        return f"{self.subject.title}, {self.measure},"
