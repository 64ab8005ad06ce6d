"""SDD against golden values and loops over bins, and which bins of which networks it compares."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional

from methods import load
from methods.sdd import FORMS, bin_logits, bin_means, scale_loss
from tests.methods import modern
from tests.methods.test_pooling import naive_pooled

METHOD = load("sdd")
SIDES = {"m12": (1, 2), "m124": (1, 2, 4)}


@pytest.fixture
def sides():
    """Map and classifier of the student, with a gradient, and of the teacher, and labels."""
    student, teacher, *classifiers = modern.maps()
    student, *mine = (each.requires_grad_() for each in (student, *classifiers[:2]))
    return (student, tuple(mine)), (teacher, tuple(classifiers[2:])), torch.tensor(modern.GOLDEN["check.yd"])


def loss_of(form, mine, theirs, targets, sides, temperature=4.0, weight=8.0):
    z, v = (bin_logits(*side, sides) for side in (mine, theirs))
    return scale_loss(FORMS[form], z, v, targets, temperature, weight)


def kl(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))


def soft_cross_entropy(p, q):
    return -sum(a * np.log(b) for a, b in zip(p, q, strict=True))


def naive_row(form, z, v, y, temperature, weight):
    """The loss of one row of logits, in probabilities."""
    if form == "kd":
        return temperature**2 * kl(softmax(v / temperature), softmax(z / temperature))
    q, p = (softmax(side / temperature)[y] for side in (z, v))
    others = [np.delete(side, y) / temperature for side in (z, v)]
    if form == "dkd":
        rest = kl(softmax(others[1]), softmax(others[0]))
        return temperature**2 * (kl([p, 1 - p], [q, 1 - q]) + weight * rest)
    label = -softmax(v)[y] * np.log(softmax(z)[y])
    compared = [z / temperature, v / temperature] if form == "nkd-all" else others
    return label + weight * temperature**2 * soft_cross_entropy(softmax(compared[1]), softmax(compared[0]))


def naive_bins(maps, classifier, sides):
    """Logits of every bin, ``(N, B, K)``, by cutting maps into cells; 4x4 divides them."""
    weight, bias = (part.detach().numpy() for part in classifier)
    fine = naive_pooled(maps.detach().numpy(), (4, 4))
    cells = [
        fine[:, :, 4 // side * row : 4 // side * (row + 1), 4 // side * column : 4 // side * (column + 1)].mean((2, 3))
        for side in sides
        for row in range(side)
        for column in range(side)
    ]
    return np.stack([cell @ weight.T + bias for cell in cells])


def naive_loss(form, mine, theirs, targets, sides, temperature=4.0, weight=8.0):
    z, v = (naive_bins(*side, sides) for side in (mine, theirs))
    total = 0.0
    for image, y in enumerate(targets.tolist()):
        right = v[0, image].argmax() == y
        for mine_of_bin, theirs_of_bin in zip(z[:, image], v[:, image], strict=True):
            twice = 2 if (theirs_of_bin.argmax() == y) != right else 1
            total += twice * naive_row(form, mine_of_bin, theirs_of_bin, y, temperature, weight)
    return total / v.shape[0] / v.shape[1]


@pytest.mark.parametrize("grids", SIDES)
@pytest.mark.parametrize("form", FORMS)
def test_golden(form, grids, sides):
    mine, theirs, targets = sides
    key = f"sdd.{form}.{grids}".replace("nkd-all", "nkd[allclasses]")
    modern.check(key, loss_of(form, mine, theirs, targets, SIDES[grids]), mine[0])


def test_golden_gradient_of_the_classifier(sides):
    mine, theirs, targets = sides
    modern.check("sdd.kd.m12/classifier", loss_of("kd", mine, theirs, targets, (1, 2)), mine[1][0])


@pytest.mark.parametrize(("temperature", "weight"), [(4.0, 8.0), (2.0, 0.5)])
@pytest.mark.parametrize("grids", SIDES)
@pytest.mark.parametrize("form", FORMS)
def test_formula(form, grids, temperature, weight, sides):
    found = loss_of(form, *sides, SIDES[grids], temperature, weight)
    expected = naive_loss(form, *sides, SIDES[grids], temperature, weight)
    assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("grids", SIDES)
def test_golden_numbers_of_bins_that_count_twice(grids, sides):
    _, theirs, targets = sides
    right = naive_bins(*theirs, SIDES[grids]).argmax(2) == targets.numpy()
    assert [int((right[0] & ~right).sum()), int((~right[0] & right).sum())] == modern.GOLDEN[f"sdd.{grids}.doubled"]
    # A loss of 1 in every bin shows the weights alone.
    ones = scale_loss(
        lambda student, *_: torch.ones_like(student[:, 0]), *(bin_logits(*theirs, SIDES[grids]),) * 2, targets, 1.0, 1.0
    )
    assert ones.item() == pytest.approx(1 + (right != right[0]).mean())


def test_the_bins_of_a_grid_average_to_the_whole_image(sides):
    (maps, classifier), *_ = sides
    logits = bin_logits(maps, classifier, (1, 2, 4))
    torch.testing.assert_close(logits[:, 0], functional.linear(maps.mean((2, 3)), *classifier))
    torch.testing.assert_close(logits[:, 1:5].mean(1), logits[:, 0])
    torch.testing.assert_close(logits[:, 5:].mean(1), logits[:, 0])


@pytest.mark.parametrize("side", [1, 2, 3])
def test_bins_of_small_maps_repeat(side):
    maps = torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fine = naive_pooled(maps.numpy(), (4, 4))
    found = bin_means(maps, (1, 2, 4))
    assert found.shape == (2, 21, 3)
    np.testing.assert_allclose(found[:, 5:], fine.reshape(2, 3, 16).transpose(0, 2, 1), rtol=1e-12)
    if side == 1:
        torch.testing.assert_close(found, maps.flatten(2).mT.expand(2, 21, 3))


@pytest.mark.parametrize("form", ["kd", "dkd"])
def test_equal_networks_pay_nothing_and_have_no_slope(form, sides):
    mine, _, targets = sides
    constant = mine[0].detach(), tuple(each.detach() for each in mine[1])
    loss = loss_of(form, mine, constant, targets, (1, 2, 4))
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert all(slope.abs().max() < 1e-12 for slope in torch.autograd.grad(loss, (mine[0], *mine[1])))


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_the_batch_does_not_matter(form, sides):
    mine, theirs, targets = sides
    first = loss_of(form, *sides, (1, 2)).item()
    turned = loss_of(form, (mine[0].flip(0), mine[1]), (theirs[0].flip(0), theirs[1]), targets.flip(0), (1, 2)).item()
    assert turned == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_two_classes_and_extreme_logits_are_finite_with_finite_gradients(form):
    z = torch.tensor([[[300.0, 0], [0, -300], [1, 2]]], requires_grad=True)
    loss = scale_loss(FORMS[form], z, torch.tensor([[[-9.0, 90], [2, 1], [0, 0]]]), torch.tensor([0]), 4.0, 8.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_classes_that_are_masked_leave_loss_and_gradient_finite(form, both, masked):
    z, v = 3 * torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    mine, theirs = (masked(z) if both else z)[:, None], masked(v)[:, None]
    loss = scale_loss(FORMS[form], mine, theirs, torch.arange(7), 4.0, 8.0)
    loss.backward()
    assert torch.isfinite(z.grad).all()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("teacher", "options", "form", "grids", "factor"),
    [
        ("wrn-16-2", {}, "dkd", "m12", 0.5),
        ("resnet8-A", {}, "dkd", "m124", 0.5),
        ("resnet8-A", {"bins": "1+2", "warmup": 0.0, "temperature": 2.0, "weight": 3.0}, "dkd", "m12", 1),
        ("wrn-16-2", {"bins": "1+2+4", "scale": 0.25}, "dkd", "m124", 0.125),
        ("wrn-16-2", METHOD.variants["kd"], "kd", "m12", 0.9),
        ("wrn-16-2", METHOD.variants["nkd"], "nkd", "m12", 0.5),
        ("resnet8-A", METHOD.variants["allclasses"], "nkd-all", "m124", 0.5),
    ],
)
def test_method_weighs_the_loss_of_its_form_on_its_bins(teacher, options, form, grids, factor, make_bench):
    bench = make_bench("wrn-10-1", teacher)
    seen = bench.batch(dtype=torch.float64)
    seen.data.epochs.fill_(144.0)  # epoch 6 of these is half of a warm-up of 20 epochs of 240
    parts = METHOD(bench.pair, **options)(seen.student, seen.teacher, seen.data)
    mine, theirs = (
        (features.map, (network.classifier.weight, network.classifier.bias))
        for features, network in ((seen.student, bench.student), (seen.teacher, bench.teacher))
    )
    numbers = options.get("temperature", 4.0), options.get("weight", 8.0)
    expected = factor * naive_loss(form, mine, theirs, seen.data.targets, SIDES[grids], *numbers)
    assert parts["sdd"].item() == pytest.approx(expected, rel=1e-8)
    assert list(parts) == (["sdd", "ce"] if form == "kd" else ["sdd"])


def test_kd_leaves_a_tenth_of_cross_entropy(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-2")
    seen = bench.batch(dtype=torch.float64)
    parts = METHOD(bench.pair, **METHOD.variants["kd"])(seen.student, seen.teacher, seen.data)
    rows = log_softmax(seen.student.logits.detach().numpy(), axis=1)
    whole = -np.mean([row[target] for row, target in zip(rows, seen.data.targets.tolist(), strict=True)])
    assert METHOD.objective["ce"] * whole + parts["ce"].item() == pytest.approx(0.1 * whole, rel=1e-9)


def test_only_the_students_classifier_learns(make_bench):
    bench = make_bench("wrn-10-1", "resnet8-A")
    method, seen = METHOD(bench.pair), bench.batch()
    bench.teacher.classifier.requires_grad_()
    method(seen.student, seen.teacher, seen.data)["sdd"].backward()
    assert all(each.grad.abs().sum() > 0 for each in bench.student.classifier.parameters())
    assert all(each.grad is None for each in bench.teacher.classifier.parameters())
    assert not list(method.parameters())
