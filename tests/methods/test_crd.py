"""CRD against known values and the formula, and its negatives against what they promise."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods import load
from methods.crd import (
    Draw,
    _Softplus,
    contrast,
    crd_loss,
    distinct_negatives,
    normaliser,
    remembered,
    repeated_negatives,
)

LABELS = torch.tensor([0] * 5 + [1] * 10 + [2] * 25)[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
UNSET = torch.zeros((), dtype=torch.float64)


def distinct(own, count, generator):
    return chosen(distinct_negatives(LABELS, own, count, generator, largest=25))


def repeated(own, count, generator):
    return chosen(repeated_negatives(LABELS, own, count, generator))


def chosen(drawn):
    """The samples drawn for each image, each as often as it was drawn."""
    return torch.stack([drawn.pool.repeat_interleave(counts.long()) for counts in drawn.counts])


def drawn_from(negatives, size):
    """A draw of these samples ``(B, n)`` among so many."""
    counts = torch.zeros(len(negatives), size, dtype=torch.float64)
    return Draw(torch.arange(size), counts.scatter_add_(1, negatives, torch.ones_like(negatives, dtype=counts.dtype)))


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
        counts = drawn_from(indices[:, 1:], 10).counts
        scores = contrast(embedding, bank[indices[:, 0]], bank, 0.07)
        constant = normaliser(UNSET, *scores, counts, 10)
        assert constant.item() == pytest.approx(golden[f"CRD_Z{side}"], abs=1e-8)
        loss = crd_loss(*scores, counts, constant, 3, 10).item()
        assert loss == pytest.approx(golden[f"CRD_{side}"], abs=1e-9)
        total += loss
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


def test_gradient_is_that_of_gathered_rows(wave):
    bank = wave.t(40, 8)
    indices = torch.randint(40, (4, 9), generator=torch.Generator().manual_seed(0))
    counts, constant = drawn_from(indices[:, 1:], 40).counts, torch.tensor(90.0, dtype=torch.float64)
    embedding = wave.s(4, 8).requires_grad_()
    loss = crd_loss(*contrast(embedding, bank[indices[:, 0]], bank, 0.7), counts, constant, 8, 40)
    rows = torch.exp(torch.bmm(bank[indices], embedding[:, :, None]).squeeze(2) / 0.7) / constant
    own, others = rows[:, 0], rows[:, 1:]
    gathered = (torch.log((own + 0.2 + 1e-7) / own) + torch.log((others + 0.2 + 1e-7) / 0.2).sum(dim=1)).mean()
    assert loss.item() == pytest.approx(gathered.item(), abs=1e-12)
    gradients = (torch.autograd.grad(value, embedding)[0] for value in (loss, gathered))
    assert torch.allclose(*gradients, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softplus_keeps_its_digits_everywhere(dtype):
    values = torch.tensor([-80.0, -30.0, -9.0, -1.0, 0.0, 1e-3, 2.0, 30.0, 90.0], dtype=dtype, requires_grad=True)
    result = _Softplus.apply(values)
    expected = [max(value, 0.0) + math.log1p(math.exp(-abs(value))) for value in values.tolist()]
    digits = 8 * torch.finfo(dtype).eps
    assert result.tolist() == pytest.approx(expected, rel=digits, abs=0)
    (slope,) = torch.autograd.grad(result.sum(), values)
    assert slope.tolist() == pytest.approx([1 / (1 + math.exp(-value)) for value in values.tolist()], rel=digits)


def test_first_loss_is_that_of_chance(make_bench):
    bench = make_bench("wrn-10-1", "wrn-10-1")
    # At a high temperature; at a low one, the spread of the random scores adds to it.
    method, seen = load("crd")(bench.pair, negatives=30, temperature=5.0), bench.batch(16)
    loss = sum(method(seen.student, seen.teacher, seen.data).values()).item()
    assert loss == pytest.approx(2 * (math.log(1 + 30) + 1), rel=0.01)


@pytest.mark.parametrize(("draw", "count"), [(distinct, 15), (repeated, 60)])
def test_negatives_are_uniform_over_other_classes(draw, count):
    generator = torch.Generator().manual_seed(0)
    own = torch.arange(3).repeat(1000)
    # The images of one draw may share its chance, so the draws are many.
    drawn = torch.cat([draw(own[start : start + 3], count, generator) for start in range(0, len(own), 3)])
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


def test_normaliser_is_set_once_and_carries_no_gradient(wave):
    own, others, counts = wave.s(4, 1).requires_grad_(), wave.s(4, 6).requires_grad_(), torch.ones(4, 6).double()
    first = normaliser(UNSET, own, others, counts, 10)
    assert not first.requires_grad
    assert first.item() == pytest.approx(torch.cat([own, others], dim=1).exp().mean().item() * 10)
    assert normaliser(first, 2 * own, 2 * others, counts, 10) == first
