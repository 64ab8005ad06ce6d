"""CRLD against golden values and a sum over images."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

from methods import load
from methods.crld import confidence, view_losses
from tests.methods import given_logits, modern

METHOD = load("crld")


@pytest.fixture(scope="module")
def pair(make_bench):
    return make_bench("wrn-10-1", "wrn-16-1").pair


def parts_of(pair, weak, strong, y, **options):
    z, v = (given_logits.features(each) for each in weak)
    return METHOD(pair, **options)(z, v, given_logits.batch(y, *strong))


def naive(weak, strong, temperature=4.0, thresholds=(0.9, 0.2)):
    """The sums within and across the views, one image at a time."""
    (z, v), (zs, vs) = weak, strong
    kl = {
        key: given_logits.divergences(*logits, temperature)
        for key, logits in {"ww": (z, v), "ss": (zs, vs), "ws": (zs, v), "sw": (z, vs)}.items()
    }
    top = [softmax(each.numpy(), axis=1).max(axis=1) for each in (v, vs)]
    within = across = 0.0
    for image in range(len(z)):
        if top[0][image] >= thresholds[0]:
            within += kl["ww"][image] + kl["ss"][image]
        if top[1][image] >= thresholds[1]:
            across += kl["ws"][image] + kl["sw"][image]
    return [temperature**2 * each / len(z) for each in (within, across)]


def test_golden(pair):
    z, v, zs, vs, y = modern.logits()
    z, zs = z.requires_grad_(), zs.requires_grad_()
    loss = functional.cross_entropy(z, y) + sum(parts_of(pair, (z, v), (zs, vs), y).values())
    modern.check("crld", loss, z, zs)


def test_golden_masks():
    _, v, _, vs, _ = modern.logits()
    assert (confidence(v) >= 0.9).tolist() == modern.GOLDEN["crld.weak_mask"]
    assert (confidence(vs) >= 0.2).tolist() == modern.GOLDEN["crld.strong_mask"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"within": 0.5, "across": 3.0, "strong_ce": 2.0},
        {"temperature": 1.0, "weak_threshold": 0.5, "strong_threshold": 0.6},
    ],
)
@pytest.mark.parametrize(("size", "classes"), [(1, 7), (2, 2), (3, 7), (16, 7)])
def test_formula(size, classes, options, pair):
    generator = torch.Generator().manual_seed(size)
    z, v, zs, vs = 3 * torch.randn(4, size, classes, dtype=torch.float64, generator=generator)
    y = torch.arange(size) % classes
    parts = parts_of(pair, (z, v), (zs, vs), y, **options)
    thresholds = options.get("weak_threshold", 0.9), options.get("strong_threshold", 0.2)
    within, across = naive((z, v), (zs, vs), options.get("temperature", 4.0), thresholds)
    expected = {
        "ce_strong": options.get("strong_ce", 1.0) * given_logits.cross_entropy(zs, y),
        "within": options.get("within", 2.0) * within,
        "across": options.get("across", 0.5) * across,
    }
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_without_a_confident_teacher_the_terms_are_0_without_gradient(pair):
    z, _, zs, _, y = modern.logits()
    z, zs, unsure = z.requires_grad_(), zs.requires_grad_(), torch.zeros(6, 7, dtype=torch.float64)
    parts = parts_of(pair, (z, unsure), (zs, unsure), y)
    (parts["within"] + parts["across"]).backward()
    assert parts["within"] == parts["across"] == 0
    assert not z.grad.any()
    assert not zs.grad.any()


def test_equal_networks_pay_nothing_within_the_views_and_across_them_only_if_the_views_differ(pair):
    _, v, _, vs, y = modern.logits()
    differ = parts_of(pair, (v, v), (vs, vs), y)
    assert differ["within"].item() == pytest.approx(0, abs=1e-12)
    assert differ["across"].item() > 1
    assert parts_of(pair, (v, v), (v, v), y)["across"].item() == pytest.approx(0, abs=1e-12)


def test_all_four_divergences_reach_both_views_of_the_student():
    z, v, zs, vs, _ = modern.logits()
    counted = (torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool))
    for mine, kept in ((counted[0], counted), (counted[0], counted[::-1])):
        leaves = z.clone().requires_grad_(), zs.clone().requires_grad_()
        sum(view_losses(leaves, (v, vs), kept, 4.0)).backward()
        assert all((leaf.grad.abs().sum(1) > 0).equal(mine) for leaf in leaves)


def test_the_order_of_the_images_does_not_matter(pair):
    *logits, y = modern.logits()
    values = []
    for places in (torch.arange(6), torch.tensor([4, 2, 0, 5, 1, 3])):
        z, v, zs, vs = (each[places] for each in logits)
        values.append(sum(parts_of(pair, (z, v), (zs, vs), y[places]).values()).item())
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize("side", ["teacher", "student", "both"])
def test_masked_classes_leave_loss_and_gradient_finite(side, masked, pair):
    logits = torch.randn(4, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z, v, zs, vs = 3 * logits
    if side != "student":
        v, vs = masked(v), masked(vs)
    if side != "teacher":
        z, zs = masked(z), masked(zs)
    z, zs = z.requires_grad_(), zs.requires_grad_()
    parts = parts_of(pair, (z, v), (zs, vs), torch.zeros(7, dtype=torch.int64), weak_threshold=0.3)
    loss = parts["within"] + parts["across"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(np.isfinite(leaf.grad.numpy()).all() for leaf in (z, zs))


def test_student_and_teacher_see_the_strong_view(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    seen = bench.batch()
    parts = METHOD(bench.pair, weak_threshold=0.0, strong_threshold=0.0)(seen.student, seen.teacher, seen.data)
    strong = [run(seen.data.strong) for run in (seen.data.student, seen.data.teacher)]
    views = [tuple(each.logits.detach() for each in view) for view in ((seen.student, seen.teacher), strong)]
    within, across = naive(*views, thresholds=(0.0, 0.0))
    assert parts["within"].item() == pytest.approx(2 * within, rel=1e-4)
    assert parts["across"].item() == pytest.approx(0.5 * across, rel=1e-4)
    expected = given_logits.cross_entropy(strong[0].logits, seen.data.targets)
    assert parts["ce_strong"].item() == pytest.approx(expected, rel=1e-5)


def test_two_views_are_declared():
    assert METHOD.views == 2
    assert METHOD.objective == {"ce": 1, "weight": 1}
