"""CRD against known values and the formula, and its negatives against what they promise."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods import load
from methods.crd import (
    Draw,
    crd_loss,
    distinct_negatives,
    fewest_starts,
    remembered,
    repeated_negatives,
    softplus,
)

LABELS = torch.tensor([0] * 5 + [1] * 10 + [2] * 25)[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
UNSET = torch.zeros((), dtype=torch.float64)


def distinct(own, count, generator):
    return chosen(distinct_negatives(LABELS, own, count, generator, largest=25))


def repeated(own, count, generator):
    return chosen(repeated_negatives(LABELS, own, count, generator))


def chosen(drawn):
    """The samples drawn for each image, each as often as it was drawn."""
    parts = zip(drawn.pools, drawn.counts.tensor_split(len(drawn.pools)), strict=True)
    return torch.stack([pool.repeat_interleave(row.long()) for pool, counts in parts for row in counts])


def drawn_from(negatives, size, pools=1):
    """A draw of these samples ``(B, n)`` among so many, from pools of all of them, each in another order."""
    order = torch.stack([torch.arange(size).roll(3 * pool) for pool in range(pools)])
    counts = torch.zeros(len(negatives), size, dtype=torch.float64)
    counts.scatter_add_(1, negatives, torch.ones_like(negatives, dtype=counts.dtype))
    parts = zip(order, counts.tensor_split(pools), strict=True)
    return Draw(order, torch.cat([part[:, pool] for pool, part in parts]))


def naive_scores(embedding, bank, indices, temperature):
    return np.array(
        [
            [math.exp(float(np.dot(bank[column], row)) / temperature) for column in columns]
            for row, columns in zip(embedding, indices, strict=True)
        ]
    )


def naive_loss(probabilities, samples):
    noise = (probabilities.shape[1] - 1) / samples
    total = 0.0
    for own, *others in probabilities:
        total -= math.log(own / (own + noise + 1e-7)) + sum(math.log(noise / (p + noise + 1e-7)) for p in others)
    return total / len(probabilities)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_golden(golden, wave):
    indices = torch.tensor([[2, 0, 1, 3], [5, 6, 8, 0], [7, 1, 2, 4], [9, 3, 5, 6]])
    student, teacher = functional.normalize(wave.s(4, 6)), functional.normalize(wave.t(4, 6))
    bank_student, bank_teacher = 0.3 * wave.s(10, 6, off=3), 0.3 * wave.t(10, 6, off=3)
    total = 0.0
    for side, embedding, bank in (("s", student, bank_teacher), ("t", teacher, bank_student)):
        drawn = drawn_from(indices[:, 1:], 10)
        loss, constant = crd_loss(embedding / 0.07, bank, indices[:, 0], drawn, UNSET, 3)
        assert constant.item() == pytest.approx(golden[f"CRD_Z{side}"], abs=1e-8)
        assert loss.item() == pytest.approx(golden[f"CRD_{side}"], abs=1e-9)
        total += loss.item()
    assert total == pytest.approx(golden["CRD"], abs=1e-9)
    rows = remembered(bank_student, indices[:, 0], student, 0.5)
    assert rows[0, 0].item() == pytest.approx(golden["CRD_mem_s[2,0]"], abs=1e-9)


def test_two_batches_of_the_method_follow_the_formula(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    method = load("crd")(bench.pair, dim=3, negatives=4, temperature=0.5, momentum=0.25).double()
    banks = {side: method.get_buffer(f"bank_{side}").numpy().copy() for side in ("student", "teacher")}
    constants = {}
    for seed in (0, 1):
        seen = bench.batch(3, seed, torch.float64)
        negatives = torch.randint(40, (3, 4), generator=torch.Generator().manual_seed(seed))
        drawn = drawn_from(negatives, 40)
        method.draw = lambda *_, drawn=drawn: drawn
        indices = torch.cat([seen.data.indices[:, None], negatives], dim=1).numpy()
        parts = method(seen.student, seen.teacher, seen.data)
        with torch.no_grad():
            embeddings = {
                "student": unit(method.head_student(seen.student.embedding).numpy()),
                "teacher": unit(method.head_teacher(seen.teacher.embedding).numpy()),
            }
        for side, other in (("student", "teacher"), ("teacher", "student")):
            scores = naive_scores(embeddings[side], banks[other], indices, 0.5)
            constants.setdefault(side, scores.mean() * 40)
            assert parts[side].item() == pytest.approx(naive_loss(scores / constants[side], 40), abs=1e-9)
        for side, bank in banks.items():
            rows = indices[:, 0]
            bank[rows] = unit(0.25 * bank[rows] + 0.75 * embeddings[side])
            assert np.allclose(method.get_buffer(f"bank_{side}").numpy(), bank, atol=1e-12)


@pytest.mark.parametrize("pools", [1, 3])
def test_gradient_is_that_of_gathered_rows(pools, wave):
    bank = wave.t(40, 8)
    indices = torch.randint(40, (4, 9), generator=torch.Generator().manual_seed(0))
    constant = torch.tensor(90.0, dtype=torch.float64)
    embedding = wave.s(4, 8).requires_grad_()
    loss, same = crd_loss(embedding / 0.7, bank, indices[:, 0], drawn_from(indices[:, 1:], 40, pools), constant, 8)
    rows = torch.exp(torch.bmm(bank[indices], embedding[:, :, None]).squeeze(2) / 0.7) / constant
    own, others = rows[:, 0], rows[:, 1:]
    gathered = (torch.log((own + 0.2 + 1e-7) / own) + torch.log((others + 0.2 + 1e-7) / 0.2).sum(dim=1)).mean()
    assert loss.item() == pytest.approx(gathered.item(), abs=1e-12)
    assert same == constant
    gradients = (torch.autograd.grad(value, embedding)[0] for value in (3 * loss, 3 * gathered))
    assert torch.allclose(*gradients, atol=1e-12)


def test_nothing_larger_than_the_embeddings_is_kept_for_the_backward_pass(wave):
    indices = torch.randint(40, (4, 9), generator=torch.Generator().manual_seed(0))
    sizes = []

    def kept(tensor):
        sizes.append(tensor.numel())
        return tensor

    embedding = wave.s(4, 8).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
        crd_loss(embedding, wave.t(40, 8), indices[:, 0], drawn_from(indices[:, 1:], 40), UNSET, 8)
    assert max(sizes) <= embedding.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softplus_keeps_its_digits_everywhere(dtype):
    values = torch.tensor([-80.0, -30.0, -9.0, -1.0, 0.0, 1e-3, 2.0, 30.0, 90.0], dtype=dtype)
    expected = [max(value, 0.0) + math.log1p(math.exp(-abs(value))) for value in values.tolist()]
    assert softplus(values).tolist() == pytest.approx(expected, rel=8 * torch.finfo(dtype).eps, abs=0)


def test_first_loss_is_that_of_chance(make_bench):
    bench = make_bench("wrn-10-1", "wrn-10-1")
    # At a high temperature; at a low one, the spread of the random scores adds to it.
    method, seen = load("crd")(bench.pair, negatives=30, temperature=5.0), bench.batch(16)
    loss = sum(method(seen.student, seen.teacher, seen.data).values()).item()
    assert loss == pytest.approx(2 * (math.log(1 + 30) + 1), rel=0.01)


@pytest.mark.parametrize("images", [3, 30])
@pytest.mark.parametrize(("draw", "count"), [(distinct, 15), (distinct, 3), (repeated, 60)])
def test_negatives_are_uniform_over_other_classes(draw, count, images):
    generator = torch.Generator().manual_seed(0)
    own = torch.arange(3).repeat(1000)
    # The images of one draw may share its chance, so the draws are many.
    drawn = torch.cat([draw(own[start : start + images], count, generator) for start in range(0, len(own), images)])
    assert drawn.shape == (3000, count)
    for label in range(3):
        frequency = torch.bincount(drawn[own == label].flatten(), minlength=40) / (1000 * count)
        others = label != LABELS
        expected = 1 / others.sum()
        assert (frequency[~others] == 0).all()
        assert (frequency[others] - expected).abs().max() < 6 * (expected / (1000 * count)) ** 0.5


@pytest.mark.parametrize("draw", [distinct, repeated])
def test_negatives_depend_on_the_generator_alone(draw):
    own = LABELS[:8]
    first, again = (draw(own, 15, torch.Generator().manual_seed(3)) for _ in range(2))
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(first, again)
    assert torch.equal(first, draw(own, 15, generator))
    assert not torch.equal(first, draw(own, 15, generator))


def loss_gradients(count, images, clustered, rounds):
    """Gradients ``(rounds, B, C)`` of CRD's loss for the same images and bank, by draw."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 100
    indices = torch.randperm(len(labels), generator=generator)[:images]
    bank = functional.normalize(torch.randn(len(labels), 128, generator=generator), dim=1)
    embedding = functional.normalize(torch.randn(images, 128, generator=generator), dim=1)
    if clustered:
        centres = functional.normalize(torch.randn(100, 128, generator=generator), dim=1)[labels]
        bank, embedding = (
            functional.normalize(2 * each + own, dim=1)
            for each, own in ((centres, bank), (centres[indices], embedding))
        )
    scaled = (embedding / 0.07).requires_grad_()
    constant = (scaled.detach() @ bank.T).exp().mean() * len(labels)
    for _ in range(rounds):
        drawn = distinct_negatives(labels, labels[indices], count, generator, largest=20)
        loss, _ = crd_loss(scaled, bank, indices, drawn, constant, count)
        yield torch.autograd.grad(loss, scaled)[0]


@pytest.mark.parametrize("clustered", [False, True], ids=["random", "clustered"])
@pytest.mark.parametrize(("count", "images"), [(655, 64), (655, 16), (1000, 64), (1300, 64), (40, 64)])
def test_noise_of_a_batch_is_about_that_of_independent_draws(count, images, clustered):
    gradients = torch.stack(list(loss_gradients(count, images, clustered, 50)))
    # The variances of independent draws would add up.
    together, apart = gradients.sum(dim=1).var(dim=0).sum(), gradients.var(dim=0).sum()
    assert (together / apart).sqrt() < 1.5


def test_a_batch_starts_where_its_arcs_fill_the_order_and_often_enough_where_they_are_short():
    assert [fewest_starts(images, 16384 / 50000) for images in (1, 5, 64, 128, 512)] == [1, 1, 3, 3, 3]
    assert fewest_starts(64, 1 - 16384 / 50000) == 3
    assert fewest_starts(64, 1e-6) == 13
    assert fewest_starts(512, 16384 / 1281167) == 45


def test_distinct_negatives_never_repeat_even_where_all_others_are_needed():
    drawn = distinct(LABELS, 15, torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 15 for row in drawn.tolist())
    largest = (LABELS == 2).nonzero()[:1, 0]
    everyone = distinct(LABELS[largest], 15, torch.Generator().manual_seed(0))
    assert sorted(everyone[0].tolist()) == (LABELS != 2).nonzero()[:, 0].tolist()


def test_negatives_repeat_only_where_others_are_too_few(make_bench):
    pair = make_bench("wrn-10-1", "wrn-10-1").pair
    assert load("crd")(pair, negatives=32).draw is not repeated_negatives
    assert load("crd")(pair, negatives=33).draw is repeated_negatives


def test_normaliser_is_set_once_by_the_first_pool_and_carries_no_gradient(wave):
    bank, own, negatives = wave.t(10, 6), torch.arange(4), torch.arange(24).reshape(4, 6) % 10
    scaled, drawn = wave.s(4, 6).requires_grad_(), drawn_from(negatives, 10, pools=2)
    _, first = crd_loss(scaled, bank, own, drawn, UNSET, 6)
    assert not first.requires_grad
    indices = torch.cat([own[:, None], negatives], dim=1)[:2].numpy()
    expected = naive_scores(scaled.detach()[:2].numpy(), bank.numpy(), indices, 1.0).mean() * 10
    assert first.item() == pytest.approx(expected)
    assert crd_loss(2 * scaled, bank, own, drawn, first, 6)[1] == first
