"""What every method must do, whatever it computes; new methods are found and tested by themselves."""

import copy
import dataclasses
import inspect
import json
from functools import cache
from types import SimpleNamespace

import pytest
import torch

import methods
import models
from benchmark.registry import catalog, description, method_info, plugins
from benchmark.runs.options import checked_options
from benchmark.training.replay import host_waits
from methods.describe import options_of
from models import Features

PAIRS = {
    "wider": ("wrn-16-2", "wrn-40-4", (16, 16)),
    "bottleneck": ("resnet10-narrow", "resnet50-narrow", (16, 16)),
    "stages-differ": ("wrn-16-2", "resnet34-wide", (16, 24)),
    "linear-feats": ("mobilenetv2-cifar", "wrn-16-2", (16, 16)),
    "alike": ("wrn-16-2", "wrn-40-2", (32, 32)),
    "same-feats": ("resnet20", "resnet56", (32, 32)),
    "vgg-to-mobilenet": ("mobilenetv2-half", "vgg13", (32, 32)),
    "resnet-to-shufflenetv1": ("shufflenetv1", "resnet32x4", (32, 32)),
    "resnet-to-shufflenetv2": ("shufflenetv2", "resnet32x4", (32, 32)),
    "bottlenecks-to-vgg": ("vgg8", "resnet50-crd", (32, 32)),
}
CASES = [
    pytest.param(name, options, id="-".join([name, *variant]))
    for name in methods.names()
    for variant, options in [((), {}), *(((key,), value) for key, value in methods.load(name).variants.items())]
]
every_method = pytest.mark.parametrize("name", methods.names())
every_case = pytest.mark.parametrize(("name", "options"), CASES)
every_pair = pytest.mark.parametrize("pair", PAIRS)
# Variants change values more than shapes: two pairs are enough for them. A remainder of two images is the smallest that
# any map can be normed in; how it is computed depends little on the pair.
every_case_and_pair = pytest.mark.parametrize(
    ("name", "options", "pair", "size"),
    [
        pytest.param(*case.values, pair, size, id=f"{case.id}-{pair}-{size}")
        for case in CASES
        for size, pairs in {4: PAIRS, 2: ("stages-differ", "same-feats")}.items()
        for pair in (("bottleneck", "vgg-to-mobilenet") if case.values[1] and size == 4 else pairs)
    ],
)


@pytest.fixture(scope="module")
def benches(make_bench):
    return {key: make_bench(*names, sizes=sizes) for key, (*names, sizes) in PAIRS.items()}


def channels_differ(pair):
    return any(mine[0] != theirs[0] for mine, theirs in zip(pair.student.feats, pair.teacher.feats, strict=False))


def built(name, pair, **options):
    """The method for a pair; None where it needs equal channels and they differ, which it must say there alone."""
    kind = methods.load(name)
    if "equal_channels" not in kind.requires or not channels_differ(pair):
        return kind(pair, **options)
    with pytest.raises(methods.NotApplicableError) as caught:
        kind(pair, **options)
    assert all(word in str(caught.value) for word in (kind.title, pair.student.name, pair.teacher.name))
    return None


def unlike(name, benches):
    """Networks of different numbers of stages; of equal ones where the method needs equal channels."""
    return benches["alike" if "equal_channels" in methods.load(name).requires else "stages-differ"]


def trained(method, bench):
    """The network that trains: the student, or what the method wraps it into."""
    return method.wrap(bench.student).train()


def parts_of(method, seen):
    """The losses that train the student: the pretraining stage's for methods that pretrain it."""
    step = method.pretrain_loss if method.pretrain == "student" else method
    return step(seen.student, seen.student if method.teacher == "none" else seen.teacher, seen.data)


def total(method, seen):
    parts = parts_of(method, seen)
    assert parts
    assert all(part.shape == () for part in parts.values())
    return sum(parts.values())


def gradients(loss, tensors):
    """Gradients of a loss by the places of those of the tensors that it depends on; the graph stays."""
    found = torch.autograd.grad(loss, tensors, allow_unused=True, retain_graph=True) if tensors else ()
    return {place: gradient for place, gradient in enumerate(found) if gradient is not None}


@pytest.fixture(scope="module")
def see(benches):
    """``see(pair, size)`` is a batch whose features many tests share, unless a method wraps the student."""

    @cache
    def features(pair, size):
        return benches[pair].batch(size)

    def make(pair, size, network=None):
        wrapped = network not in (None, benches[pair].student)
        seen = benches[pair].batch(size, network=network) if wrapped else features(pair, size)
        data = dataclasses.replace(seen.data, generator=torch.Generator().manual_seed(0))
        return SimpleNamespace(student=seen.student, teacher=seen.teacher, data=data)

    return make


@every_case_and_pair
def test_gradient_reaches_student_and_method_but_not_the_teacher(name, options, pair, size, benches, see):
    bench = benches[pair]
    if (method := built(name, dataclasses.replace(bench.pair, batch_size=size), **options)) is None:
        return
    network = trained(method, bench)
    seen = see(pair, size, network)
    before = torch.get_rng_state()
    loss = total(method, seen)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    student, parameters = gradients(loss, trainable), list(method.parameters())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in student.values())
    assert student
    # To RKD all pairs of two images are alike.
    assert size == 2 or sum(gradient.abs().sum() for gradient in student.values()) > 0
    pretrain_modules = {id(parameter) for parameter in method.pretrain_modules().parameters()}
    in_stage = method.pretrain == "student"
    expected = {place for place, each in enumerate(parameters) if (id(each) in pretrain_modules) == in_stage}
    assert set(gradients(loss, parameters)) == expected
    assert not any(parameter.requires_grad for parameter in bench.teacher.parameters())
    own = {tensor.data_ptr() for tensor in method.state_dict().values() if tensor.numel()}
    assert not set(map(id, method.modules())) & set(map(id, bench.teacher.modules()))
    assert not own & {tensor.data_ptr() for tensor in bench.teacher.state_dict().values()}


@every_method
@pytest.mark.parametrize("size", [1, 3])
def test_small_last_batch(name, size, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair)
    network = trained(method, bench)
    seen = bench.batch(size, network=network)
    assert torch.isfinite(total(method, seen))
    assert list(parts_of(method, seen)) == list(parts_of(method, bench.batch(bench.pair.batch_size, network=network)))


@every_method
@pytest.mark.parametrize("size", [1, 4])
def test_features_of_a_dead_student_are_finite_with_finite_gradient(name, size, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair)
    network = trained(method, bench)
    shapes, seen = network.shapes(), bench.batch(size, network=network)

    def zeros(*shape):
        return torch.zeros(size, *shape, requires_grad=True)

    feats = tuple(zeros(*shape) for shape in shapes.feats)
    dead = Features(zeros(shapes.num_classes), zeros(shapes.embedding), zeros(*shapes.map), feats, feats)
    seen.student = dead
    loss = total(method, seen)
    loss.backward()
    leaves = [dead.logits, dead.embedding, dead.map, *feats]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves if leaf.grad is not None)


@every_case
@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_masked_classes_leave_loss_and_gradient_finite(name, options, both, benches):
    """A teacher may mask classes by logits of minus infinity, and its student may mask the same ones."""
    bench = benches["same-feats"]
    method = methods.load(name)(bench.pair, **options)
    network = trained(method, bench)
    seen = bench.batch(network=network)
    masks = {"teacher", "student"} if both else {"teacher"}
    for side in masks:
        features = getattr(seen, side)
        parts = {field.name: getattr(features, field.name) for field in dataclasses.fields(Features)}
        parts["logits"] = parts["logits"].index_fill(1, torch.tensor([1, 3]), -torch.inf)
        setattr(seen, side, Features(**parts))
    loss = total(method, seen)
    assert torch.isfinite(loss)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(torch.isfinite(slope).all() for slope in gradients(loss, trainable).values())


@every_case
def test_same_state_and_generator_give_the_same_loss_and_leave_global_random_numbers_alone(name, options, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair, **options)
    network = trained(method, bench)
    total(method, bench.batch(seed=0, network=network))
    # A fresh instance with other random weights stands for a run that goes on from a checkpoint.
    resumed = methods.load(name)(bench.pair, **options)
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = total(method, bench.batch(seed=1, network=network))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, total(resumed, bench.batch(seed=1, network=network)))


@every_method
def test_double_stays_double(name, make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    method = methods.load(name)(bench.pair).double()
    seen = bench.batch(dtype=torch.float64, network=trained(method, bench))
    assert total(method, seen).dtype == torch.float64


@every_case
def test_host_never_waits_for_the_device(name, options, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair, **options)
    seen = bench.batch(network=trained(method, bench))
    with host_waits() as waits:
        total(method, seen).backward()
    assert waits == []


@every_method
def test_literals_read_from_the_file_are_those_of_the_class(name):
    method, info = methods.load(name), catalog.methods()[name]
    parameters = inspect.signature(method).parameters.values()
    for literal in method_info.DECLARED:
        assert getattr(info, literal) == getattr(method, literal)
    assert info.options == options_of(method)
    named = (each.name for each in parameters if each.kind not in (each.KEYWORD_ONLY, each.VAR_KEYWORD))
    assert list(named) == ["pair"]
    assert set(info.objective) == {"ce", "weight"}
    for options in (*info.variants.values(), *info.candidates):
        assert checked_options(info, options) == options


@every_method
def test_planning_reads_it_without_importing_it(name, monkeypatch):
    """A process that imports torch takes seconds, at the first command of every new folder."""
    info = catalog.methods()[name]
    if info.code:
        return  # a plug-in may derive from a method
    monkeypatch.setattr(description, "run_module", None)
    monkeypatch.setenv(plugins.CACHE_VARIABLE, "nowhere")
    assert catalog.read_method(plugins.SourceFile(plugins.METHOD, info.path)) == info


def test_planning_and_training_know_the_same_methods():
    assert sorted(catalog.methods()) == methods.names()


@every_method
def test_loss_depends_on_the_teacher_if_there_is_one(name, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair)
    network = trained(method, bench)
    state = copy.deepcopy(method.state_dict())
    first = total(method, bench.batch(network=network))
    method.load_state_dict(state)
    other = bench.batch(network=network)
    other.teacher = bench.batch(seed=1).teacher
    assert (total(method, other) != first) == (method.teacher != "none")


@every_pair
@every_method
def test_planning_knows_where_a_method_can_be_applied(name, pair, benches):
    networks = [catalog.networks()[network] for network in PAIRS[pair][:2]]
    applies = catalog.applies(catalog.methods()[name], *networks)
    assert applies == (built(name, benches[pair].pair) is not None)


@every_method
def test_pretrain_modules_are_the_methods_own_and_only_of_methods_that_pretrain(name, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair)
    seen = bench.batch(network=trained(method, bench))
    assert set(method.pretrain_modules().parameters()) <= set(method.parameters())
    if not method.pretrain:
        assert not list(method.pretrain_modules().parameters())
        with pytest.raises(NotImplementedError):
            method.pretrain_loss(seen.student, seen.teacher, seen.data)
    if method.pretrain == "student":
        assert method(seen.student, seen.teacher, seen.data) == {}


OF_TEACHER = [name for name in methods.names() if methods.load(name).pretrain == "teacher"]


def own_student(pair):
    return dataclasses.replace(pair, student=pair.teacher)


@every_pair
@pytest.mark.parametrize("name", OF_TEACHER)
def test_stage_of_a_teacher_trains_the_pretrain_modules_and_nothing_else(name, pair, benches, see):
    bench, seen = benches[pair], see(pair, 2)
    method = methods.load(name)(own_student(bench.pair))
    before = torch.get_rng_state()
    loss = sum(method.pretrain_loss(seen.teacher, seen.teacher, seen.data).values())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.isfinite(loss)
    methods.load(name)(bench.pair).pretrain_modules().load_state_dict(method.pretrain_modules().state_dict())
    parameters, pretrain_modules = list(method.parameters()), set(method.pretrain_modules().parameters())
    reached = gradients(loss, parameters)
    assert {parameters[place] for place in reached} == pretrain_modules
    assert all(gradient.abs().sum() > 0 for gradient in reached.values())
    assert not any(parameter.requires_grad for parameter in bench.teacher.parameters())


@every_method
def test_projected_embedding_has_the_teachers_width_and_the_host_does_not_wait(name, benches):
    bench = unlike(name, benches)
    method = methods.load(name)(bench.pair)
    seen = bench.batch(network=trained(method, bench))
    with host_waits() as waits:
        connected = method.project(seen.student)
    assert waits == []
    assert connected is None or connected.shape == seen.teacher.embedding.shape


@every_method
def test_what_changes_from_batch_to_batch_is_in_buffers_that_stay_where_they_are(name, benches):
    """A replayed step repeats operations on the same memory, and nothing that Python did."""
    bench = benches["same-feats"]
    method = built(name, bench.pair)
    network, states, places = trained(method, bench), [], []
    for seed in (0, 1):
        seen = bench.batch(seed=seed, network=network)
        method(seen.student, seen.student if method.teacher == "none" else seen.teacher, seen.data)
        states.append({key: value for key, value in vars(method).items() if not key.startswith("_")})
        places.append({key: tensor.data_ptr() for key, tensor in method.named_buffers()})
    assert states[0] == states[1]
    assert places[0] == places[1]


@every_method
def test_the_network_that_trains_is_the_student_or_holds_it_and_can_be_built_again(name, benches):
    bench = benches["same-feats"]
    method = built(name, bench.pair)
    before = copy.deepcopy(bench.student.state_dict())
    network = method.wrap(bench.student)
    assert set(bench.student.parameters()) <= set(network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in bench.student.state_dict().items())
    assert (network.wrapping is None) == (network is bench.student)
    if network.wrapping is not None:
        json.dumps(network.wrapping)
        again = models.rewrap(copy.deepcopy(bench.student), network.wrapping)
        again.load_state_dict(network.state_dict())
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(again.eval()(images).logits, network.eval()(images).logits)
    bench.student.train()
