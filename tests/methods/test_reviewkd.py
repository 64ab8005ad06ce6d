"""ReviewKD against golden values, and a statement of its formula in NumPy."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from methods import load
from methods.reviewkd import Review, hierarchical_loss, review_loss
from tests.methods import modern
from tests.methods.reference import draw

PAIRS = [
    ("wrn-10-1", "wrn-16-2", (16, 16)),
    ("shufflenetv2", "resnet8x4", (32, 32)),
    ("wrn-10-1", "resnet10-narrow", (16, 24)),
    ("mobilenetv2-cifar", "wrn-10-1", (16, 16)),
]


def golden_levels():
    """The drawn maps of student and teacher, and a review with the drawn parameters, each in float64."""
    draws = modern.Draws(59)
    student = [draws(6, *shape) for shape in ((3, 8, 8), (4, 4, 4), (5, 2, 2), (6, 1, 1))]
    teacher = [draws(6, *shape) for shape in ((4, 16, 16), (6, 8, 8), (8, 4, 4), (8, 1, 1))]
    review = Review([each.shape[1:] for each in student], [each.shape[1:] for each in teacher]).double()
    for level in review.levels:
        attention = (
            [] if level.attention is None else [(level.attention.weight, 0.3, 0), (level.attention.bias, 0.1, 0)]
        )
        narrow, widen = (
            [(conv.weight, 0.3, 0), (norm.weight, 0.1, 1), (norm.bias, 0.1, 0)]
            for conv, norm in (level.narrow, level.widen)
        )
        for parameter, factor, shift in [*narrow, *attention, *widen]:
            parameter.data = shift + factor * draws(*parameter.shape)
    return student, teacher, review


def windows(size, cells):
    return [range(cell * size // cells, math.ceil((cell + 1) * size / cells)) for cell in range(cells)]


def naive_pooled(maps, side):
    height, width = maps.shape[2:]
    return np.array(
        [
            [maps[:, :, rows][:, :, :, columns].mean((2, 3)) for columns in windows(width, side)]
            for rows in windows(height, side)
        ]
    ).transpose(2, 3, 0, 1)


def naive_hierarchical(student, teacher):
    smaller = [side for side in (4, 2, 1) if side < student.shape[2]]
    weights = [0.5**place for place in range(1 + len(smaller))]
    compared = [(student, teacher), *((naive_pooled(student, side), naive_pooled(teacher, side)) for side in smaller)]
    terms = [weight * np.mean((mine - theirs) ** 2) for weight, (mine, theirs) in zip(weights, compared, strict=True)]
    return sum(terms) / sum(weights)


def naive_convolution(layer, maps):
    weight = layer.weight.detach().numpy()
    edge, height, width = weight.shape[2] // 2, *maps.shape[2:]
    padded = np.pad(maps, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    total = np.zeros((len(maps), len(weight), height, width))
    for y in range(weight.shape[2]):
        for x in range(weight.shape[3]):
            total += np.einsum("oc,bchw->bohw", weight[:, :, y, x], padded[:, :, y : y + height, x : x + width])
    return total if layer.bias is None else total + layer.bias.detach().numpy()[:, None, None]


def naive_normed(layers, maps):
    found = naive_convolution(layers[0], maps)
    mean, variance = (each((0, 2, 3), keepdims=True) for each in (found.mean, found.var))
    scale, shift = (each.detach().numpy()[:, None, None] for each in (layers[1].weight, layers[1].bias))
    return (found - mean) / np.sqrt(variance + 1e-5) * scale + shift


def naive_resized(maps, height, width):
    old = maps.shape[2:]
    rows = [row * old[0] // height for row in range(height)]
    return maps[:, :, rows][:, :, :, [column * old[1] // width for column in range(width)]]


def naive_review(review, student, teacher):
    """The reviewed maps of a student, deepest first, and the loss."""
    fused, reviewed, total = None, [], 0.0
    for level, mine, theirs in reversed(list(zip(review.levels, student, teacher, strict=True))):
        narrow = naive_normed(level.narrow, mine)
        if fused is not None:
            deeper = naive_resized(fused, *mine.shape[2:])
            weights = 1 / (1 + np.exp(-naive_convolution(level.attention, np.concatenate([narrow, deeper], 1))))
            narrow = weights[:, :1] * narrow + weights[:, 1:] * deeper
        fused = naive_resized(narrow, *theirs.shape[2:])
        reviewed.append(naive_normed(level.widen, fused))
        total += naive_hierarchical(reviewed[-1], theirs)
    return reviewed, total


def test_golden():
    student, teacher, review = golden_levels()
    for each in student:
        each.requires_grad_()
    modern.check("reviewkd", review_loss(review(*student), teacher), *student)
    modern.check("reviewkd.hcl.8x8", hierarchical_loss(student[0], student[0].roll(1, 0)))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 8, 9, 12, 17])
def test_hierarchical_loss_averages_the_map_and_its_smaller_poolings(side):
    student, teacher = draw(2, 3, 4, side, side)
    expected = naive_hierarchical(student.numpy(), teacher.numpy())
    assert hierarchical_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_gradient_agrees_with_differences():
    student, teacher = draw(2, 2, 3, 8, 8)
    assert torch.autograd.gradcheck(lambda maps: hierarchical_loss(maps, teacher), student.requires_grad_())


def test_equal_maps_cost_nothing_and_have_no_gradient():
    maps = draw(3, 4, 8, 8).requires_grad_()
    loss = hierarchical_loss(maps, maps.detach().clone())
    loss.backward()
    assert loss == 0
    assert torch.equal(maps.grad, torch.zeros_like(maps))


@pytest.mark.parametrize("sizes", [(32, 16, 8), (16, 8, 4), (16, 8, 4, 4), (16, 8, 4, 2), (34, 17, 9, 5), (7, 5, 3)])
def test_levels_are_fused_from_the_deepest_at_the_teachers_sizes(sizes):
    teacher_sizes = [32, 16, 8, 4][: len(sizes)]
    shapes = [[(3 + level, size, size) for level, size in enumerate([*each, 1])] for each in (sizes, teacher_sizes)]
    review = Review(*shapes).double()
    student, teacher = ([draw(3, *shape, seed=seed) for shape in each] for seed, each in enumerate(shapes))
    expected, total = naive_review(review, [each.numpy() for each in student], [each.numpy() for each in teacher])
    reviewed = review(*student)
    for mine, wanted in zip(reviewed, reversed(expected), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), wanted, rtol=1e-9, atol=1e-11)
    assert review_loss(reviewed, teacher).item() == pytest.approx(total, rel=1e-9)


def test_a_common_order_of_the_images_changes_nothing():
    student, teacher, review = golden_levels()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    first = review_loss(review(*student), teacher)
    second = review_loss(review(*(each[order] for each in student)), [each[order] for each in teacher])
    assert first.item() == pytest.approx(second.item(), rel=1e-12)


@pytest.mark.parametrize(("width", "middle"), [(64, 64), (512, 512), (600, 512)])
def test_fused_maps_have_the_students_width_up_to_512(width, middle):
    review = Review([(4, 2, 2), (width, 1, 1)], [(5, 2, 2), (7, 1, 1)])
    assert [level.narrow[0].out_channels for level in review.levels] == [middle, middle]
    assert [level.widen[0].in_channels for level in review.levels] == [middle, middle]
    assert [level.attention is None for level in review.levels] == [False, True]


def test_convolutions_start_uniform_with_the_variance_of_their_inputs():
    review = Review([(64, 4, 4), (128, 1, 1)], [(32, 4, 4), (16, 1, 1)])
    for level in review.levels:
        for convolution, norm in (level.narrow, level.widen):
            bound = (3 / convolution.weight[0].numel()) ** 0.5
            assert convolution.bias is None
            assert 0.98 * bound < convolution.weight.abs().max() <= bound
            assert convolution.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
            assert norm.weight.unique().tolist() == [1]
            assert norm.bias.unique().tolist() == [0]


@pytest.mark.parametrize("preactivations", [False, True])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: ":".join(pair[:2]))
def test_method_reviews_paired_stages_and_the_embedding_against_the_teachers_preactivations(
    pair, preactivations, make_bench
):
    *names, sizes = pair
    bench = make_bench(*names, sizes=sizes)
    method = load("reviewkd")(bench.pair, preactivations=preactivations).double()
    seen = bench.batch(dtype=torch.float64)
    maps = seen.student.preacts if preactivations else seen.student.feats
    student, teacher = (
        [each.detach().numpy() for each in (*chosen[1 : 1 + stages], features.embedding[:, :, None, None])]
        for stages in [min(len(maps), len(seen.teacher.preacts)) - 1]
        for chosen, features in ((maps, seen.student), (seen.teacher.preacts, seen.teacher))
    )
    _, expected = naive_review(method.review, student, teacher)
    loss = method(seen.student, seen.teacher, seen.data)["review"]
    assert loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "epoch", "factor"),
    [({}, 1, 1 / 20), ({}, 10, 0.5), ({}, 20, 1), ({}, 200, 1), ({"warmup": 40.0}, 10, 0.25), ({"warmup": 0.0}, 1, 1)],
)
def test_weight_rises_in_the_first_epochs(options, epoch, factor, make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    method, seen = load("reviewkd")(bench.pair, **options), bench.batch()
    losses = [
        method(
            seen.student,
            seen.teacher,
            dataclasses.replace(seen.data, epoch=torch.tensor(now), epochs=torch.tensor(240.0)),
        )
        for now in (float(epoch), 240.0)
    ]
    assert losses[0]["review"].item() == pytest.approx(factor * losses[1]["review"].item(), rel=1e-5)


def test_one_image_costs_nothing(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1")
    method, seen = load("reviewkd")(bench.pair), bench.batch(1)
    loss = method(seen.student, seen.teacher, seen.data)["review"]
    loss.backward()
    assert loss == 0
    slopes = [parameter.grad for parameter in bench.student.parameters() if parameter.grad is not None]
    assert slopes
    assert all(not slope.any() for slope in slopes)
    bench.student.zero_grad()


def test_embedding_is_projected_as_at_the_deepest_level(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-2")
    method, seen = load("reviewkd")(bench.pair), bench.batch()
    embedding = seen.student.embedding.detach().double().numpy()[:, :, None, None]
    deepest = method.double().review.levels[-1]
    expected = naive_normed(deepest.widen, naive_normed(deepest.narrow, embedding))[:, :, 0, 0]
    projected = method.float().project(seen.student)
    np.testing.assert_allclose(projected.detach().numpy(), expected, rtol=1e-3, atol=1e-4)
