import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from benchmark.analysis.similarity import cross_entropy, kl_divergence, measure

KL_TEACHER_STUDENT, CROSS_ENTROPY = 2.8620101907514672, 4.604079475668119


def test_known_values(wave):
    student, teacher = 3 * wave.s(4, 5), 3 * wave.t(4, 5)
    assert kl_divergence(teacher, student) == pytest.approx(KL_TEACHER_STUDENT, abs=1e-12)
    assert cross_entropy(student, torch.arange(4)) == pytest.approx(CROSS_ENTROPY, abs=1e-12)


def test_measure_agrees_with_scipy_in_both_directions(outputs):
    subject, teacher = outputs(seed=1), outputs(seed=2)
    q, p = (softmax(each.logits.double().numpy(), axis=1) for each in (subject, teacher))
    metrics = measure(subject, teacher, 5)["metrics"]
    assert metrics == {
        "kl_teacher": pytest.approx(entropy(p, q, axis=1).mean(), abs=1e-12),
        "kl_student": pytest.approx(entropy(q, p, axis=1).mean(), abs=1e-12),
        "cross_entropy": pytest.approx(-np.log(q[np.arange(60), subject.targets]).mean(), abs=1e-12),
    }
    assert abs(metrics["kl_teacher"] - metrics["kl_student"]) > 1e-3
    assert {type(value) for value in metrics.values()} == {float}


def test_a_network_is_at_no_distance_from_itself_and_far_logits_are_finite(outputs):
    teacher = outputs()
    assert measure(teacher, teacher, 5)["metrics"]["kl_teacher"] == pytest.approx(0, abs=1e-15)
    # ln(e^1000 + e^0) is 1000 to the last digit.
    assert kl_divergence(torch.tensor([[1e3, 0.0]]), torch.tensor([[0.0, 1e3]])) == pytest.approx(1e3)


def test_classes_that_the_reference_masks_add_nothing():
    reference, logits = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    reference = reference.index_fill(1, torch.tensor([1, 3]), -torch.inf)
    for each in (logits, logits.index_fill(1, torch.tensor([3]), -torch.inf)):
        p, q = (softmax(values.double().numpy(), axis=1) for values in (reference, each))
        assert kl_divergence(reference, each) == pytest.approx(entropy(p, q, axis=1).mean(), abs=1e-12)


def test_needs_a_teacher(outputs):
    with pytest.raises(ValueError, match="compares with a teacher"):
        measure(outputs(), None, 5)
