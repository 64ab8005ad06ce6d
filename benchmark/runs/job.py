"""Jobs: the nodes of a plan, frozen, with an id that covers everything that could change the result.

All kinds take the same way: planned, looked up in the store, locked by one process, and left as a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from benchmark.ids import digest, short_id
from benchmark.runs.drafts import own_code_and_data
from benchmark.runs.names import ALONE, NO_TEACHER, Link, MethodName, PairName, path_part
from benchmark.runs.objective import Objective, Term
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
        return {**head, **self.inputs, **own_code_and_data(self.network, self.recipe.dataset), "seed": self.seed}

    @cached_property
    def id(self) -> str:
        """SHA-256 of the spec's canonical JSON."""
        return digest(self.spec)

    @property
    def pair(self) -> PairName:
        """The network and its teacher's, ``none`` standing for no teacher; a chain where the teacher had a teacher."""
        teachers = self.teacher_job.chain if self.teacher_job else (Link(NO_TEACHER, ALONE),)
        return PairName.of(teachers, self.network)

    @property
    def chain(self) -> tuple[Link, ...]:
        """The job's network as a teacher, after the teachers that it learned from."""
        return (Link(self.network, ALONE),)

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


def reference(job: Job | None) -> dict[str, str] | None:
    """How the spec of a job refers to another one."""
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
        method = {"name": self.term.name, **self.term.code}
        return {"recipe": self.recipe.spec, "method": method, "teacher": reference(self.teacher)}

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
    method: MethodName = ALONE

    @property
    def needs(self) -> tuple[Job, ...]:
        return (*([self.teacher] if self.teacher else []), *self.stages)

    @property
    def teacher_job(self) -> Job | None:
        return self.teacher

    @property
    def chain(self) -> tuple[Link, ...]:
        return (*(self.teacher.chain if self.teacher else ()), Link(self.network, self.method))

    @property
    def inputs(self) -> Mapping[str, Any]:
        made = {"recipe": self.recipe.spec, "objective": self.objective.spec, "teacher": reference(self.teacher)}
        return made | ({"stages": [stage.id for stage in self.stages]} if self.stages else {})

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
        return self.teacher is None or self.objective.applies(self.network, self.teacher.network)
