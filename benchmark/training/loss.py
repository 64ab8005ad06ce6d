"""An objective as a module: cross-entropy plus weighted terms, each a method that owns its modules."""

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
from benchmark.runs.objective import Objective, Term
from benchmark.training.precision import compute_in
from benchmark.training.randomness import seeded
from benchmark.training.teacher import View
from methods import Batch, Method, NotApplicableError, Pair
from models import Features, MissingPartError


class ObjectiveLoss(nn.Module):
    """The loss of one run.

    Args:
        objective: weights and terms.
        pair: None where no term needs one.
        seed: of the terms' initial parameters.
        precision: of the terms' modules; what they do with the outputs is float32.
    """

    def __init__(self, objective: Objective, pair: Pair | None, seed: int, precision: str = "fp32") -> None:
        super().__init__()
        self._ce = objective.ce
        self._weights = {term.name: term.weight for term in objective.terms}
        modules = _modules(objective, pair, seed, precision)
        self._train_mode = {name: "teacher_in_train_mode" in module.requires for name, module in modules.items()}
        self.terms = nn.ModuleDict(modules)
        for module in modules.values():
            module.pretrain_modules().eval().requires_grad_(requires_grad=False)  # done with when a run begins

    @property
    def teacher_modes(self) -> frozenset[bool]:
        """The modes in which the terms look at the teacher, True for train mode."""
        return frozenset(self._train_mode.values())

    @property
    def projects(self) -> bool:
        """Whether a term has a connector by which the student's embedding can be compared with the teacher's."""
        return any(type(term).project is not Method.project for term in self._methods())

    def project(self, student: Features) -> Tensor | None:
        """The student's embedding in the teacher's space ``(B, C_T)``, by the first term that has a connector."""
        found = (term.project(student) for term in self._methods())
        return next((embedding for embedding in found if embedding is not None), None)

    def load_pretrained(self, term: str, state: Mapping[str, Tensor]) -> None:
        """Fill what a term prepared in its first stage."""
        cast("Method", self.terms[term]).pretrain_modules().load_state_dict(state)

    def forward(self, student: Features, view: View, batch: Batch) -> dict[str, Tensor]:
        """Weighted named parts, scalars that sum to the loss."""
        parts = {"ce": self._ce * functional.cross_entropy(student.logits, batch.targets)}
        for name, method in zip(self.terms, self._methods(), strict=True):
            teacher = view.teacher(train_mode=self._train_mode[name])
            with needing_parts(method):
                values = method(student, teacher, batch)
            parts |= {f"{name}.{part}": self._weights[name] * value for part, value in values.items()}
        return parts

    def _methods(self) -> list[Method]:
        return [cast("Method", term) for term in self.terms.values()]


@contextmanager
def needing_parts(method: Method | type[Method]) -> Iterator[None]:
    """What a method does with its networks: it cannot be applied where one lacks a part that it asks for there.

    Raises:
        NotApplicableError: a network lacks a part.
    """
    try:
        yield
    except MissingPartError as error:
        raise NotApplicableError(f"{method.title} needs {error.part}, which {error.network} has not") from error


def build_method(term: Term, pair: Pair, seed: int, precision: str = "fp32") -> Method:
    """A term's method, its initial parameters drawn for its name and the seed, its modules in a network's precision.

    Raises:
        UserError: the method's code is no longer what the term's says.
        NotApplicableError: the networks lack what it needs.
    """
    kind = methods.load(term.name)
    # Hashed here, for what the catalog knows of a file may be older than what was loaded.
    if term.sha256 and term.sha256 != loaded_code((info := catalog.method(term.name)).path, info.package):
        raise UserError(f"{info.path} changed after the plan was made: run the command again")
    with seeded("method", term.name, seed), needing_parts(kind):
        method = kind(pair, **term.options)
    compute_in(precision, method)
    return method


def _modules(objective: Objective, pair: Pair | None, seed: int, precision: str) -> dict[str, Method]:
    if not objective.terms:
        return {}
    if pair is None:
        raise ValueError(f"the objective {objective.folder} needs a teacher")
    return {term.name: build_method(term, pair, seed, precision) for term in objective.terms}
