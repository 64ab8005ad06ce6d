"""WKD-L against golden values, an iteration in loops and an exact transport, and where its costs come from."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.special import softmax

from methods import load
from methods.class_similarity import cka, cosines
from methods.wkdl import costs, transport_losses
from tests.methods import modern
from tests.methods.test_class_similarity import naive_cka

METHOD = load("wkdl")


@pytest.fixture
def matrices():
    """The costs of the golden values."""
    draws = modern.Draws(29)
    rows, features = draws(7, 5), draws(7, 8, 5)
    return {"fc": costs(cosines(rows), 1.0), "cka": costs(cka(features), 1.0)}


def naive_transport(z, v, y, temperature, cost):
    """Sinkhorn on the matrix without the row and the column of the label, one image."""
    kept = [k for k in range(len(z)) if k != y]
    a, c = (softmax(side[kept] / temperature) for side in (z, v))
    matrix = np.maximum(cost[np.ix_(kept, kept)], 0) + 1e-8
    kernel = np.exp(-matrix / 0.05)
    u = np.full(len(kept), 1 / len(kept))
    for _ in range(10):
        w = c / (kernel.T @ u + 1e-8)
        u = a / (kernel @ w + 1e-8)
    return sum(u[i] * kernel[i, j] * w[j] * matrix[i, j] for i in range(len(kept)) for j in range(len(kept)))


def naive_label(z, v, targets):
    return np.mean([-softmax(b)[y] * np.log(softmax(a)[y]) for a, b, y in zip(z, v, targets, strict=True)])


def numpy_of(*tensors):
    return [each.detach().double().numpy() for each in tensors]


@pytest.mark.parametrize("kind", ["fc", "cka"])
def test_golden(kind, matrices):
    z, v, *_, y = modern.logits()
    transport = transport_losses(z.requires_grad_(), v, y, 8.0, matrices[kind]).mean()
    modern.check(f"wkd_l.sinkhorn.{kind}.T8", transport, z)


def test_golden_of_the_whole_method(make_bench, matrices):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    z, v, *_, y = modern.logits()
    z.requires_grad_()
    seen = bench.batch(dtype=torch.float64)
    data = dataclasses.replace(seen.data, targets=y, epoch=torch.tensor(150.0), epochs=torch.tensor(240.0))
    student, teacher = (dataclasses.replace(side, logits=each) for side, each in ((seen.student, z), (seen.teacher, v)))
    for kind, matrix in matrices.items():
        method = METHOD(bench.pair).double()
        method.cost = matrix
        modern.check(f"wkd_l.{kind}", sum(method(student, teacher, data).values()), z)


@pytest.mark.parametrize("temperature", [1.0, 6.0])
@pytest.mark.parametrize("kind", ["fc", "cka"])
def test_formula(kind, temperature, matrices):
    z, v, *_, y = modern.logits()
    found = transport_losses(z, v, y, temperature, matrices[kind])
    rows = zip(*numpy_of(z, v), y.tolist(), strict=True)
    expected = [naive_transport(*row, temperature, matrices[kind].numpy()) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_cost_is_about_that_of_an_exact_transport(matrices):
    """A linear program without entropy is a lower bound, which ten iterations come close to."""
    z, v, *_, y = modern.logits()
    found = transport_losses(z, v, y, 1.0, matrices["fc"])
    for image, label in enumerate(y.tolist()):
        kept = [k for k in range(7) if k != label]
        a, c = (softmax(side[image, kept].numpy()) for side in (z, v))
        rows = np.kron(np.eye(6), np.ones(6))
        columns = np.kron(np.ones(6), np.eye(6))
        exact = linprog(
            matrices["fc"].numpy()[np.ix_(kept, kept)].ravel(),
            A_eq=np.vstack([rows, columns]),
            b_eq=np.concatenate([a, c]),
        ).fun
        assert exact - 0.01 < found[image].item() < exact + 0.05


def test_equal_logits_cost_what_entropy_blurs(matrices):
    _, v, *_, y = modern.logits()
    found = transport_losses(v, v, y, 8.0, matrices["fc"]).mean().item()
    assert found == pytest.approx(modern.GOLDEN["edge"]["wkd_l.sinkhorn.fc.T8 at z=v"], rel=1e-9)


def test_gradient_agrees_with_differences(matrices):
    z, v, *_, y = modern.logits()
    few = z[:2].requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: transport_losses(rows, v[:2], y[:2], 2.0, matrices["cka"]), few)


def test_the_label_takes_no_part_and_the_order_of_the_batch_does_not_matter(matrices):
    z, v, *_, y = modern.logits()
    first = transport_losses(z, v, y, 8.0, matrices["fc"])
    moved = z + 5 * torch.nn.functional.one_hot(y, 7)
    torch.testing.assert_close(transport_losses(moved, v, y, 8.0, matrices["fc"]), first)
    torch.testing.assert_close(transport_losses(z.flip(0), v.flip(0), y.flip(0), 8.0, matrices["fc"]), first.flip(0))


def test_two_classes_leave_nothing_to_move():
    z, v = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = transport_losses(z.requires_grad_(), v, torch.tensor([0, 1, 1]), 4.0, costs(torch.eye(2).double(), 1.0))
    found.sum().backward()
    assert found.tolist() == pytest.approx([1e-8] * 3, rel=1e-6)
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_single_precision_agrees_and_peaked_logits_are_finite(matrices):
    z, v, *_, y = modern.logits()
    exact = transport_losses(z, v, y, 8.0, matrices["cka"])
    found = transport_losses(z.float(), v.float(), y, 8.0, matrices["cka"].float())
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=0)
    peaked = (400 * z).float().requires_grad_()
    loss = transport_losses(peaked, (-400 * v).float(), y, 1.0, matrices["cka"].float()).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(peaked.grad).all()


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
def test_classes_that_the_teacher_masks_have_no_probability(both, masked):
    z, v = torch.randn(2, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z, v, y = (masked(z) if both else z).requires_grad_(), masked(v), torch.tensor([8, 8, 8, 8, 8, 8, 0])
    cost = costs(torch.rand(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), 1.0)
    found = transport_losses(z, v, y, 4.0, cost)
    found.sum().backward()
    assert torch.isfinite(z.grad).all()
    for image, label in enumerate(y.tolist()):
        row = numpy_of(z[image], v[image])
        alone = not any(np.isfinite(np.delete(side, label)).any() for side in row[1:])
        expected = 0 if alone else naive_transport(*row, label, 4.0, cost.numpy())
        assert found[image].item() == pytest.approx(expected, rel=1e-9)


def test_costs_are_0_on_the_diagonal_and_rise_with_unlikeness():
    similarities = torch.tensor([[1.0, 0.3, 0.9], [0.3, 1.0, -0.5], [0.9, -0.5, 0.0]], dtype=torch.float64)
    found = costs(similarities, 2.0)
    assert torch.equal(found.diagonal(), torch.zeros(3, dtype=torch.float64))
    assert found[0, 1].item() == pytest.approx(1 - np.exp(-2 * 0.7))
    assert found[2, 1] > found[0, 1] > found[2, 0] > 0


@pytest.fixture
def bench(make_bench):
    return make_bench("wrn-10-1", "resnet8-A")


def class_rows(pair, take):
    """Features of every class's images in the order of the data set, ``(K, R, C)``."""
    rows = [[] for _ in range(pair.num_classes)]
    for features, labels in pair.training_features():
        for one, label in zip(take(features).double(), labels.tolist(), strict=True):
            rows[label].append(one)
    return torch.stack([torch.cat(each) for each in rows])


def maps_of(features):
    return features.feats[-1].permute(0, 2, 3, 1).flatten(1, 2)


def logits_of(features):
    return features.logits[:, None]


@pytest.mark.parametrize(
    ("options", "in_size", "take"),
    [
        ({}, 64, maps_of),
        ({}, 65, logits_of),
        ({"features": "maps"}, 65, maps_of),
        ({"features": "logits"}, 16, logits_of),
        ({"sharpness": 2.0}, 16, maps_of),
    ],
)
def test_costs_follow_from_the_teachers_features_of_the_training_images(options, in_size, take, bench):
    teacher = SimpleNamespace(in_size=in_size, classifier=bench.teacher.classifier)
    method = METHOD(dataclasses.replace(bench.pair, teacher_network=teacher), **options)
    expected = 1 - np.exp(-options.get("sharpness", 1.0) * (1 - naive_cka(class_rows(bench.pair, take))))
    np.testing.assert_allclose(method.cost, expected, rtol=1e-3, atol=1e-5)


def test_costs_of_the_classifier_need_no_pass_over_the_images(bench):
    def refuse():
        raise AssertionError("the training images are not needed")

    method = METHOD(dataclasses.replace(bench.pair, training_features=refuse), **METHOD.variants["fc"])
    (rows,) = numpy_of(bench.teacher.classifier.weight)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = 1 - np.exp(unit @ unit.T - 1)
    np.testing.assert_allclose(method.cost, np.where(np.eye(len(rows)), 0, expected), rtol=1e-4, atol=1e-6)
    assert list(method.state_dict()) == ["cost"]
    assert not list(method.parameters())


@pytest.mark.parametrize(
    ("options", "gamma", "temperature", "epoch", "factor"),
    [
        ({}, 200, 8, 150, 1),
        ({}, 200, 8, 195, 0.5),
        ({"gamma": 30.0, "temperature": 2.0}, 30, 2, 240, 0),
        ({"decay": 60.0}, 200, 8, 150, 0.5),
    ],
)
def test_method_weighs_the_transport_less_at_the_end(options, gamma, temperature, epoch, factor, bench):
    method, seen = METHOD(bench.pair, **options), bench.batch()
    data = dataclasses.replace(seen.data, epoch=torch.tensor(float(epoch)), epochs=torch.tensor(240.0))
    parts = method(seen.student, seen.teacher, data)
    z, v, cost = numpy_of(seen.student.logits, seen.teacher.logits, method.cost)
    targets = data.targets.tolist()
    moved = np.mean([naive_transport(*row, temperature, cost) for row in zip(z, v, targets, strict=True)])
    assert list(parts) == ["label", "transport"]
    assert parts["label"].item() == pytest.approx(naive_label(z, v, targets), rel=1e-5)
    assert parts["transport"].item() == pytest.approx(factor * gamma * moved, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("decay", [-1.0, 240.0])
def test_a_decay_outside_the_training_is_refused(decay, bench):
    with pytest.raises(ValueError, match="wkdl: decay must be among 0 to 239"):
        METHOD(bench.pair, decay=decay)
