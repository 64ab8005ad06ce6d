import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

from benchmark.analysis.clusters import k_means, measure, mutual_information
from benchmark.analysis.outputs import Outputs

NMI = 0.7396673768007591


def by_definition(labels, clusters):
    """2 I(Y; C) / (H(Y) + H(C)) in percent, from the contingency table."""
    joint = np.zeros((max(labels) + 1, max(clusters) + 1))
    for label, cluster in zip(labels, clusters, strict=True):
        joint[label, cluster] += 1 / len(labels)
    rows, columns = joint.sum(1), joint.sum(0)
    shared = sum(
        p * np.log(p / (rows[i] * columns[j])) for i, line in enumerate(joint) for j, p in enumerate(line) if p
    )
    total = sum(-p * np.log(p) for p in (*rows, *columns) if p)
    return 200 * shared / total


def inertia(points, clusters):
    return sum(np.sum((points[clusters == c] - points[clusters == c].mean(0)) ** 2) for c in np.unique(clusters))


def test_known_value():
    labels, clusters = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 2, 2])
    assert mutual_information(labels, clusters) == pytest.approx(100 * NMI, abs=1e-10)
    assert by_definition(labels, clusters) == pytest.approx(100 * NMI, abs=1e-10)


def test_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 300)
    clusters = np.where(rng.random(300) < 0.7, labels, rng.integers(0, 9, 300))
    assert mutual_information(labels, clusters) == pytest.approx(by_definition(labels, clusters), abs=1e-9)


def test_separate_classes_are_found_whatever_their_numbers(outputs):
    far = outputs(spread=50.0)
    labels = far.targets.numpy()
    predicted = torch.nn.functional.one_hot((far.targets + 2) % 5).float()
    found = measure(Outputs(predicted, far.embedding, None, far.targets), None, 5)["metrics"]
    assert found == {"nmi": pytest.approx(100), "nmi_predicted": pytest.approx(100)}
    assert len(set(zip(labels, k_means(far.embedding.double().numpy(), 5), strict=True))) == 5


def test_measure_on_overlapping_classes(outputs):
    subject = outputs(images=200)
    labels, found = subject.targets.numpy(), measure(subject, None, 5)["metrics"]
    clusters = k_means(subject.embedding.double().numpy(), 5)
    assert found["nmi"] == pytest.approx(by_definition(labels, clusters), abs=1e-9)
    assert found["nmi_predicted"] == pytest.approx(by_definition(labels, subject.logits.argmax(1).numpy()), abs=1e-9)
    assert 0 < found["nmi_predicted"] < found["nmi"] < 100


def test_ten_starts_are_as_good_as_the_best_of_another_implementation(outputs):
    points = outputs(images=400, classes=20, spread=3.0).embedding.double().numpy()
    single = [
        inertia(points, kmeans2(points, 20, iter=100, minit="++", rng=np.random.default_rng(seed))[1])
        for seed in range(10)
    ]
    found = inertia(points, k_means(points, 20))
    assert found < 1.01 * min(single)
    # Half of the single starts do not get there.
    assert found < 0.98 * np.median(single)


def test_is_reproducible_and_gives_threads_back(outputs):
    subject, threads = outputs(images=500, spread=0.3), torch.get_num_threads()
    first = measure(subject, None, 20)
    np.random.seed(3)
    assert measure(subject, None, 20) == first
    assert torch.get_num_threads() == threads
