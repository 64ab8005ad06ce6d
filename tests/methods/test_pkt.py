"""PKT against the known value and the formula."""

import math

import numpy as np
import pytest
import torch

from methods import load
from methods.pkt import pkt_loss


def naive_affinities(rows):
    unit = [row / (math.sqrt(sum(x * x for x in row)) + 1e-7) for row in rows]
    kernel = np.array([[(np.dot(a, b) + 1) / 2 for b in unit] for a in unit])
    return kernel / kernel.sum(axis=1, keepdims=True)


def test_golden(golden, wave):
    assert pkt_loss(wave.s(4, 6), wave.t(4, 7)).item() == pytest.approx(golden["PKT"], abs=1e-9)


def test_formula():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, width, dtype=torch.float64, generator=generator) for width in (3, 8))
    q, p = naive_affinities(student.numpy()), naive_affinities(teacher.numpy())
    expected = np.mean(p * np.log((p + 1e-7) / (q + 1e-7)))
    assert pkt_loss(student, teacher).item() == pytest.approx(expected, abs=1e-12)


def test_zero_for_copies_and_scale_does_not_matter(wave):
    assert pkt_loss(wave.s(5, 6), wave.s(5, 6)) == 0
    assert pkt_loss(3 * wave.s(5, 6), wave.s(5, 6)).item() == pytest.approx(0, abs=1e-8)


def test_gradient_agrees_with_differences(wave):
    assert torch.autograd.gradcheck(lambda rows: pkt_loss(rows, wave.t(4, 7)), wave.s(4, 6).requires_grad_())


def test_opposite_rows_are_finite_in_single_precision(wave):
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        row = 100 * torch.rand(1, 4096, generator=generator)
        student = torch.cat([row, -row]).requires_grad_()
        loss = pkt_loss(student, wave.t(2, 7).float())
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(student.grad).all()


def test_method_compares_embeddings(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    seen = bench.batch()
    loss = load("pkt")(bench.pair)(seen.student, seen.teacher, seen.data)["pkt"]
    assert loss.item() == pytest.approx(pkt_loss(seen.student.embedding, seen.teacher.embedding).item())
