"""Check drafts and plug-ins on one small batch: `benchmark.planning.plugin_check` runs this module as a process."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.planning.check_process import Report, answer
from benchmark.planning.plugin_check import Subject
from benchmark.runs.job import Job, Run
from benchmark.runs.names import NO_TEACHER
from benchmark.runs.objective import Objective, Term
from benchmark.training.isolation import ProcessState, SharedStateError
from benchmark.training.loss import build_method, not_applicable_without_parts
from benchmark.training.pairs import synthetic_pair
from benchmark.training.precision import autocast
from benchmark.training.python_state import code_state
from benchmark.training.samples import random_batch
from benchmark.training.step_check import ContractError, check_steps, check_unchanged
from benchmark.training.teacher import SharedBatch, Teacher
from benchmark.training.trained_network import trained_network
from benchmark.training.weights import new_network, on_device
from methods import Batch, Method, NotApplicableError, Pair
from models import Features, Network
from models.features import resize

IMAGES = 8
PROGRESS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of the training at which a loss is computed: its weight may rise from zero, or fall to it."""
_CPU = torch.device("cpu")


def check(subject: Subject) -> Report:
    """Check a method or a network; a fault is one line that names its file."""
    process = ProcessState()
    try:
        remark = _check_subject(subject, process)
    except NotApplicableError:
        return Report(None)
    except (ContractError, SharedStateError) as error:
        process.restore()
        return Report(f"{subject.title} of {subject.path}: {error}")
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        lines = traceback.extract_tb(error.__traceback__)
        own = [frame.lineno for frame in lines if Path(frame.filename).resolve() == subject.path]
        place = f"{subject.path}:{own[-1]}" if own else f"{subject.path}"
        words = " ".join(str(error).split())
        return Report(f"{subject.title} of {place}: {type(error).__name__}: {words}")
    title = f"{subject.title} of {subject.path}"
    return Report(remarks=(f"{title} runs eagerly on a GPU, not as a CUDA graph: {remark}",) if remark else ())


def _check_subject(subject: Subject, process: ProcessState) -> str | None:
    remark = _check_network(subject.jobs[0]) if subject.term is None else _check_method(subject.term, subject.jobs)
    if changed := process.restore():
        raise ContractError(f"it changes {changed[0]} for the whole process, which other runs share")
    return remark


def _check_network(job: Job) -> str | None:
    network, batch = new_network(job, _CPU).train(), random_batch(job, IMAGES, _CPU)
    for mode in (False, True):
        features = _forward(network.train(mode), job, batch.images)
    if not isinstance(features, Features):
        raise ContractError("forward does not return models.Features")
    expected = (IMAGES, network.num_classes)
    if features.logits.shape != expected:
        raise ContractError(f"the logits have shape {tuple(features.logits.shape)}, not {expected}")
    if features.embedding.shape != (IMAGES, network.classifier.in_features):
        raise ContractError("the embedding is not what the classifier takes")
    finite = torch.isfinite(features.logits)
    if not (finite | features.logits.isneginf()).all() or not finite.any(dim=1).all():  # some may be masked
        raise ContractError("the logits are not finite")
    if not _has_gradient(features.logits[finite].square().sum(), list(network.parameters())):
        raise ContractError("no gradient of the logits reaches the parameters")
    alone = Run(recipe=job.recipe, network=job.network, seed=job.seed, objective=Objective(ce=1.0), teacher=None)
    return check_steps(alone, None)


def _check_method(term: Term, jobs: Sequence[Job]) -> str | None:
    """Check a method on the first pair of networks to which it applies.

    Returns:
        Why its steps cannot be captured as a CUDA graph, if so.

    Raises:
        ContractError: the method violates the contract.
        NotApplicableError: it applies to no pair.
    """
    for job in jobs:
        try:
            return _check_on_pair(term, job)
        except NotApplicableError:
            continue
    raise NotApplicableError


def _check_on_pair(term: Term, job: Job) -> str | None:
    torch.manual_seed(0)
    teacher = None
    if job.teacher_job is not None:
        # Another seed: a student of the teacher's architecture would start with its weights, and all losses at zero.
        other = replace(job.teacher_job, seed=job.teacher_job.seed + job.seed + 1)
        network = trained_network(other, _CPU)
        _settle(network, job)
        teacher = Teacher(network, job.recipe.precision)
    _check_losses(term, job, teacher)
    stages = job.stages if isinstance(job, Run) else ()
    remarks = [check_steps(each, teacher) for each in (*stages, job)]
    return next(filter(None, remarks), None)


def _settle(network: Network, job: Job) -> None:
    """Give batch-norms the statistics of random images: without them, the logits of a deep network are huge."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(resize(random_batch(job, IMAGES, _CPU).images, network.in_size))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _check_losses(term: Term, job: Job, teacher: Teacher | None) -> None:
    """Check the losses of one batch at several stages of the training."""
    student = new_network(job, _CPU).train()
    pair = synthetic_pair(job, student, teacher.network if teacher else None)
    assert pair is not None
    method = _build(term, job, pair)
    student = _wrapped(method, student, pair).train()
    code_before = code_state(method)
    batch, shared = _batch(job, method, student, teacher)
    mine = batch.student(batch.images)
    train_mode = "teacher_in_train_mode" in method.requires
    theirs = shared.teacher(train_mode=train_mode) if teacher and method.teacher != NO_TEACHER else mine
    with not_applicable_without_parts(method):
        if method.pretrain == "student":
            loss = method.pretrain_loss(mine, theirs, batch)
            _check_parts([loss], nn.ModuleList(student.trunk()), "its pretrain_loss")
        elif method.pretrain == "teacher":
            alone = _build(term, job, replace(pair, student=pair.teacher))
            loss = alone.pretrain_loss(theirs, theirs, batch)
            _check_parts([loss], alone.pretrain_modules(), "its pretrain_loss")
        method.pretrain_modules().requires_grad_(requires_grad=False)
        losses = [method(mine, theirs, _at(batch, done)) for done in PROGRESS]
    if losses[0] or method.pretrain != "student":
        _check_parts(losses, student, "its loss")
    check_unchanged(code_before, code_state(method))


def _batch(job: Job, method: Method, student: Network, teacher: Teacher | None) -> tuple[Batch, SharedBatch]:
    """A random batch with the networks of a run, and what the run shares with others."""
    batch = random_batch(job, IMAGES, _CPU, views=method.views)
    shared = SharedBatch(batch.views, teacher)

    def run_student(images: Tensor) -> Features:
        return _forward(student, job, images).full()

    generator = torch.Generator().manual_seed(0)
    epochs = torch.tensor(float(job.recipe.epochs))
    batch = replace(batch, generator=generator, epochs=epochs, student=run_student, teacher=shared.run_teacher)
    return batch, shared


def _at(batch: Batch, done: float) -> Batch:
    """The batch at a fraction of the training."""
    return replace(batch, progress=torch.tensor(done), epoch=(done * batch.epochs).ceil().clamp(min=1))


def _build(term: Term, job: Job, pair: Pair) -> Method:
    method = build_method(term, pair, job.seed, job.recipe.precision)
    for role, network in (("teacher", pair.teacher_network), ("student", pair.student_network)):
        _check_not_shared(method, role, network)
    return method


def _wrapped(method: Method, student: Network, pair: Pair) -> Network:
    """What a method wraps the student into, checked against what training and export rely on."""
    classes, plain = student.num_classes, _sizes(student)
    wrapped = method.wrap(student)
    if not isinstance(wrapped, Network) or wrapped.num_classes != classes:
        raise ContractError(f"its wrap must return a models.Network with logits of {classes} classes")
    if wrapped.wrapping is None and _sizes(wrapped) != plain:
        raise ContractError(
            "its wrap changes the student, so that no other network could load its weights: return a network around it "
            "that states its wrapping, as methods/simkd.py does"
        )
    if pair.teacher_network is not None:
        _check_not_shared(wrapped, "teacher", pair.teacher_network)
    return on_device(wrapped, _CPU)


def _sizes(network: Network) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _check_not_shared(module: nn.Module, role: str, network: nn.Module) -> None:
    memory = {tensor.data_ptr() for tensor in network.state_dict().values() if tensor.numel()}
    for name, tensor in module.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in memory:
            raise ContractError(f"'{name}' is the {role}'s own: use it through self.pair.{role}_network instead")


def _forward(network: Network, job: Job, images: Tensor) -> Features:
    with autocast(job.recipe.precision, _CPU):
        features: Features = network(resize(images, network.in_size))
    return features


def _check_parts(losses: Sequence[Mapping[str, Tensor]], trained: nn.Module, what: str) -> None:
    """Check that losses consist of finite scalars, and that one of them has a gradient by the trained parameters."""
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    reached = [_has_gradient(_total(parts, what), parameters) for parts in losses]
    if not any(reached):
        raise ContractError(
            f"{what} gives no gradient to what it trains: does it use the student's features, undetached?"
        )


def _total(parts: Mapping[str, Tensor], what: str) -> Tensor:
    if not isinstance(parts, Mapping) or not parts or not all(isinstance(name, str) for name in parts):
        raise ContractError(f"{what} must be a dictionary of named scalars, like {{'mine': loss}}")
    for name, part in parts.items():
        if not isinstance(part, Tensor) or part.shape != () or not part.is_floating_point():
            form = f"{part.dtype} of shape {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
            raise ContractError(f"part '{name}' of {what} must be a scalar tensor of floating point, not {form}")
        if not torch.isfinite(part):
            raise ContractError(f"part '{name}' of {what} is {part.item()} on random images")
    return torch.stack([part.float() for part in parts.values()]).sum()


def _has_gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> bool:
    """Whether a loss has a nonzero gradient by some of the parameters.

    Raises:
        ContractError: a gradient is not finite.
    """
    if not loss.requires_grad or not parameters:
        return False
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    gradients = [gradient for gradient in found if gradient is not None]
    if not all(torch.isfinite(gradient).all() for gradient in gradients):
        raise ContractError("a gradient is not finite on random images")
    return any(bool(gradient.any()) for gradient in gradients)


if __name__ == "__main__":
    answer(check)
