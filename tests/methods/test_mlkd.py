"""MLKD against golden values and loops over temperatures, images and classes."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from methods import NotApplicableError, load
from methods.mlkd import (
    Softened,
    batch_relations,
    class_relations,
    doubtful_images,
    instance_losses,
    probabilities,
    rare_classes,
)
from tests.methods import given_logits, modern

METHOD = load("mlkd")
FORMS = {"": {}, "[published]": METHOD.variants["published"]}
FIVE = (2.0, 3.0, 4.0, 5.0, 6.0)
LS = METHOD.variants["ls"]


@pytest.fixture(scope="module")
def pair(make_bench):
    return make_bench("wrn-10-1", "wrn-16-1").pair


def parts_of(pair, weak, strong, y, **options):
    method = METHOD(pair, **options).double()
    z, v = (given_logits.features(each) for each in weak)
    return method(z, v, given_logits.batch(y, *strong))


def whole(pair, weak, strong, y, **options):
    ce = torch.nn.functional.cross_entropy(weak[0], y)
    return METHOD.objective["ce"] * ce + METHOD.objective["weight"] * sum(
        parts_of(pair, weak, strong, y, **options).values()
    )


def naive(weak, strong, y, *, scale=0.9, temperatures=FIVE, published=False, standardise=False):
    """The whole loss in NumPy, one temperature at a time."""

    def instances(z, v, t):
        if standardise:
            z, v = ((each - each.mean(1, keepdim=True)) / each.std(1, keepdim=True) for each in (z, v))
        return t**2 * given_logits.divergences(z, v, t)

    z, v = weak
    at_1 = softmax(v.numpy(), axis=1)
    rows, classes = at_1.max(axis=1), at_1.sum(axis=0)
    r, c = rows <= np.median(rows), classes <= np.median(classes)
    size, count = z.shape
    total = 0.0
    for place, t in enumerate(temperatures):
        q, p = (softmax(each.detach().numpy() / t, axis=1) for each in weak)
        of_classes, of_batch = (p.T @ p - q.T @ q) ** 2, (p @ p.T - q @ q.T) ** 2
        if published:
            total += (
                r.mean() * (instances(z, v, t).mean() + of_batch.sum() / size) + c.mean() * of_classes.sum() / count
            )
            total += instances(*(weak if place in {0, 4} else strong), t).mean()
        else:
            total += (r * instances(z, v, t)).mean() + instances(*strong, t).mean()
            total += of_classes[:, c].sum() / count + of_batch[:, r].sum() / size
    ce = sum(given_logits.cross_entropy(view[0], y) for view in (weak, strong))
    return 0.1 * ce + scale * total


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("standardise", [False, True], ids=["plain", "ls"])
def test_golden(form, standardise, pair):
    z, v, zs, vs, y = modern.logits()
    z, zs = z.requires_grad_(), zs.requires_grad_()
    options = FORMS[form] | (LS if standardise else {})
    modern.check(f"{'ls.' if standardise else ''}mlkd{form}", whole(pair, (z, v), (zs, vs), y, **options), z, zs)


def test_golden_parts_at_temperature_4():
    z, v, *_ = modern.logits()
    z.requires_grad_()
    temperature = torch.full((1, 1, 1), 4.0, dtype=torch.float64)
    soften = Softened((4.0,), temperature)
    modern.check("mlkd.ins.T4", instance_losses(soften(z), soften(v), temperature).mean(), z)
    for level, relate, count in (("class", class_relations, 7), ("batch", batch_relations, 6)):
        q, p = (probabilities(soften(each)) for each in (z, v))
        modern.check(f"mlkd.{level}.T4", (relate(p) - relate(q)).square().sum() / count, z)


def test_golden_masks():
    _, v, *_ = modern.logits()
    assert doubtful_images(v).tolist() == modern.GOLDEN["mlkd.row_mask"]
    assert rare_classes(v).tolist() == modern.GOLDEN["mlkd.class_mask"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_masks_keep_at_least_half_and_never_nothing(size, classes):
    v = 3 * torch.randn(size, classes, generator=torch.Generator().manual_seed(0))
    images, kinds = doubtful_images(v), rare_classes(v)
    assert images.shape == (size,)
    assert kinds.shape == (classes,)
    assert images.sum() >= size / 2
    assert kinds.sum() >= classes / 2
    p = softmax(v.numpy(), axis=1)
    for found, values in ((images, p.max(axis=1)), (kinds, p.sum(axis=0))):
        assert found.bool().tolist() == (values <= np.median(values) + 1e-7).tolist()


def test_ties_at_the_median_are_kept():
    v = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [9.0, 0.0]])
    assert doubtful_images(v).tolist() == [1, 1, 1, 0]
    assert rare_classes(torch.zeros(3, 4)).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("published", [False, True], ids=["masked", "published"])
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_formula_for_batches_of_any_size(size, published, pair):
    generator = torch.Generator().manual_seed(size)
    z, v, zs, vs = 3 * torch.randn(4, size, 7, dtype=torch.float64, generator=generator)
    y = torch.arange(size) % 7
    options = FORMS["[published]"] if published else {}
    expected = naive((z, v), (zs, vs), y, published=published)
    assert whole(pair, (z, v), (zs, vs), y, **options).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("options", "temperatures"),
    [
        (LS, FIVE),
        (LS | FORMS["[published]"], (2, 3, 2, 5, 6)),
        ({"base": 1.0}, (2, 3, 1, 5, 6)),
        ({"base": 1.0, "form": "published"}, (2, 3, 1, 5, 6)),
        (LS | {"form": "published", "base": 4.0}, FIVE),
        ({"scale": 0.5}, FIVE),
    ],
)
def test_options_choose_the_scale_and_the_temperature_in_the_place_of_4(options, temperatures, pair):
    z, v, zs, vs, y = modern.logits()
    expected = naive(
        (z, v),
        (zs, vs),
        y,
        scale=options.get("scale", 0.9),
        temperatures=temperatures,
        published=options.get("form") == "published",
        standardise=options.get("standardise", False),
    )
    assert whole(pair, (z, v), (zs, vs), y, **options).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("options", [*FORMS.values(), LS], ids=["masked", "published", "ls"])
def test_equal_networks_pay_cross_entropy_alone_and_have_no_other_slope(options, pair):
    _, v, _, vs, y = modern.logits()
    z, zs = v.clone().requires_grad_(), vs.clone().requires_grad_()
    parts = parts_of(pair, (z, v), (zs, vs), y, **options)
    rest = sum(loss for name, loss in parts.items() if name != "ce_strong")
    rest.backward()
    assert rest.item() == pytest.approx(0, abs=1e-10)
    assert max(z.grad.abs().max(), zs.grad.abs().max()) < 1e-10
    assert parts["ce_strong"].item() == pytest.approx(0.1 * given_logits.cross_entropy(zs, y), abs=1e-12)


@pytest.mark.parametrize("options", FORMS.values(), ids=["masked", "published"])
def test_the_order_of_the_images_does_not_matter(options, pair):
    *logits, y = modern.logits()
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    values = []
    for places in (torch.arange(6), order):
        z, v, zs, vs = (each[places] for each in logits)
        values.append(whole(pair, (z, v), (zs, vs), y[places], **options).item())
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_only_doubtful_images_count_on_the_weak_view(pair):
    z, v, zs, vs, y = modern.logits()
    z.requires_grad_()
    parts_of(pair, (z, v), (zs, vs), y)["instance"].backward()
    assert (z.grad.abs().sum(1) > 0).double().tolist() == doubtful_images(v).tolist()


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("options", [*FORMS.values(), LS], ids=["masked", "published", "ls"])
def test_masked_classes_leave_loss_and_gradient_finite(options, both, masked, pair):
    z, v, zs, vs = torch.randn(4, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z, zs = (each.requires_grad_() for each in (map(masked, (z, zs)) if both else (z, zs)))
    parts = parts_of(pair, (z, masked(v)), (zs, masked(vs)), torch.zeros(7, dtype=torch.int64), **options)
    loss = sum(part for name, part in parts.items() if name != "ce_strong")
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
    assert torch.isfinite(zs.grad).all()


def test_softened_functions_of_equal_temperatures_share_a_cached_result():
    first, second, other = (
        Softened(values, torch.tensor(values)[:, None, None]) for values in ((2.0, 4.0), (2.0, 4.0), (2.0, 1.0))
    )
    teacher = given_logits.features(torch.ones(3, 5)).full()
    assert teacher.cached(first, teacher.logits) is teacher.cached(second, teacher.logits)
    assert teacher.cached(other, teacher.logits) is not teacher.cached(first, teacher.logits)
    assert teacher.cached(other, teacher.logits)[:, 0, 0].tolist() == [0.5, 1.0]


def test_two_classes_cannot_be_standardised(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1", classes=2)
    seen = bench.batch()
    assert torch.isfinite(sum(METHOD(bench.pair)(seen.student, seen.teacher, seen.data).values()))
    with pytest.raises(NotApplicableError, match="MLKD standardises logits"):
        METHOD(bench.pair, **LS)


def test_student_and_teacher_see_the_strong_view_once_each(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    seen, method = bench.batch(), METHOD(bench.pair)
    parts = method(seen.student, seen.teacher, seen.data)
    strong = [run(seen.data.strong) for run in (seen.data.student, seen.data.teacher)]
    expected = naive(
        *(tuple(each.logits.detach().double() for each in view) for view in ((seen.student, seen.teacher), strong)),
        seen.data.targets,
    )
    ce = 0.1 * given_logits.cross_entropy(seen.student.logits, seen.data.targets)
    assert list(parts) == ["ce_strong", "instance", "class", "batch"]
    assert sum(parts.values()).item() == pytest.approx(expected - ce, rel=1e-4)


def test_two_views_and_a_schedule_of_its_own_are_declared():
    assert METHOD.views == 2
    assert METHOD.recipe == {"epochs": 480, "lr": 0.025, "milestones": [150, 180, 210]}
    assert not METHOD.variants["ls"].keys() & METHOD.variants["published"].keys()
