import json

import numpy as np
import pytest
import torch
from sklearn.manifold import trustworthiness

from benchmark.analysis.outputs import Outputs
from benchmark.analysis.tsne import coordinates, measure, shown


def test_twenty_classes_of_a_hundred_images_each():
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 130))
    rows = shown(targets, 100)
    assert sorted(set(targets[rows].tolist())) == list(range(0, 100, 5))
    assert (np.diff(rows) > 0).all()
    for label in range(0, 100, 5):
        assert rows[targets[rows] == label].tolist() == np.flatnonzero(targets == label)[:100].tolist()


@pytest.mark.parametrize("classes", [3, 20, 21, 50])
def test_fewer_classes_and_images(classes):
    targets = np.arange(7 * classes) % classes
    kept = targets[shown(targets, classes)]
    assert len(kept) == 7 * min(classes, 20)
    assert len(set(kept.tolist())) == min(classes, 20)


def test_points_belong_to_the_images_that_are_shown(outputs):
    subject = outputs(images=150, classes=25, width=6, spread=9.0)
    kept = shown(subject.targets.numpy(), 25)
    result = measure(subject, None, 25)
    points = result["points"]
    plane = np.array([points["x"], points["y"]]).T
    assert points["label"] == subject.targets[kept].tolist()
    assert len(kept) < 150
    # 1 where every neighbour in the plane is one in truth, about 0.5 where rows are shuffled.
    assert trustworthiness(subject.embedding[kept].numpy(), plane, n_neighbors=3) > 0.95
    assert np.array_equal(plane, plane.round(2))
    assert result["metrics"] == {"kl_divergence": pytest.approx(divergence(subject.embedding[kept], plane), abs=0.02)}


def divergence(embedding, plane, perplexity=30.0):
    """KL(P || Q) of van der Maaten & Hinton, equations 1 to 4, every bandwidth found by bisection."""
    high = ((embedding[:, None] - embedding[None]) ** 2).sum(2).double().numpy()
    low = ((plane[:, None] - plane[None]) ** 2).sum(2)
    n = len(plane)
    p = np.zeros((n, n))
    for i in range(n):
        near, far = 1e-6, 1e3
        for _ in range(60):
            beta = np.sqrt(near * far)
            row = np.exp(-beta * (high[i] - np.delete(high[i], i).min()))
            row[i] = 0
            row /= row.sum()
            wide = -np.sum(row[row > 0] * np.log(row[row > 0])) > np.log(perplexity)
            near, far = (beta, far) if wide else (near, beta)
        p[i] = row
    p, q = (p + p.T) / (2 * n), 1 / (1 + low)
    np.fill_diagonal(q, 0)
    q /= q.sum()
    used = p > 0
    return np.sum(p[used] * np.log(p[used] / q[used]))


def test_is_reproducible_plain_data(outputs):
    subject = outputs(images=90)
    first = measure(subject, None, 5)
    np.random.seed(3)
    assert measure(subject, None, 5) == first
    assert json.loads(json.dumps(first)) == first


def test_few_images_get_a_smaller_perplexity(outputs):
    points, reached = coordinates(outputs(images=12).embedding.double().numpy())
    assert points.shape == (12, 2)
    assert np.isfinite(points).all()
    assert np.isfinite(reached)


def test_equal_embeddings_are_refused(outputs):
    like = outputs()
    collapsed = Outputs(like.logits, torch.zeros_like(like.embedding), None, like.targets)
    with pytest.raises(ValueError, match="embeddings of all images are equal"):
        measure(collapsed, None, 5)
