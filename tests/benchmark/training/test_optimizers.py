import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmark.errors import UserError
from benchmark.training import optimizers
from benchmark.training.precision import grad_scaler


@pytest.mark.parametrize(
    ("epoch", "rate"), [(1, 0.1), (100, 0.1), (101, 0.01), (150, 0.01), (151, 0.001), (200, 0.001)]
)
def test_rate_drops_after_the_milestones(epoch, rate):
    recipe = SimpleNamespace(lr=0.1, lr_decay=0.1, milestones=(100, 150))
    assert optimizers.learning_rate(recipe, epoch) == pytest.approx(rate, rel=1e-12)


def test_rate_reaches_every_group():
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)], lr=1.0)
    optimizers.set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def trained(recipe, steps):
    """A parameter ``(4, 3, 3, 3)`` drawn to random targets with falling rates; its start, its end, and the targets.

    It is channels-last, as networks are: an optimiser that confused memory layouts would be seen.
    """
    start, *targets = torch.randn(1 + steps, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(start.clone().contiguous(memory_format=torch.channels_last))
    optimizer = optimizers.build(recipe, [parameter])
    for step, target in enumerate(targets, start=1):
        optimizer.zero_grad(set_to_none=True)
        ((parameter - target).square().sum() / 2).backward()
        optimizers.set_learning_rate(optimizer, 0.5 / step)
        optimizer.step()
    return start.double(), parameter.detach().double(), [target.double() for target in targets]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_what_the_papers_mean_by_it(nesterov, make_job):
    recipe = make_job("student", nesterov=nesterov, momentum=0.9, weight_decay=0.01).recipe
    expected, found, targets = trained(recipe, 3)
    velocity = torch.zeros_like(expected)
    for step, target in enumerate(targets, start=1):
        gradient = expected - target + 0.01 * expected
        velocity = 0.9 * velocity + gradient
        expected = expected - 0.5 / step * (gradient + 0.9 * velocity if nesterov else velocity)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_adam_is_what_the_paper_means_by_it(make_job):
    """Algorithm 1 of Kingma and Ba, ICLR 2015."""
    recipe = make_job("student", optimizer="adam", momentum=0.8, beta2=0.95, weight_decay=0.0).recipe
    expected, found, targets = trained(recipe, 5)
    first = second = torch.zeros_like(expected)
    for step, target in enumerate(targets, start=1):
        gradient = expected - target
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient.square()
        mean, square = first / (1 - 0.8**step), second / (1 - 0.95**step)
        expected = expected - 0.5 / step * mean / (square.sqrt() + 1e-8)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def toy_losses(p, q, r):
    """Cross-entropy of p and q, and another loss of p and r."""
    return p.square() + q.square() / 2, (p - 3).square() / 2 + (r + 1).square() / 2


def test_dot_takes_a_step_of_its_own_down_each_loss(make_job):
    changes = {"momentum": 0.9, "delta": 0.075, "weight_decay": 5e-4, "lr": 0.1, "nesterov": False}
    recipe = make_job("student", optimizer="dot", **changes).recipe
    parameters = [torch.nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (1.0, -2.0, 0.5)]
    optimizer = optimizers.build(recipe, parameters)
    golden = json.loads((Path(__file__).parents[2] / "methods" / "golden_modern.json").read_text(encoding="utf-8"))
    for step in (1, 2, 3):
        optimizer.descend(*toy_losses(*parameters))
        assert [parameter.item() for parameter in parameters] == pytest.approx(golden[f"dot.step{step}"], rel=1e-9)


def test_dot_goes_on_from_its_state(make_job):
    recipe = make_job("student", optimizer="dot", delta=0.05, momentum=0.9, nesterov=False).recipe
    runs = [[torch.nn.Parameter(torch.tensor(value)) for value in (1.0, -2.0, 0.5)] for _ in range(2)]
    whole, resumed = (optimizers.build(recipe, parameters) for parameters in runs)
    whole.descend(*toy_losses(*runs[0]))
    optimizers.load(resumed, copy.deepcopy(whole.state_dict()))
    for mine, theirs in zip(*runs, strict=True):
        theirs.data.copy_(mine.data)
    for optimizer, parameters in zip((whole, resumed), runs, strict=True):
        optimizer.descend(*toy_losses(*parameters))
    assert [one.item() for one in runs[0]] == [one.item() for one in runs[1]]


def test_dot_down_cross_entropy_alone_is_sgd(make_job):
    made = {"momentum": 0.9, "weight_decay": 0.01, "nesterov": False}
    start = torch.randn(40, generator=torch.Generator().manual_seed(0))
    found = []
    for changes in ({"optimizer": "sgd"}, {"optimizer": "dot", "delta": 0.075}):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = optimizers.build(make_job("student", **made, **changes).recipe, [parameter])
        for _ in range(3):
            loss = parameter.square().sum() / 2
            if isinstance(optimizer, optimizers.DOT):
                optimizer.descend(loss, None)
            else:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        found.append(parameter.detach())
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(
    "changes", [{"delta": None}, {"delta": 0.05, "nesterov": True}, {"delta": 0.05, "precision": "fp16"}]
)
def test_dot_needs_a_delta_and_plain_momentum(changes, make_job):
    with pytest.raises(UserError, match=r"optimizer=dot needs a delta, as --set delta=0\.075, nesterov=false"):
        make_job("kd", optimizer="dot", **{"nesterov": False, "precision": "fp32"} | changes)


@pytest.mark.parametrize("changes", [{"delta": 0.2, "momentum": 0.9}, {"delta": 0.075, "momentum": 0.05}])
def test_dot_s_two_momenta_are_from_0_to_below_1(changes, make_job):
    with pytest.raises(UserError, match=r"takes momentum - delta and momentum \+ delta, both from 0 to below 1"):
        make_job("kd", optimizer="dot", nesterov=False, precision="fp32", **changes)


def test_decay_of_adam_is_torchs(make_job):
    changes = {"momentum": 0.9, "beta2": 0.999, "weight_decay": 0.125, "lr": 0.002}
    recipe = make_job("student", optimizer="adam", **changes).recipe
    start = torch.randn(40, generator=torch.Generator().manual_seed(0))
    mine, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.double())
    pairs = (
        (optimizers.build(recipe, [mine]), mine),
        (torch.optim.Adam([theirs], lr=0.002, betas=(0.9, 0.999), weight_decay=0.125, foreach=False), theirs),
    )
    for _ in range(20):
        for optimizer, parameter in pairs:
            optimizer.zero_grad()
            (parameter.sin().sum() + parameter.pow(4).sum()).backward()
            optimizer.step()
    assert not torch.allclose(mine, start, atol=0.01)
    torch.testing.assert_close(mine.detach().double(), theirs.detach(), rtol=1e-5, atol=1e-6)


def test_norms_and_biases_decay_too(make_job):
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = optimizers.build(make_job("student", weight_decay=0.125).recipe, network.parameters())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.125]
    assert len(optimizer.param_groups[0]["params"]) == 4


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_whose_gradients_overflow_is_skipped_whole(optimizer, make_job, device):
    """Also the first one, whose buffers torch would leave empty; afterwards all goes on as if it had not been."""
    recipe = make_job("student", optimizer=optimizer, momentum=0.9, beta2=0.999, lr=0.1, precision="fp16").recipe
    start = torch.linspace(-1, 1, 5, device=device)
    results = []
    for overflows in ((), (0, 1, 3)):
        parameter = torch.nn.Parameter(start.clone())
        made, scaler = optimizers.build(recipe, [parameter]), grad_scaler("fp16", device)
        for step in range(4 + len(overflows)):
            made.zero_grad(set_to_none=True)
            loss = parameter.square().sum() * (float("inf") if step in overflows else 1.0)
            scaler.scale(loss).backward()
            scaler.step(made)
            scaler.update()
        results.append(parameter.detach())
        assert scaler.get_scale() == 2.0 ** (16 - len(overflows))
    assert torch.equal(*results)
    assert not torch.equal(results[0], start)


def test_other_precisions_scale_nothing(device):
    for precision in ("fp32", "tf32", "bf16"):
        loss = torch.ones((), device=device)
        assert grad_scaler(precision, device).scale(loss) is loss
