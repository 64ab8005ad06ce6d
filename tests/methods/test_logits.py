"""What losses on logits share, against golden values, float64 statements and extreme logits."""

import pytest
import torch

from methods import Batch, NotApplicableError, load
from methods.logits import divergence, standardised, two_class_divergence, warmed_up
from tests.methods import modern


def float64_divergence(student, teacher, temperature, kept=None):
    """One row at a time, as a formula is written down."""
    found = []
    for row, (z, v) in enumerate(zip(student.double() / temperature, teacher.double() / temperature, strict=True)):
        places = torch.ones(len(z), dtype=torch.bool) if kept is None else kept[row]
        q, p = (values[places].softmax(0) for values in (z, v))
        found.append(sum(p * (p.log() - q.log()), torch.zeros(())))
    return torch.stack(found)


@pytest.fixture
def seen():
    return modern.logits()


def test_the_inputs_are_those_of_the_golden_values(seen):
    z, v, zs, vs, y = seen
    for name, values in (("z", z), ("v", v), ("zs", zs), ("vs", vs)):
        assert values.sum().item() == pytest.approx(modern.GOLDEN[f"check.{name}.sum"], abs=1e-9)
    assert y.tolist() == modern.GOLDEN["check.y"]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_is_that_of_each_row(seen, temperature):
    z, v, *_ = seen
    expected = float64_divergence(z, v, temperature)
    torch.testing.assert_close(divergence(z, v, temperature), expected, rtol=1e-12, atol=1e-12)


def test_divergence_over_some_classes_is_0_without_gradient_where_none_is_kept(seen):
    z, v, *_ = seen
    z.requires_grad_()
    kept = v < v.mean(dim=1, keepdim=True)
    kept[2] = False
    found = divergence(z, v, 4.0, kept)
    torch.testing.assert_close(found, float64_divergence(z, v, 4.0, kept).to(found), rtol=1e-12, atol=1e-12)
    found.sum().backward()
    assert found[2] == 0
    assert torch.equal(z.grad[2], torch.zeros(7, dtype=torch.float64))
    assert torch.isfinite(z.grad).all()


def test_a_two_class_and_a_restricted_divergence_make_up_the_whole(seen):
    z, v, *_, y = seen
    others = torch.ones(6, 7, dtype=torch.bool).scatter_(1, y[:, None], value=0)
    rest = 1 - (v / 4).softmax(1).gather(1, y[:, None]).squeeze(1)
    parts = two_class_divergence(z, v, y, y, 4.0) + rest * divergence(z, v, 4.0, others)
    torch.testing.assert_close(parts, divergence(z, v, 4.0), rtol=1e-12, atol=1e-12)


def test_divergences_of_extreme_logits_are_finite_with_finite_gradients():
    z = torch.tensor([[110.0, 0, 0], [-2000.0, 2000, 0]], requires_grad=True)
    v = torch.tensor([[2.0, 0.5, 0.1], [3.0, 0, -3]])
    label = torch.tensor([0, 0])
    loss = (two_class_divergence(z, v, label, label, 1.0) + divergence(z, v, 1.0)).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_standardised_logits_are_golden_and_do_not_depend_on_shift_and_scale(seen):
    z, *_ = seen
    assert standardised(z)[0].tolist() == pytest.approx(modern.GOLDEN["ls.z[0]"], rel=1e-9)
    moved = torch.tensor([[0.5], [2.0], [3.0], [4.0], [10.0], [100.0]], dtype=torch.float64) * z - 7
    torch.testing.assert_close(standardised(moved), standardised(z), rtol=1e-5, atol=1e-6)


def test_standardised_logits_that_do_not_vary_are_0_without_gradient():
    z = torch.tensor([[1.0, 1, 1], [0.0, 0, 0], [1.0, 2, 4]], requires_grad=True)
    found = standardised(z)
    (found * torch.tensor([1.0, 2, 5])).sum().backward()
    assert torch.equal(found[:2], torch.zeros(2, 3))
    assert torch.equal(z.grad[:2], torch.zeros(2, 3))
    assert z.grad[2].abs().sum() > 0
    assert torch.isfinite(z.grad).all()


def test_masked_classes_stay_masked_and_do_not_count(seen):
    z, *_ = seen
    masked = z.index_fill(1, torch.tensor([1, 4]), -torch.inf)
    kept = [0, 2, 3, 5, 6]
    torch.testing.assert_close(standardised(masked)[:, kept], standardised(z[:, kept]))
    assert (standardised(masked)[:, [1, 4]] == -torch.inf).all()


@pytest.mark.parametrize(
    ("epoch", "epochs", "length", "expected"),
    [(1, 240, 20, 0.05), (20, 240, 20, 1), (240, 240, 20, 1), (3, 60, 20, 0.6), (1, 6, 0, 1)],
)
def test_warm_up_takes_a_share_of_the_training(epoch, epochs, length, expected):
    numbers = {"epoch": torch.tensor(float(epoch)), "epochs": torch.tensor(float(epochs))}
    batch = Batch(*[torch.zeros(1)] * 4, generator=None, **numbers)
    assert warmed_up(batch, length).item() == pytest.approx(expected)


def test_two_classes_cannot_be_standardised(make_bench):
    bench = make_bench("wrn-10-1", "wrn-16-1", classes=2)
    with pytest.raises(NotApplicableError, match=r"KD standardises logits, of which two classes keep only the sign"):
        load("kd")(bench.pair, standardise=True)
