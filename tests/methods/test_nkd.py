"""NKD against golden values and a loop over images in NumPy."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from methods import load
from methods.nkd import label_loss, others_loss
from tests.methods import given_logits, modern

METHOD = load("nkd")
parts_of = partial(given_logits.parts, METHOD)


def naive_parts(z, v, y, temperature):
    label, others = [], []
    for mine, theirs, target in zip(z.detach().numpy(), v.numpy(), y.tolist(), strict=True):
        label.append(-softmax(theirs)[target] * log_softmax(mine)[target])
        rest = [np.delete(row, target) / temperature for row in (mine, theirs)]
        others.append(-np.sum(softmax(rest[1]) * log_softmax(rest[0])))
    return np.mean(label), temperature**2 * np.mean(others)


def is_label(y, classes):
    return torch.nn.functional.one_hot(y, classes).bool()


def test_golden(seen, pair):
    z, v, y = seen
    paper = {"temperature": 1.0, "gamma": 1.5}
    parts = parts_of(pair, z, v, y)
    assert list(parts) == ["label", "others"]
    modern.check("nkd.T3.g3.5", sum(parts.values()), z)
    modern.check("nkd", sum(parts_of(pair, z, v, y, **paper).values()), z)
    every = parts_of(pair, z, v, y, **paper, **METHOD.variants["allclasses"])
    modern.check("nkd[allclasses]", sum(every.values()), z)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_parts_are_those_of_single_images(temperature, seen):
    z, v, y = seen
    label, others = naive_parts(z, v, y, temperature)
    assert label_loss(z, v, y).item() == pytest.approx(label, rel=1e-10)
    assert others_loss(z, v, temperature, is_label(y, 7)).item() == pytest.approx(others, rel=1e-10)


def test_logits_of_the_label_do_not_matter_to_the_other_classes(seen):
    z, v, y = seen
    left_out = is_label(y, 7)
    moved = others_loss(z + 5 * left_out, v - 3 * left_out, 3.0, left_out)
    assert moved.item() == pytest.approx(others_loss(z, v, 3.0, left_out).item(), rel=1e-12)


def test_equal_logits_still_have_a_slope(seen, pair):
    _, v, y = seen
    z = v.clone().requires_grad_()
    loss = sum(parts_of(pair, z, v, y, temperature=1.0, gamma=1.5).values())
    loss.backward()
    assert z.grad.norm().item() == pytest.approx(modern.GOLDEN["edge"]["nkd gradient norm at z=v"], rel=1e-9)


def test_of_two_classes_only_the_label_is_left(seen):
    z, v, _ = seen
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    assert others_loss(z[:, :2], v[:, :2], 3.0, is_label(y, 2)) == 0


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("classes", ["others", "all"])
def test_classes_that_the_teacher_masks_leave_loss_and_gradient_finite(classes, both, masked):
    z, v = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(0))
    y = torch.arange(7)
    z.requires_grad_()
    mine = masked(z) if both else z
    left_out = is_label(y, 9) if classes == "others" else None
    loss = label_loss(mine, masked(v), y) + others_loss(mine, masked(v), 3.0, left_out)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_an_image_whose_teacher_masks_all_but_the_label_adds_nothing(seen):
    z, v, y = seen
    left_out = is_label(y, 7)
    hidden = v.clone()
    hidden[2] = hidden[2].masked_fill(~left_out[2], -torch.inf)
    others = [0, 1, 3, 4, 5]
    expected = others_loss(z[others], v[others], 3.0, left_out[others]).item() * 5 / 6
    loss = others_loss(z, hidden, 3.0, left_out)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert torch.equal(z.grad[2], torch.zeros(7, dtype=torch.float64))


def test_huge_logits_have_a_finite_gradient(seen, pair):
    z, v, y = seen
    student = (1e4 * z.detach().float()).requires_grad_()
    sum(parts_of(pair, student, -1e4 * v.float(), y).values()).backward()
    assert torch.isfinite(student.grad).all()


def test_weight_and_temperature_are_options(seen, pair):
    z, v, y = seen
    label, others = naive_parts(z, v, y, 2.0)
    parts = parts_of(pair, z, v, y, gamma=0.5, temperature=2.0)
    assert parts["label"].item() == pytest.approx(label)
    assert parts["others"].item() == pytest.approx(0.5 * others)
