"""SemCKD against golden values and loops over images and stages, and what a batch of another size gets."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from methods import load
from methods.semckd import Embedding, attention, calibrated_loss, gram, projection, stage_distance
from models import Features
from tests.methods import given_logits, modern
from tests.methods.test_pooling import naive_pooled

METHOD = load("semckd")


def convolved(maps, kernel):
    """A convolution that keeps the size, one place of the kernel after the other."""
    off = kernel.shape[2] // 2
    padded = np.pad(maps, ((0, 0), (0, 0), (off, off), (off, off)))
    height, width = maps.shape[2:]
    places = [(row, column) for row in range(kernel.shape[2]) for column in range(kernel.shape[3])]
    return sum(
        np.einsum("bchw,dc->bdhw", padded[:, :, row : row + height, column : column + width], kernel[:, :, row, column])
        for row, column in places
    )


def projected(layers, maps):
    """Convolutions and batch-norms in training mode in NumPy."""
    first, norm1, _, second, norm2, _, third = layers
    for convolution, norm in ((first, norm1), (second, norm2)):
        maps = convolved(maps, convolution.weight.detach().numpy())
        mean, variance = maps.mean((0, 2, 3), keepdims=True), maps.var((0, 2, 3), keepdims=True)
        weight, bias = (part.detach().numpy()[:, None, None] for part in (norm.weight, norm.bias))
        maps = np.maximum(0, (maps - mean) / np.sqrt(variance + 1e-5) * weight + bias)
    return convolved(maps, third.weight.detach().numpy())


def naive_embedding(maps, parameters, stage):
    """Unit vectors of the images of one stage."""
    weight1, bias1, weight2, bias2 = (part.detach().numpy()[stage] for part in parameters)
    flat = maps.reshape(len(maps), -1)
    rows = []
    for image in flat:
        hidden = np.maximum(0, weight1 @ (flat @ image) + bias1[0])
        row = weight2 @ hidden + bias2[0]
        rows.append(row / max(np.linalg.norm(row), 1e-12))
    return np.stack(rows)


def naive_loss(student, teacher, queries, keys, projections):
    """The loss of maps in NumPy, one image and pair of stages after the other; and the weights ``(B, S, T)``."""
    q, k = (
        [naive_embedding(maps, tuple(side.parameters()), stage) for stage, maps in enumerate(given)]
        for side, given in ((queries, student), (keys, teacher))
    )
    weights = np.stack(
        [[softmax([one[image] @ other[image] for other in k]) for one in q] for image in range(len(student[0]))]
    )
    total = 0.0
    for i, mine in enumerate(student):
        for j, theirs in enumerate(teacher):
            size = tuple(min(pair) for pair in zip(mine.shape[2:], theirs.shape[2:], strict=True))
            difference = projected(projections[i][j], naive_pooled(mine, size)) - naive_pooled(theirs, size)
            total += (weights[:, i, j] * (difference**2).mean((1, 2, 3))).sum()
    return total / len(student[0]) / len(student), weights


@pytest.fixture
def golden():
    """Maps and modules of the golden values."""
    draws = modern.Draws(53)
    student, teacher = [draws(8, 3, 8, 8), draws(8, 4, 4, 4)], [draws(8, 2, 8, 8), draws(8, 3, 2, 2)]
    sides = [Embedding(2, 8).double(), Embedding(2, 8).double()]
    with torch.no_grad():
        for side in sides:
            for stage in range(2):
                shapes = ((0.02, (4, 8)), (0.1, (4,)), (0.5, (2, 4)), (0.1, (2,)))
                for part, (scale, shape) in zip(side.parameters(), shapes, strict=True):
                    part[stage].copy_(scale * draws(*shape))
        projections = []
        for mine in student:
            projections.append([projection(mine.shape[1], theirs.shape[1]).double() for theirs in teacher])
            for layers in projections[-1]:
                for layer in layers:
                    if isinstance(layer, nn.BatchNorm2d):
                        layer.weight.copy_(1 + 0.1 * draws(*layer.weight.shape))
                        layer.bias.copy_(0.1 * draws(*layer.bias.shape))
                    elif isinstance(layer, nn.Conv2d):
                        shape, kernel = layer.weight.shape, layer.kernel_size[0]
                        drawn = draws(*shape) if kernel > 1 else draws(*shape[:2])
                        layer.weight.copy_(((0.3 if kernel > 1 else 0.5) * drawn).view(shape))
    return student, teacher, *sides, projections


def loss_of(student, teacher, queries, keys, projections):
    weights = attention(
        *(side(torch.stack([gram(each) for each in maps])) for side, maps in ((queries, student), (keys, teacher)))
    )
    rows = [
        torch.stack([stage_distance(mine, *one) for one in zip(teacher, row, strict=True)], dim=1)
        for mine, row in zip(student, projections, strict=True)
    ]
    return calibrated_loss(weights, torch.stack(rows, dim=1)), weights


def test_golden(golden):
    student, *rest = golden
    student = [maps.requires_grad_() for maps in student]
    loss, weights = loss_of(student, *rest)
    modern.check("semckd", loss, *student)
    assert weights[0].flatten().tolist() == pytest.approx(modern.GOLDEN["semckd.attention[0]"], rel=1e-9)


def test_formula(golden):
    student, teacher, *modules = golden
    loss, weights = loss_of(*golden)
    expected, their_weights = naive_loss(*([maps.numpy() for maps in side] for side in (student, teacher)), *modules)
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(weights.detach(), their_weights, rtol=1e-10)


def test_weights_of_each_image_and_stage_sum_to_1_and_prefer_what_is_alike():
    keys = torch.eye(3, dtype=torch.float64)[:, None].expand(3, 2, 3)
    found = attention(keys[[1]], keys)
    torch.testing.assert_close(found.sum(2), torch.ones(2, 1, dtype=torch.float64))
    assert found.argmax(2).flatten().tolist() == [1, 1]
    assert found[0, 0].tolist() == pytest.approx(softmax([0, 1, 0]).tolist())


def test_inner_products_are_those_of_whole_maps():
    maps = torch.randn(3, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = [[(one * other).sum().item() for other in maps] for one in maps]
    np.testing.assert_allclose(gram(maps), expected, rtol=1e-12)


def test_maps_of_zeros_have_a_finite_embedding_and_gradient():
    side = Embedding(1, 8)
    with torch.no_grad():
        for part in side.parameters():
            part.zero_()
    grams = torch.zeros(1, 8, 8, requires_grad=True)
    side(grams).sum().backward()
    assert torch.isfinite(grams.grad).all()
    assert all(torch.isfinite(part.grad).all() for part in side.parameters())


def test_embeddings_are_computed_in_full_precision_under_autocast():
    """Inner products of large maps do not fit into half precision."""
    side, grams = Embedding(2, 8), 1e6 * torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = side(grams)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, side(grams), rtol=0, atol=0)


@pytest.mark.parametrize(("images", "hidden", "width"), [(64, 32, 16), (10, 4, 2), (4, 2, 1), (3, 2, 1), (1, 2, 1)])
def test_widths_follow_from_the_size_of_a_batch_and_weights_start_as_those_of_linear_layers(images, hidden, width):
    side = Embedding(3, images)
    assert [tuple(part.shape) for part in side.parameters()] == [
        (3, hidden, images),
        (3, 1, hidden),
        (3, width, hidden),
        (3, 1, width),
    ]
    bounds = [images**-0.5] * 2 + [hidden**-0.5] * 2
    assert all(0 < part.abs().max() <= bound for part, bound in zip(side.parameters(), bounds, strict=True))


@pytest.fixture
def bench(make_bench):
    return make_bench("wrn-10-1", "resnet10-narrow")


def test_method_compares_all_stages_but_the_stem_and_adds_kd(bench):
    method = METHOD(bench.pair).double()
    seen = bench.batch(4, dtype=torch.float64)
    parts = method(seen.student, seen.teacher, seen.data)
    student, teacher = ([maps.detach().numpy() for maps in side.feats[1:]] for side in (seen.student, seen.teacher))
    assert (len(student), len(teacher)) == (3, 4)
    expected, _ = naive_loss(student, teacher, method.queries, method.keys, method.projections)
    assert list(parts) == ["semckd", "kd"]
    assert parts["semckd"].item() == pytest.approx(expected, rel=1e-9)
    kd = 16 * given_logits.divergences(seen.student.logits, seen.teacher.logits, 4.0).mean()
    assert METHOD.objective["weight"] * parts["kd"].item() == pytest.approx(kd, rel=1e-9)


def test_the_weight_of_kd_is_an_option(bench):
    seen = bench.batch(4)
    once, twice = (
        METHOD(bench.pair, **options)(seen.student, seen.teacher, seen.data)["kd"] for options in ({}, {"kd": 0.005})
    )
    assert twice.item() == pytest.approx(2 * once.item())


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_batch_of_another_size_has_kd_alone(size, bench):
    method, seen = METHOD(bench.pair), bench.batch(size)
    parts = method(seen.student, seen.teacher, seen.data)
    whole = METHOD(dataclasses.replace(bench.pair, batch_size=size))(seen.student, seen.teacher, seen.data)
    assert list(parts) == list(whole) == ["semckd", "kd"]
    assert parts["kd"] == whole["kd"]
    assert (parts["semckd"], parts["semckd"].requires_grad) == (0, False)
    assert whole["semckd"] > 0


def test_the_gradient_flows_through_the_attention(bench):
    method, seen = METHOD(dataclasses.replace(bench.pair, batch_size=8)), bench.batch(8)
    method(seen.student, seen.teacher, seen.data)["semckd"].backward()
    assert all(part.grad.abs().sum() > 0 for side in (method.queries, method.keys) for part in side.parameters())
    assert all(part.grad.abs().sum() > 0 for part in method.projections.parameters())


def test_the_teachers_inner_products_are_cached(bench):
    method, seen = METHOD(bench.pair), bench.batch(4)
    calls = []

    class Watched(Features):
        def cached(self, function, *tensors):
            calls.append((function, tensors))
            return super().cached(function, *tensors)

    teacher = Watched(**{field.name: getattr(seen.teacher, field.name) for field in dataclasses.fields(Features)})
    method(seen.student, teacher, seen.data)
    assert [function for function, _ in calls] == [gram] * 4
