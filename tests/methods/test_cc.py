"""CC against the known value and the formula."""

import numpy as np
import pytest
import torch

from methods import load
from methods.cc import cc_loss


def naive(student, teacher):
    apart = np.abs(student - teacher)
    products = [
        sum(apart[image, d] * apart[image + 1, d] for d in range(apart.shape[1])) for image in range(len(apart) - 1)
    ]
    return sum(products) / len(products)


def test_golden(golden, wave):
    assert cc_loss(wave.s(4, 6), wave.t(4, 6)).item() == pytest.approx(golden["CC"], abs=1e-9)


@pytest.mark.parametrize("size", [2, 5])
def test_formula(size):
    student, teacher = torch.randn(2, size, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert cc_loss(student, teacher).item() == pytest.approx(naive(student.numpy(), teacher.numpy()), abs=1e-12)


def test_identical_embeddings_and_single_images_cost_nothing(wave):
    assert cc_loss(wave.s(4, 6), wave.s(4, 6)) == 0
    assert cc_loss(wave.s(1, 6), wave.t(1, 6)) == 0


def test_method_compares_linear_heads_on_both_embeddings_and_trains_both(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow")
    seen = bench.batch()
    for options, dim in (({}, 128), ({"dim": 6}, 6)):
        method = load("cc")(bench.pair, **options)
        loss = method(seen.student, seen.teacher, seen.data)["cc"]
        sides = [(method.head_student, seen.student), (method.head_teacher, seen.teacher)]
        mine, theirs = (
            features.embedding.detach().double().numpy() @ head.weight.detach().double().numpy().T
            + head.bias.detach().numpy()
            for head, features in sides
        )
        assert mine.shape == (4, dim)
        assert loss.item() == pytest.approx(naive(mine, theirs), rel=1e-5)
        loss.backward(retain_graph=True)
        assert all(head.weight.grad.abs().sum() > 0 for head, _ in sides)
