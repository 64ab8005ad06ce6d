import pytest
import torch
from torch.nn import functional

from benchmark.training.replay import OperationLog, host_waits


@pytest.mark.parametrize(
    ("work", "waits"),
    [
        (lambda ones: ones.sum().item(), True),
        (lambda ones: ones[ones > 0], True),
        (lambda ones: bool(ones[0] > 0), True),
        (lambda ones: ones.nonzero(), True),
        (lambda ones: functional.one_hot(ones.long()), True),
        (lambda ones: ones.index_put_((ones > 0,), torch.zeros(())), True),
        (lambda ones: functional.one_hot(ones.long(), 5), False),
        (lambda ones: functional.one_hot(ones.long(), num_classes=5), False),
        (lambda ones: ones[torch.tensor([0, 2])], False),
        (lambda ones: torch.where(ones > 0, ones, 0), False),
        (lambda ones: functional.cross_entropy(torch.eye(3), ones.long()), False),
    ],
)
def test_the_host_waits_for_values_and_shapes(work, waits):
    with host_waits() as found:
        result = work(torch.ones(3))
    assert bool(found) == waits
    assert waits or torch.equal(result, work(torch.ones(3)))


def test_a_capture_does_nothing_and_a_replay_repeats_all():
    """In place, through views, with draws, and with new numbers in the memory that was read."""
    source, total, generator = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), torch.Generator().manual_seed(0)
    expected = torch.Generator().manual_seed(0)
    results = []

    def work():
        doubled = source * 2
        doubled[1:].add_(torch.rand((), generator=generator))
        total.add_(doubled)
        torch._foreach_add_([total], 1)  # as fused optimisers do
        results[:] = [doubled.sum()]

    replay = OperationLog().capture(work, [generator])
    assert total.tolist() == [0, 0, 0]
    draws = [torch.rand((), generator=expected).item() for _ in range(2)]
    replay()
    assert results[0].item() == pytest.approx(12 + 2 * draws[0])
    source.fill_(0)
    replay()
    assert results[0].item() == pytest.approx(2 * draws[1])
    assert total.tolist() == pytest.approx([4, 6 + sum(draws), 8 + sum(draws)])


def test_what_python_does_is_not_repeated():
    calls, total = [], torch.zeros(())

    def work():
        calls.append(1)
        total.add_(len(calls))

    replay = OperationLog().capture(work, [])
    for _ in range(3):
        replay()
    assert total == 3
    assert len(calls) == 1


def test_a_capture_refuses_what_waits():
    with pytest.raises(RuntimeError, match="_local_scalar_dense needs a value on the host"):
        OperationLog().capture(lambda: torch.ones(2).sum().item(), [])
