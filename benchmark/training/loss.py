"""An objective as a module: cross-entropy plus weighted terms, each the loss of a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

import methods
from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.registry.plugins import loaded_code
from benchmark.runs.names import NO_TEACHER
from benchmark.runs.objective import Objective, Term
from benchmark.training.precision import autocast_modules
from benchmark.training.randomness import seeded
from benchmark.training.teacher import STRONG, WEAK, SharedBatch
from methods import Batch, Method, NotApplicableError, Pair
from models import Features, MissingPartError, Network


class ObjectiveLoss(nn.Module):
    """The loss of one run.

    Args:
        pair: may be None if the objective has no terms.
        seed: of the methods' initial parameters.
        precision: in which the methods' modules compute; the losses are float32.
    """

    def __init__(self, objective: Objective, pair: Pair | None, seed: int, precision: str = "fp32") -> None:
        super().__init__()
        self._ce = objective.ce
        self._seed = seed
        self._weights = {term.name: term.weight for term in objective.terms}
        modules = _modules(objective, pair, seed, precision)
        self._train_mode = {name: "teacher_in_train_mode" in module.requires for name, module in modules.items()}
        self._uses_teacher = {name: module.teacher != NO_TEACHER for name, module in modules.items()}
        self.terms = nn.ModuleDict(modules)
        for module in modules.values():
            module.pretrain_modules().eval().requires_grad_(
                requires_grad=False
            )  # trained before the run, and frozen from now on

    @property
    def views(self) -> int:
        """Number of views of each image that the terms use."""
        return max((term.views for term in self._methods()), default=1)

    @property
    def teacher_passes(self) -> frozenset[tuple[bool, int]]:
        """The teacher's forward passes that the terms use: whether in train mode, and the view of the images."""
        taught = [name for name, uses in self._uses_teacher.items() if uses]
        passes = {(self._train_mode[name], WEAK) for name in taught}
        if any(cast("Method", self.terms[name]).views > 1 for name in taught):
            passes.add((False, STRONG))
        return frozenset(passes)

    def wrap(self, network: Network) -> Network:
        """The network to train in place of the student.

        Raises:
            UserError: several terms make such a network.
        """
        wrapping = [name for name, term in zip(self.terms, self._methods(), strict=True) if wraps(type(term))]
        if len(wrapping) > 1:
            raise UserError(f"{' and '.join(wrapping)} cannot be summed: each trains a network of its own form")
        for name in wrapping:
            with seeded("wrap", name, self._seed):
                network = cast("Method", self.terms[name]).wrap(network)
            # So that an exported folder that cannot be loaded without the method says so.
            network.wrapping = network.wrapping or {"kind": type(network).__name__}
        return network

    @property
    def projects(self) -> bool:
        """Whether a method defines `Method.project`."""
        return any(type(term).project is not Method.project for term in self._methods())

    def project(self, student: Features) -> Tensor | None:
        """The student's embedding in the teacher's space ``(B, C_T)`` by the first term that gives one, or None."""
        found = (term.project(student) for term in self._methods())
        return next((embedding for embedding in found if embedding is not None), None)

    def load_pretrained(self, term: str, state: Mapping[str, Tensor]) -> None:
        """Load the ``pretrain_modules`` of a term, trained in its pretraining stage."""
        cast("Method", self.terms[term]).pretrain_modules().load_state_dict(state)

    def forward(self, student: Features, shared: SharedBatch, batch: Batch) -> dict[str, Tensor]:
        """Named and weighted parts: scalars whose sum is the loss."""
        parts = {"ce": self._ce * functional.cross_entropy(student.logits, batch.targets)}
        for name, method in zip(self.terms, self._methods(), strict=True):
            teacher = shared.teacher(train_mode=self._train_mode[name]) if self._uses_teacher[name] else student
            with not_applicable_without_parts(method):
                values = method(student, teacher, batch)
            parts |= {f"{name}.{part}": self._weights[name] * value for part, value in values.items()}
        return parts

    def _methods(self) -> list[Method]:
        return [cast("Method", term) for term in self.terms.values()]


@contextmanager
def not_applicable_without_parts(method: Method | type[Method]) -> Iterator[None]:
    """Raise NotApplicableError if the block needs a part that a network lacks, such as ``trunk()``."""
    try:
        yield
    except MissingPartError as error:
        raise NotApplicableError(f"{method.title} needs {error.part}, which {error.network} lacks") from error


def wraps(kind: type[Method]) -> bool:
    """Whether a method trains another network in place of the student."""
    return kind.wrap is not Method.wrap


def build_method(term: Term, pair: Pair, seed: int, precision: str = "fp32") -> Method:
    """Build a term's method; its initial parameters depend on its name and the seed only.

    The method's modules compute in ``precision``, as networks do.

    Raises:
        UserError: the method's file has changed since the term was planned.
        NotApplicableError: the method does not apply to the pair.
    """
    kind = methods.load(term.name)
    # Hashed here, because the catalog may have read the file before it was changed and loaded.
    if term.sha256 and term.sha256 != loaded_code((info := catalog.method(term.name)).path, info.package):
        raise UserError(f"{info.path} changed after the plan was made: run the command again")
    with seeded("method", term.name, seed), not_applicable_without_parts(kind):
        method = kind(pair, **term.options)
    autocast_modules(precision, method)
    return method


def _modules(objective: Objective, pair: Pair | None, seed: int, precision: str) -> dict[str, Method]:
    if not objective.terms:
        return {}
    if pair is None:
        raise ValueError(f"the objective {objective.folder} needs a pair of networks")
    return {term.name: build_method(term, pair, seed, precision) for term in objective.terms}
