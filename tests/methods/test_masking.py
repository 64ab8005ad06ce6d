"""Classes that only one network masks."""

import torch

from methods.logits import divergence
from methods.masking import restricted

INFINITY = torch.inf


def test_restricted_logits_are_masked_where_either_side_masks():
    teacher = torch.tensor([[1.0, -INFINITY, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    student = torch.tensor([[-INFINITY, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[-INFINITY, -INFINITY, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    assert torch.equal(restricted(teacher, student), expected)


def test_a_class_that_only_the_student_masks_does_not_make_a_divergence_infinite():
    student, teacher = torch.randn(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masked = student.index_fill(1, torch.tensor([4]), -INFINITY)
    kept = [0, 1, 2, 3, 5]
    assert divergence(masked, teacher, 2.0).isinf().all()
    found = divergence(masked, restricted(teacher, masked), 2.0)
    torch.testing.assert_close(found, divergence(student[:, kept], teacher[:, kept], 2.0))
