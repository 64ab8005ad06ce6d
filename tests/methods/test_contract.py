"""What every method must do, whatever it computes; new methods are found and tested by themselves."""

import copy
import inspect
from typing import ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import methods
from benchmark import catalog
from models import Features

PAIRS = {
    "deeper": ("wrn-16-2", "wrn-40-4", (16, 16)),
    "bottleneck": ("resnet10-narrow", "resnet50-narrow", (16, 16)),
    "stages-differ": ("wrn-16-2", "resnet34-wide", (16, 24)),
    "linear-taps": ("mobilenetv2-cifar", "wrn-16-2", (16, 16)),
}
CASES = [
    pytest.param(name, options, id="-".join([name, *variant]))
    for name in methods.names()
    for variant, options in [((), {}), *(((key,), value) for key, value in methods.load(name).variants.items())]
]
every_method = pytest.mark.parametrize("name", methods.names())
every_case = pytest.mark.parametrize(("name", "options"), CASES)
every_pair = pytest.mark.parametrize("pair", PAIRS)


@pytest.fixture(scope="module")
def benches(make_bench):
    return {key: make_bench(*names, sizes=sizes) for key, (*names, sizes) in PAIRS.items()}


def total(method, seen):
    parts = method(seen.student, seen.teacher, seen.data)
    assert parts
    assert all(part.shape == () for part in parts.values())
    return sum(parts.values())


@every_pair
@every_case
def test_gradient_reaches_student_and_method_but_not_the_teacher(name, options, pair, benches):
    bench = benches[pair]
    bench.student.zero_grad()
    method, seen = methods.load(name)(bench.pair, **options), bench.batch()
    loss = total(method, seen)
    loss.backward()
    reached = [parameter.grad for parameter in bench.student.parameters() if parameter.grad is not None]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in reached)
    assert sum(gradient.abs().sum() for gradient in reached) > 0
    assert all(parameter.grad is not None for parameter in method.parameters())
    assert all(parameter.grad is None for parameter in bench.teacher.parameters())


@every_pair
@every_case
def test_teacher_is_no_part_of_the_method(name, options, pair, benches):
    bench = benches[pair]
    method = methods.load(name)(bench.pair, **options)
    own = {tensor.data_ptr() for tensor in method.state_dict().values() if tensor.numel()}
    assert not set(map(id, method.modules())) & set(map(id, bench.teacher.modules()))
    assert not own & {tensor.data_ptr() for tensor in bench.teacher.state_dict().values()}


@every_method
@pytest.mark.parametrize("size", [2, 3])
def test_small_last_batch(name, size, benches):
    bench = benches["deeper"]
    assert torch.isfinite(total(methods.load(name)(bench.pair), bench.batch(size)))


@every_method
@pytest.mark.parametrize("size", [1, 4])
def test_features_of_a_dead_student_are_finite_with_finite_gradient(name, size, benches):
    bench = benches["stages-differ"]
    shapes, seen = bench.pair.student, bench.batch(size)

    def zeros(*shape):
        return torch.zeros(size, *shape, requires_grad=True)

    taps = tuple(zeros(*tap) for tap in shapes.taps)
    dead = Features(zeros(shapes.num_classes), zeros(shapes.embedding), zeros(*shapes.map), taps, taps)
    seen.student = dead
    loss = total(methods.load(name)(bench.pair), seen)
    loss.backward()
    leaves = [dead.logits, dead.embedding, dead.map, *taps]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves if leaf.grad is not None)


@every_case
def test_same_state_and_generator_give_the_same_loss_and_leave_global_random_numbers_alone(name, options, benches):
    bench = benches["deeper"]
    method = methods.load(name)(bench.pair, **options)
    total(method, bench.batch(seed=0))
    # A fresh instance with other random weights stands for a run that goes on from a checkpoint.
    resumed = methods.load(name)(bench.pair, **options)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = total(method, bench.batch(seed=1))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, total(resumed, bench.batch(seed=1)))


@every_method
def test_double_stays_double(name, make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    assert total(methods.load(name)(bench.pair).double(), bench.batch(dtype=torch.float64)).dtype == torch.float64


class NoWaiting(TorchDispatchMode):
    """Fails where a computation would make the host wait for a GPU: at a value read, or a shape that depends on one."""

    waits: ClassVar = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim"}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        del types
        name = function.overloadpacket.__name__
        assert name not in self.waits, f"{name} waits for the device"
        if name in {"index", "index_put", "index_put_", "_index_put_impl_"}:
            assert not any(index is not None and index.dtype == torch.bool for index in args[1]), (
                "choice by a mask waits"
            )
        return function(*args, **(kwargs or {}))


@every_case
def test_host_never_waits_for_the_device(name, options, benches):
    bench = benches["stages-differ"]
    method, seen = methods.load(name)(bench.pair, **options), bench.batch()
    with NoWaiting():
        total(method, seen).backward()


def test_waiting_is_noticed():
    ones = torch.ones(3)
    for wait in (lambda: ones.sum().item(), lambda: ones[ones > 0], lambda: bool(ones[0] > 0)):
        with NoWaiting(), pytest.raises(AssertionError, match="wait"):
            wait()


@every_method
def test_literals_read_from_the_file_are_those_of_the_class(name):
    method, info = methods.load(name), catalog.methods()[name]
    parameters = inspect.signature(method).parameters.values()
    for literal in ("title", "citation", "revision", "objective", "variants", "requires"):
        assert getattr(info, literal) == getattr(method, literal)
    assert info.options == {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY] == ["pair"]
    assert set(info.objective) == {"ce", "weight"}
    assert all(set(options) <= set(info.options) for options in info.variants.values())


def test_planning_and_training_know_the_same_methods():
    assert sorted(catalog.methods()) == methods.names()


@every_method
def test_loss_depends_on_the_teacher(name, benches):
    bench = benches["deeper"]
    method, seen = methods.load(name)(bench.pair), bench.batch()
    state = copy.deepcopy(method.state_dict())
    first = total(method, seen)
    method.load_state_dict(state)
    other = bench.batch()
    other.teacher = bench.batch(seed=1).teacher
    assert total(method, other) != first
