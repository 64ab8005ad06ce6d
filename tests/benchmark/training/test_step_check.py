"""Planted mistakes: state that a replayed step or a checkpoint would lose is found and named."""

from dataclasses import replace

import pytest
import torch

import methods.kd
from benchmark.training import optimizers
from benchmark.training.step_check import ContractError, check_steps
from benchmark.training.teacher import Teacher
from benchmark.training.weights import new_network
from methods import NotApplicableError


@pytest.fixture
def check(make_job, teacher_job):
    """Checks the steps of a job under a teacher with random weights."""

    def run(method="kd", **changes):
        job = make_job(method, **changes)
        teacher = Teacher(new_network(replace(teacher_job, seed=5), torch.device("cpu")), job.recipe.precision)
        return check_steps(job, teacher)

    return run


@pytest.fixture
def planted(monkeypatch):
    """Lets KD do more in its constructor and in every step; both are given the method and may add to its loss."""

    def plant(step, made=lambda _: None):
        build, forward = methods.kd.KD.__init__, methods.kd.KD.forward

        def init(self, pair, **options):
            build(self, pair, **options)
            made(self)

        def broken(self, student, teacher, batch):
            [loss] = forward(self, student, teacher, batch).values()
            more = step(self, student, teacher, batch)
            return {"kd": loss if more is None else loss + more}

        monkeypatch.setattr(methods.kd.KD, "__init__", init)
        monkeypatch.setattr(methods.kd.KD, "forward", broken)

    return plant


def attribute(name, value):
    return lambda self: setattr(self, name, value())


class Core(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = {"all": 0}

    def forward(self, values):
        self.calls["all"] += 1
        return values * self.calls["all"]


def count(self, *_):
    self._count = self._count + 1


def grow(self, student, *_):
    self.seen.append(1)
    return 0 * student.logits.sum() * len(self.seen)


def allocate_late(self, _student, _teacher, batch):
    if len(batch.targets) < 8 and not hasattr(self, "bank"):  # the last batch of an epoch
        self.bank = torch.zeros(3)


def swap(self, student, *_):
    self.bank = self.bank + student.logits.detach().mean()


def write_beside(self, student, *_):
    self.bank += student.logits.detach().mean()


SEEN = {}


def keep_in_a_global(_self, student, teacher, _batch):
    SEEN.setdefault("mean", teacher.logits.mean())
    return (student.logits.mean() - SEEN["mean"]).square()


def keep_in_the_class(self, student, *_):
    type(self).calls = getattr(type(self), "calls", 0) + 1
    return 0 * student.logits.sum()


IN_PYTHON = {
    "a global": (keep_in_a_global, lambda _: None, r"'global SEEN.mean' appears"),
    "an attribute of the class": (
        keep_in_the_class,
        lambda _: setattr(methods.kd.KD, "calls", 0),
        r"'KD.calls' changes from 0",
    ),
    "a private counter": (count, attribute("_count", int), r"'method.terms.kd._count' changes from 0 to 1"),
    "a list that grows": (grow, attribute("seen", list), r"'method.terms.kd.seen.0' appears"),
    "an allocation in a late step": (allocate_late, lambda _: None, r"'method.terms.kd.bank' appears"),
    "a buffer that is swapped": (
        swap,
        lambda self: self.register_buffer("bank", torch.zeros(())),
        r"'method.terms.kd.bank' is another tensor",
    ),
    "a tensor that no checkpoint has": (
        write_beside,
        attribute("bank", lambda: torch.zeros(())),
        r"'method.terms.kd.bank' is written into, though it is neither a parameter nor a buffer",
    ),
    "an attribute two modules down": (
        lambda self, student, *_: 0 * self.outer(student.logits).sum(),
        attribute("outer", lambda: torch.nn.Sequential(torch.nn.Sequential(Core()))),
        r"'method.terms.kd.outer.0.0.calls.all' changes from 0 to 1",
    ),
    "a generator of its own": (
        lambda self, *_: 0 * torch.rand((), generator=self.generator),
        attribute("generator", torch.Generator),
        r"'method.terms.kd.generator' is drawn from",
    ),
}


@pytest.mark.parametrize(("step", "made", "says"), IN_PYTHON.values(), ids=IN_PYTHON)
def test_what_changes_in_python_is_named(step, made, says, planted, check):
    planted(step, made)
    with pytest.raises(ContractError, match=says):
        check()


ON_THE_HOST = {
    "item": (lambda _, student, *__: 0 * student.logits.mean().item(), "_local_scalar_dense needs a value on the host"),
    "a host random number": (
        lambda *_: 0.0 * __import__("random").random(),
        "it draws from Python's random, not from the batch's generator",
    ),
    "NumPy": (lambda *_: 0.0 * __import__("numpy").random.rand(), "it draws from NumPy's global generator"),
}


@pytest.mark.parametrize(("step", "says"), ON_THE_HOST.values(), ids=ON_THE_HOST)
def test_what_a_replay_cannot_repeat_is_said(step, says, planted, check):
    planted(step)
    assert says in check()


def test_a_rate_in_python_is_found_in_the_numbers(check, monkeypatch):
    monkeypatch.setattr(optimizers, "initial_rate", lambda recipe, _: recipe.lr)
    with pytest.raises(
        ContractError, match=r"a replay of its step gives other numbers .* \(first seen in loss|network"
    ):
        check()


@pytest.mark.parametrize("name", methods.names())
def test_settled_methods_keep_nothing_in_python_and_are_replayed(name, check):
    try:
        assert check(name) is None
    except NotApplicableError:
        assert name == "fsp"
