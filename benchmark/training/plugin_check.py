"""Check drafts and plug-ins on small batches: `benchmark.planning.plugin_check` runs this module as a process."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.planning.plugin_check import Subject
from benchmark.planning.torch_process import Report, answer
from benchmark.runs.job import Job, Run
from benchmark.runs.objective import Objective, Term
from benchmark.training.isolation import ProcessState
from benchmark.training.loss import build_method, needing_parts
from benchmark.training.precision import autocast
from benchmark.training.python_state import code_state
from benchmark.training.samples import pair_of, random_batch
from benchmark.training.step_check import BrokenError, check_steps, see_equal
from benchmark.training.teacher import Teacher, View
from benchmark.training.weights import new_network
from methods import Batch, Method, NotApplicableError, Pair
from models import Features, Network

IMAGES = 8
PROGRESS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of the training at which a loss is computed: its weight may rise from zero, or fall to it."""
_CPU = torch.device("cpu")


def check(subject: Subject) -> Report:
    """Check a method or a network; the fault is None where a method applies to none of its pairs."""
    process = ProcessState()
    try:
        if subject.term is None:
            why: str | None = _check_network(subject.jobs[0])
        else:
            why = _check_where_it_applies(subject.term, subject.jobs)
        if why is None:
            return Report(None)
        _check_process(process)
    except BrokenError as error:
        process.restore()
        return Report(f"{subject.title} of {subject.path}: {error}")
    except Exception as error:  # noqa: BLE001 - code of a user raises anything
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == subject.path]
        place = f"{subject.path}:{lines[-1]}" if lines else f"{subject.path}"
        return Report(f"{subject.title} of {place}: {type(error).__name__}: {' '.join(str(error).split())}")
    remark = f"{subject.title} of {subject.path} is launched step by step on a GPU: {why}"
    return Report(remarks=(remark,) if why else ())


def _check_process(before: ProcessState) -> None:
    if changed := before.restore():
        raise BrokenError(f"it changes {changed[0]} for the whole process, which other runs share")


def _check_where_it_applies(term: Term, jobs: Sequence[Job]) -> str | None:
    """Check a method on the first pair to which it applies.

    Returns:
        Why its steps cannot be captured as a CUDA graph; empty where they can, None where it applies to no pair.
    """
    for job in jobs:
        try:
            return _Check(term, job).run()
        except NotApplicableError:
            continue
    return None


def _check_network(job: Job) -> str:
    network, batch = new_network(job, _CPU).train(), random_batch(job, IMAGES, _CPU)
    for mode in (False, True):
        features = _forward(network.train(mode), job, View(batch.images))
        if not batch.equals(random_batch(job, IMAGES, _CPU)):
            raise BrokenError("it changes the images that it is given, which other runs share")
    if not isinstance(features, Features):
        raise BrokenError("forward gives no models.Features")
    expected = (IMAGES, network.num_classes)
    if features.logits.shape != expected:
        raise BrokenError(f"the logits have shape {tuple(features.logits.shape)}, not {expected}")
    if features.embedding.shape != (IMAGES, network.classifier.in_features):
        raise BrokenError("the embedding is not what the classifier takes")
    finite = torch.isfinite(features.logits)
    if not (finite | features.logits.isneginf()).all() or not finite.any(dim=1).all():  # masked logits are -inf
        raise BrokenError("the logits are not finite")
    if not _moved(features.logits[finite].square().sum(), list(network.parameters())):
        raise BrokenError("no gradient of the logits reaches the parameters")
    alone = Run(recipe=job.recipe, network=job.network, seed=job.seed, objective=Objective(ce=1.0), teacher=None)
    return check_steps(alone, None) or ""


@dataclass(frozen=True)
class _Check:
    """The check of a method, with its options, on the pair of a run that needs it."""

    term: Term
    job: Job

    def run(self) -> str:
        """Build the method and take the steps that training takes.

        Returns:
            Why its steps cannot be captured as a CUDA graph; empty where they can.
        """
        job = self.job
        assert job.teacher_job is not None
        torch.manual_seed(0)
        # With another seed: a student of the same architecture would equal the teacher, and all losses would be zero.
        other = replace(job.teacher_job, seed=job.teacher_job.seed + job.seed + 1)
        teacher = Teacher(new_network(other, _CPU), job.recipe.precision)
        before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
        self._losses(teacher)
        _check_teacher(teacher, before)
        stages = job.stages if isinstance(job, Run) else ()
        remarks = [check_steps(each, teacher) for each in (*stages, job)]
        return next(filter(None, remarks), "")

    def _losses(self, teacher: Teacher) -> None:
        """Check the losses of one batch at several points of the training."""
        job = self.job
        student = new_network(job, _CPU).train()
        batch = replace(random_batch(job, IMAGES, _CPU), generator=torch.Generator().manual_seed(0))
        pair = pair_of(job, student.shapes(), teacher)
        assert pair is not None
        labels = pair.labels.clone()
        method = self._built(pair)
        kept = code_state(method)
        view = View(batch.images, teacher)
        features = _forward(student, job, view).full()
        seen = view.teacher(train_mode="teacher_in_train_mode" in method.requires)
        with needing_parts(method):
            if method.pretrain == "student":
                self._first_stage(method, features, seen, batch, nn.ModuleList(student.trunk()))
            elif method.pretrain == "teacher":
                alone = self._built(replace(pair, student=pair.teacher))
                self._first_stage(alone, seen, seen, batch, alone.pretrain_modules())
            method.pretrain_modules().requires_grad_(requires_grad=False)
            losses = [method(features, seen, replace(batch, progress=torch.tensor(share))) for share in PROGRESS]
        if losses[0] or method.pretrain != "student":
            _check_parts(losses, student, "its loss")
        see_equal(kept, code_state(method))
        self._check_shared(batch, view, teacher)
        if not torch.equal(labels, pair.labels):
            raise BrokenError("it changes the training labels, which other runs share")

    def _check_shared(self, batch: Batch, view: View, teacher: Teacher) -> None:
        if not batch.equals(random_batch(self.job, IMAGES, _CPU)):
            raise BrokenError("it changes the batch, which other runs share")
        found, again = view.untouched.changed(), View(batch.images, teacher).teacher()
        if found is None and any(
            not torch.equal(one, other) for one, other in zip(_tensors(view.teacher()), _tensors(again), strict=True)
        ):
            found = "the teacher's features"
        if found is not None:
            raise BrokenError(f"it changes {found}, which other runs share")

    def _built(self, pair: Pair) -> Method:
        method = build_method(self.term, pair, self.job.seed, self.job.recipe.precision)
        network = pair.teacher_network
        modules = {id(module) for module in network.modules()}
        memory = {tensor.data_ptr() for tensor in network.state_dict().values() if tensor.numel()}
        taken = [name for name, module in method.named_modules() if id(module) in modules]
        taken += [name for name, tensor in method.state_dict().items() if tensor.data_ptr() in memory]
        if taken:
            raise BrokenError(f"'{taken[0]}' is the teacher's own: use it through self.pair.teacher_network instead")
        return method

    def _first_stage(
        self, method: Method, student: Features, teacher: Features, batch: Batch, trained: nn.Module
    ) -> None:
        _check_parts([method.pretrain_loss(student, teacher, batch)], trained, "the loss of its first stage")


def _check_teacher(teacher: Teacher, before: Mapping[str, Tensor]) -> None:
    after = teacher.network.state_dict()
    if not all(torch.equal(tensor, after[name]) for name, tensor in before.items()):
        raise BrokenError("it changes the teacher's weights or statistics")
    if any(parameter.requires_grad for parameter in teacher.network.parameters()):
        raise BrokenError("it lets gradients reach the teacher's parameters: the teacher stays frozen")
    if changed := teacher.frozen.changed(thoroughly=True):
        raise BrokenError(f"it changes the teacher's {changed}, which other runs share")


def _tensors(features: Features) -> list[Tensor]:
    return [features.logits, features.embedding, features.map, *features.feats, *features.preacts]


def _forward(network: Network, job: Job, view: View) -> Features:
    with autocast(job.recipe.precision, _CPU):
        features: Features = network(view.at(network.in_size))
    return features


def _check_parts(losses: Sequence[Mapping[str, Tensor]], trained: nn.Module, what: str) -> None:
    """Check that the parts of a loss are finite scalars, with a gradient at some point of the training."""
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    moved = [_moved(_total(parts, what), parameters) for parts in losses]
    if not any(moved):
        raise BrokenError(
            f"{what} gives no gradient to what it trains: does it use the student's features, undetached?"
        )


def _total(parts: Mapping[str, Tensor], what: str) -> Tensor:
    if not isinstance(parts, Mapping) or not parts:
        given = "is empty" if isinstance(parts, Mapping) else f"is of type {type(parts).__name__}"
        raise BrokenError(f"{what} {given}: it must be a dictionary of named scalars, like {{'mine': loss}}")
    for name, part in parts.items():
        if not isinstance(name, str):
            raise BrokenError(f"{what} has a part named {name!r}, which is no text")
        if not isinstance(part, Tensor) or part.shape != () or not part.is_floating_point():
            form = f"{part.dtype} of shape {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
            raise BrokenError(f"part '{name}' of {what} is {form}, it must be a scalar tensor of floating point")
        if not torch.isfinite(part):
            raise BrokenError(f"part '{name}' of {what} is {part.item()} on random images")
    return torch.stack([part.float() for part in parts.values()]).sum()


def _moved(loss: Tensor, parameters: Sequence[nn.Parameter]) -> bool:
    """Whether the gradient of a loss is nonzero for some parameter.

    Raises:
        BrokenError: the gradient is not finite.
    """
    if not loss.requires_grad or not parameters:
        return False
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    gradients = [gradient for gradient in found if gradient is not None]
    if not all(torch.isfinite(gradient).all() for gradient in gradients):
        raise BrokenError("a gradient is not finite on random images")
    return any(bool(gradient.any()) for gradient in gradients)


if __name__ == "__main__":
    answer(check)
