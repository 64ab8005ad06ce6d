import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from benchmark.analysis.distance import measure, normalised_distance, squared_distance

L2 = 6.707468844302137


def test_known_value(wave):
    assert squared_distance(wave.s(4, 6), wave.t(4, 6)) == pytest.approx(L2, abs=1e-12)


def test_measure_agrees_with_numpy_and_scipy(outputs):
    subject, teacher = outputs(seed=1, connected=7), outputs(seed=2)
    h_s, h_t, h_c = (each.double().numpy() for each in (subject.embedding, teacher.embedding, subject.connected))
    assert measure(subject, teacher, 5)["metrics"] == {
        "l2": pytest.approx(np.mean([np.sum((a - b) ** 2) for a, b in zip(h_s, h_t, strict=True)]), abs=1e-12),
        "l2_connected": pytest.approx(np.mean(np.linalg.norm(h_c - h_t, axis=1) ** 2), abs=1e-12),
        "l2_normalised": pytest.approx(np.mean([2 * cosine(a, b) for a, b in zip(h_s, h_t, strict=True)]), abs=1e-12),
    }


def test_what_does_not_exist_is_left_out(outputs):
    teacher = outputs(seed=2, width=9)
    assert set(measure(outputs(), outputs(seed=2), 5)["metrics"]) == {"l2", "l2_normalised"}
    assert set(measure(outputs(connected=9), teacher, 5)["metrics"]) == {"l2_connected"}
    assert measure(outputs(), teacher, 5)["metrics"] == {}


def test_normalised_ignores_lengths_and_bears_zeros(outputs):
    one, other = outputs(seed=1).embedding, outputs(seed=2).embedding
    assert normalised_distance(3 * one, other / 5) == pytest.approx(normalised_distance(one, other), abs=1e-6)
    assert normalised_distance(torch.zeros(2, 3), torch.ones(2, 3)) == pytest.approx(1, abs=1e-12)
